"""Training batches: users with all their positives, and the history that the tower may read.

Shapes: B users of a batch, P positives, N sampled items.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.features.encoder import EncodedTable, Ragged
from recsys.features.history import UserItemMatrix
from recsys.nn.losses import Positives
from recsys.recommender.two_tower import QueryInputs

_MAX_SCORES = 1 << 26
"""Scores of a batch at most: 256 MiB in float32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainBatch:
    """Some users, what is known of them, and what they should be given."""

    inputs: QueryInputs
    """Their history with gaps, and their features."""
    positives: Positives
    """All their interactions; columns are item numbers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UserBatches:
    """Batches of users in random order, each user once an epoch.

    Args:
        matrix: Value of each interaction. Users are rows.
        features: Features of each user of the matrix, if the model has any.
        batch_size: Users in a batch.
        history_dropout: Share of each history that is hidden.
        user_embedding: Whether users have a row in the user embeddings.
        seed: Seed of order and gaps.
    """

    matrix: UserItemMatrix
    features: EncodedTable | None
    batch_size: int
    history_dropout: float
    user_embedding: bool
    seed: int

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return math.ceil(np.count_nonzero(np.diff(self.matrix.indptr)) / self.batch_size)

    def draw(self, epoch: int) -> Iterator[TrainBatch]:
        """The batches of one epoch."""
        generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % (1 << 63))
        interactions = ragged_rows(self.matrix)
        values = torch.from_numpy(self.matrix.data)
        lengths = interactions.offsets.diff()
        users = torch.nonzero(lengths).squeeze(1)
        users = users[torch.randperm(len(users), generator=generator)]
        for rows in users.split(self.batch_size):
            lists = interactions.take(rows)
            positions = Ragged(codes=torch.arange(len(values)), offsets=interactions.offsets)
            positives = Positives(
                rows=torch.repeat_interleave(torch.arange(len(rows)), lists.offsets.diff()),
                columns=lists.codes,
                weights=values[positions.take(rows).codes],
            )
            yield TrainBatch(
                inputs=QueryInputs(
                    history=thinned(lists, self.history_dropout, generator),
                    features=None if self.features is None else self.features.take(rows),
                    user_rows=rows + 1 if self.user_embedding else None,
                ),
                positives=positives,
            )


def default_batch_size(num_users: int, num_items: int) -> int:
    """A fortieth of the users within 128 and 1024, and no more than memory for scores allows."""
    by_users = min(max(num_users // 40, 128), 1024)
    return max(1, min(by_users, _MAX_SCORES // max(num_items, 1)))


def ragged_rows(matrix: UserItemMatrix) -> Ragged:
    """The columns stored in each row of a matrix, as lists."""
    return Ragged(
        codes=torch.from_numpy(matrix.indices.astype(np.int64)),
        offsets=torch.from_numpy(matrix.indptr.astype(np.int64)),
    )


def thinned(lists: Ragged, dropout: float, generator: torch.Generator) -> Ragged:
    """Lists from which each entry is left out with probability `dropout`."""
    if dropout == 0:
        return lists
    kept = torch.rand(len(lists.codes), generator=generator) >= dropout
    kept_before = torch.cat([torch.zeros(1, dtype=torch.int64), kept.cumsum(0)])
    return Ragged(codes=lists.codes[kept], offsets=kept_before[lists.offsets])


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledItems:
    """The items that a batch is trained against."""

    items: Tensor
    """Item numbers, ascending, none twice. Shape (N,), int64."""
    inputs: QueryInputs
    """The inputs of the batch, with positions in `items` in place of item numbers."""
    positives: Positives
    """The positives, with positions in `items` as columns."""
    known_BN: Tensor
    """True where an item is a positive of the user. Shape (B, N)."""


def sample_items(
    batch: TrainBatch, *, num_items: int, num_uniform: int, generator: torch.Generator
) -> SampledItems:
    """Mixed negatives: the positives of the whole batch, and uniform draws from the catalogue."""
    uniform = torch.randint(num_items, (num_uniform,), generator=generator)
    items = torch.unique(torch.cat([batch.positives.columns, uniform]))
    columns = torch.searchsorted(items, batch.positives.columns)
    history = batch.inputs.history  # a part of the positives, so it is in the sample too
    num_users = len(history.offsets) - 1
    known_BN = torch.zeros(num_users, len(items), dtype=torch.bool)
    known_BN[batch.positives.rows, columns] = True
    return SampledItems(
        items=items,
        inputs=QueryInputs(
            history=Ragged(codes=torch.searchsorted(items, history.codes), offsets=history.offsets),
            features=batch.inputs.features,
            user_rows=batch.inputs.user_rows,
        ),
        positives=Positives(
            rows=batch.positives.rows, columns=columns, weights=batch.positives.weights
        ),
        known_BN=known_BN,
    )
