"""Training batches: users with all their positives, and the history that the tower may read.

Shapes: B users of a batch, P positives, N sampled items.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recsys.features.encoder import EncodedTable, Ragged
from recsys.features.history import UserItemMatrix
from recsys.nn.losses import Positives
from recsys.recommender.towers.ragged import ragged_rows
from recsys.recommender.towers.two_tower import QueryInputs


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainBatch:
    """Some users with their inputs and their positives."""

    inputs: QueryInputs
    """Their histories, parts of which are hidden, and their features."""
    positives: Positives
    """All their interactions; columns are item numbers."""

    def to(self, device: torch.device) -> TrainBatch:
        """The same on another device."""
        return TrainBatch(inputs=self.inputs.to(device), positives=self.positives.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class UserBatches:
    """Batches of users in random order, each user with interactions once an epoch.

    Args:
        matrix: Value of each interaction. Users are rows.
        features: Features of each user of the matrix, if the model has any.
        batch_size: Users in a batch at most; all batches have this size, give or take one user.
        history_dropout: Share of each history that is hidden.
        newcomer_share: Share of users without a vector of their own, half of whom have no history
            either where users have features.
        user_embedding: Whether users have a row in the user embeddings.
        seed: Seed of order and gaps.
    """

    matrix: UserItemMatrix
    features: EncodedTable | None
    batch_size: int
    history_dropout: float
    newcomer_share: float
    user_embedding: bool
    seed: int

    @property
    def num_users(self) -> int:
        """Users with interactions."""
        return int(np.count_nonzero(np.diff(self.matrix.indptr)))

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.num_users / self.batch_size)

    def draw(self, epoch: int) -> Iterator[TrainBatch]:
        """The batches of one epoch, on the CPU."""
        seed = np.random.SeedSequence((self.seed, epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(seed[0]))
        interactions = ragged_rows(self.matrix)
        values = torch.from_numpy(self.matrix.data)
        positions = Ragged(codes=torch.arange(len(values)), offsets=interactions.offsets)
        users = torch.nonzero(interactions.offsets.diff()).squeeze(1)
        users = users[torch.randperm(len(users), generator=generator)]
        for rows in users.tensor_split(self.num_batches):
            places = positions.take(rows)
            lists = Ragged(codes=interactions.codes[places.codes], offsets=places.offsets)
            positives = Positives(
                rows=torch.repeat_interleave(torch.arange(len(rows)), lists.offsets.diff()),
                columns=lists.codes,
                weights=values[places.codes],
            )
            yield TrainBatch(inputs=self._inputs(rows, lists, generator), positives=positives)

    def _inputs(self, rows: Tensor, lists: Ragged, generator: torch.Generator) -> QueryInputs:
        """Inputs of some users: partly hidden histories; some users are treated as newcomers."""
        chance_B = torch.rand(len(rows), generator=generator)
        new_B, nobody_B = chance_B < self.newcomer_share, chance_B < self.newcomer_share / 2
        kept_B = torch.full_like(chance_B, 1 - self.history_dropout)
        if self.features is not None:  # without features and history all users would be the same
            kept_B = kept_B.masked_fill(nobody_B, 0)
        return QueryInputs(
            history=thinned(lists, kept_B, generator),
            features=None if self.features is None else self.features.take(rows),
            user_rows=torch.where(new_B, 0, rows + 1) if self.user_embedding else None,
        )


def thinned(lists: Ragged, kept_B: Tensor, generator: torch.Generator) -> Ragged:
    """Lists of which each entry stays with the probability of its list. Shape of those (B,)."""
    if bool((kept_B >= 1).all()):
        return lists
    chances = kept_B.repeat_interleave(lists.offsets.diff())
    kept = torch.rand(len(lists.codes), generator=generator) < chances
    kept_before = torch.cat([torch.zeros(1, dtype=torch.int64), kept.cumsum(0)])
    return Ragged(codes=lists.codes[kept], offsets=kept_before[lists.offsets])


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledBatch:
    """A batch and the items that it is trained against."""

    items: Tensor
    """Item numbers, ascending, none twice. Shape (N,), int64."""
    batch: TrainBatch
    """The batch, with positions in `items` in place of item numbers."""
    known: Tensor
    """True where an item is a positive of the query. Shape (B, N)."""

    def to(self, device: torch.device) -> SampledBatch:
        """The same on another device."""
        return SampledBatch(
            items=self.items.to(device), batch=self.batch.to(device), known=self.known.to(device)
        )


def sample_items(
    batch: TrainBatch, *, num_items: int, num_uniform: int, generator: torch.Generator
) -> SampledBatch:
    """Mixed negatives: the positives of the whole batch, and uniform draws from the catalogue."""
    uniform = torch.randint(num_items, (num_uniform,), generator=generator)
    items = torch.unique(torch.cat([batch.positives.columns, uniform]))
    positives = replace(batch.positives, columns=torch.searchsorted(items, batch.positives.columns))
    history = batch.inputs.history  # a part of the positives, so it is in the sample too
    history = replace(history, codes=torch.searchsorted(items, history.codes))
    num_queries = int(positives.rows[-1]) + 1  # ascending, and no query is without a positive
    known_BN = torch.zeros(num_queries, len(items), dtype=torch.bool)
    known_BN[positives.rows, positives.columns] = True
    return SampledBatch(
        items=items,
        batch=TrainBatch(inputs=replace(batch.inputs, history=history), positives=positives),
        known=known_BN,
    )
