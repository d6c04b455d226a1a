"""Training batches of the sequence tower: parts of histories, each place with what came next.

Shapes: U users, C items, W excerpts of histories.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recsys.arrays import Int64Array
from recsys.features.encoder import EncodedTable, Ragged
from recsys.features.history import UserItemMatrix
from recsys.nn.losses import Positives
from recsys.recommender.fitting.batches import TrainBatch
from recsys.recommender.towers.two_tower import QueryInputs

_POOL = 16
"""Number of batches whose excerpts are sorted by length together, to save padding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceBatches:
    """Batches of excerpts in random order; an epoch has every interaction as a target once.

    Histories longer than an excerpt are cut at places that change from epoch to epoch.

    Args:
        matrix: Value of each interaction. Users are rows. Shape (U, C).
        histories: The same interactions; values are their places in the history.
        features: Features of each user of the matrix, if the model has any.
        batch_size: Excerpts in a batch at most.
        max_items: Items that the tower reads at most; an excerpt has one target more.
        user_embedding: Whether users have a row in the user embeddings.
        seed: Seed of order and cuts.
    """

    matrix: UserItemMatrix
    histories: UserItemMatrix
    features: EncodedTable | None
    batch_size: int
    max_items: int
    user_embedding: bool
    seed: int

    @property
    def num_users(self) -> int:
        """Users with interactions."""
        return int(np.count_nonzero(np.diff(self.matrix.indptr)))

    @property
    def num_batches(self) -> int:
        """Batches in an epoch at most: the number of excerpts depends on the cuts."""
        lengths_U = np.diff(self.matrix.indptr)
        width = self.max_items + 1
        most = np.where(lengths_U > width, -(-(lengths_U - 1) // width) + 1, lengths_U > 0)
        return math.ceil(int(most.sum()) / self.batch_size)

    def draw(self, epoch: int) -> Iterator[TrainBatch]:
        """The batches of one epoch, on the CPU."""
        rng = np.random.default_rng(np.random.SeedSequence((self.seed, epoch)))
        users_of = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.indptr))
        order = np.lexsort((self.histories.data, users_of))
        codes = torch.from_numpy(self.matrix.indices[order].astype(np.int64))
        weights = torch.from_numpy(self.matrix.data[order])
        users_W, starts_W, ends_W = self._cut(rng)
        for places in self._grouped(ends_W - starts_W, rng):
            yield self._batch(codes, weights, users_W[places], starts_W[places], ends_W[places])

    def _cut(self, rng: np.random.Generator) -> tuple[Int64Array, Int64Array, Int64Array]:
        """User, start and end of each excerpt among all interactions, user by user. (W,) each."""
        bounds = self.matrix.indptr.astype(np.int64)
        lengths_U, width = np.diff(bounds), self.max_items + 1
        first_U = np.where(
            lengths_U > width, rng.integers(1, width + 1, size=len(lengths_U)), width
        )
        counts_U = np.where(lengths_U > 0, 1 + -(-np.maximum(lengths_U - first_U, 0) // width), 0)
        users_W = np.repeat(np.arange(len(counts_U)), counts_U)
        number_W = np.arange(len(users_W)) - np.repeat(np.cumsum(counts_U) - counts_U, counts_U)
        ends_W = np.minimum(first_U[users_W] + number_W * width, lengths_U[users_W])
        starts_W = np.maximum(first_U[users_W] + (number_W - 1) * width, 0)
        return users_W, bounds[users_W] + starts_W, bounds[users_W] + ends_W

    def _grouped(self, lengths_W: Int64Array, rng: np.random.Generator) -> Iterator[Int64Array]:
        """Excerpts of about one length together, in batches of random order."""
        shuffled = rng.permutation(len(lengths_W))
        pools = np.arange(len(shuffled)) // (_POOL * self.batch_size)
        ordered = shuffled[np.lexsort((lengths_W[shuffled], pools))]
        batches = [
            ordered[start : start + self.batch_size]
            for start in range(0, len(ordered), self.batch_size)
        ]
        for number in rng.permutation(len(batches)):
            yield batches[number]

    def _batch(
        self,
        codes: torch.Tensor,
        weights: torch.Tensor,
        users: Int64Array,
        starts: Int64Array,
        ends: Int64Array,
    ) -> TrainBatch:
        rows, targets = torch.from_numpy(users), _ranges(starts, ends)
        inputs = _ranges(starts, ends - 1)
        return TrainBatch(
            inputs=QueryInputs(
                history=Ragged(codes=codes[inputs.codes], offsets=inputs.offsets),
                features=None if self.features is None else self.features.take(rows),
                user_rows=rows + 1 if self.user_embedding else None,
            ),
            positives=Positives(
                rows=torch.arange(len(targets.codes)),
                columns=codes[targets.codes],
                weights=weights[targets.codes],
            ),
        )


def _ranges(starts: Int64Array, ends: Int64Array) -> Ragged:
    """The numbers from each start up to its end, end to end."""
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return Ragged(codes=torch.from_numpy(codes), offsets=torch.from_numpy(offsets))
