"""What training minimises: the softmax over the catalogue, or over a sample of a large one.

Shapes: B users of a batch, C items, N sampled items, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.features.encoder import EncodedTable
from recsys.features.history import UserItemMatrix
from recsys.nn.catalogue_softmax import ScoreBuffer, catalogue_softmax_loss
from recsys.nn.losses import log_inclusion, sampled_softmax_loss
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.fitting.batches import TrainBatch, UserBatches, sample_items
from recsys.recommender.fitting.propagation import LazyPropagation, Propagation
from recsys.recommender.fitting.sequence_batches import SequenceBatches
from recsys.recommender.towers.two_tower import TwoTower, prefix, searched_prefix

_EXCERPTS = 64
"""Most excerpts of sequences in a batch: with more there are too few steps."""
_READER_RATE = 0.4
"""Learning rate of self-attention, relative to that of the tables, which allow larger steps."""
_PREFIX_EVERY = 2
"""Batches between two steps on a prefix: a prefix adds as many scores as the whole width."""
_MAX_SCORES = 1 << 26
"""Scores of a batch at most: 256 MiB in float32."""
_MAX_SAMPLED_SCORES = 1 << 24
"""The same for the sampled softmax, which holds several tensors of scores at a time."""


def is_sampled(config: TwoTowerConfig, num_items: int) -> bool:
    """Whether the sampled softmax is used; auto decides by the size of the catalogue."""
    if config.loss == "auto":
        return num_items > config.exact_max_items
    return config.loss == "sampled_softmax"


def default_batch_size(matrix: UserItemMatrix, config: TwoTowerConfig) -> int:
    """A fortieth of the users, between 128 and 1024, and no more than memory for scores allows.

    Args:
        matrix: Interactions. Shape (U, C).
        config: What is trained.
    """
    if config.reads_order:
        return _excerpt_batch_size(matrix, config)
    num_users, num_items = matrix.shape
    wanted = min(max(num_users // 40, 128), 1024)
    if not is_sampled(config, num_items):
        return min(wanted, max(_MAX_SCORES // num_items, 1))
    num_positives = wanted * matrix.nnz // num_users
    num_sampled = min(num_positives + config.num_uniform_negatives, num_items)
    return min(wanted, max(_MAX_SAMPLED_SCORES // num_sampled, 1))


def _excerpt_batch_size(matrix: UserItemMatrix, config: TwoTowerConfig) -> int:
    """As many excerpts as memory for scores allows, at most 64; each place has a query."""
    num_items, lengths_U = matrix.shape[1], np.diff(matrix.indptr)
    places = max(float(np.minimum(lengths_U, config.sequence.max_items + 1).mean()), 1.0)
    if not is_sampled(config, num_items):
        return max(min(_EXCERPTS, int(_MAX_SCORES / (places * num_items))), 1)
    # b excerpts have b · places queries and at most b · places + uniform items.
    half = config.num_uniform_negatives / 2
    most = (math.sqrt(half**2 + _MAX_SAMPLED_SCORES) - half) / places
    return max(min(_EXCERPTS, int(most)), 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """The loss of a batch at the whole width and, in turn, at its prefixes."""

    towers: TwoTower
    """The networks."""
    item_features: EncodedTable | None
    """Features of the catalogue, if the model has any."""
    config: TwoTowerConfig
    """What is trained."""
    temperature: float
    """What cosines are divided by."""
    lazy: LazyPropagation | None
    """What propagation adds to items; None for nothing."""
    mean_weight: float
    """Weight of the positives of a batch, on average over an epoch."""
    log_inclusion: Tensor | None
    """Log probability of each item to be sampled; None for the softmax over the catalogue. (C,)."""
    buffer: ScoreBuffer
    """Memory and precision of the scores."""
    generator: torch.Generator
    """Draws samples and prefixes."""

    @classmethod
    def of(
        cls,
        towers: TwoTower,
        batches: UserBatches | SequenceBatches,
        *,
        item_features: EncodedTable | None,
        config: TwoTowerConfig,
        temperature: float,
        propagation: Propagation | None,
        precision: torch.dtype,
        seed: int,
    ) -> Objective:
        """The objective for a log, on the device of the towers."""
        matrix, device = batches.matrix, towers.query.base.device
        inclusion_C = None
        if is_sampled(config, matrix.shape[1]):
            inclusion_C = log_inclusion(
                torch.from_numpy(np.bincount(matrix.indices, minlength=matrix.shape[1])),
                num_queries=batches.num_users,
                batch_size=batches.num_users / batches.num_batches,
                num_uniform=config.num_uniform_negatives,
            ).to(device)
        return cls(
            towers=towers,
            item_features=None if item_features is None else item_features.to(device),
            config=config,
            temperature=temperature,
            lazy=LazyPropagation(propagation, batches.num_batches) if propagation else None,
            mean_weight=float(matrix.data.sum(dtype=np.float64)) / batches.num_batches,
            log_inclusion=inclusion_C,
            buffer=ScoreBuffer(precision),
            generator=torch.Generator().manual_seed(seed),
        )

    def loss(self, batch: TrainBatch) -> Tensor:
        """Loss of a batch, the sum over the heads; every second time that of one prefix is added.

        A batch counts by the weight of its positives: otherwise a batch of users who were active
        long ago would count as much as one of today's users.
        """
        prefix_dims, width = self.config.prefix_dims, None
        if prefix_dims and self._draw(_PREFIX_EVERY) == 0:
            width = prefix_dims[self._draw(len(prefix_dims))]
        if self.log_inclusion is None:
            mean_loss = self._exact(batch, width)
        else:
            mean_loss = self._sampled(batch, width, self.log_inclusion)
        return mean_loss * (batch.positives.weights.sum() / self.mean_weight)

    def optimizers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        """Adam over all parameters; a table of items that is sampled moves only where it is."""
        reader, table = self.towers.query.sequence, self.towers.candidate.item.weight
        reading = [] if reader is None else list(reader.parameters())
        apart = {id(parameter) for parameter in reading}
        rest = [parameter for parameter in self.towers.parameters() if id(parameter) not in apart]
        groups: list[dict[str, Any]] = [
            {"params": reading, "lr": learning_rate * _READER_RATE},
            {"params": [own for own in rest if self.log_inclusion is None or own is not table]},
        ]
        groups = [group for group in groups if group["params"]]
        dense = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        if self.log_inclusion is None:
            return [dense]
        return [torch.optim.SparseAdam([table], lr=learning_rate), dense]

    def _exact(self, batch: TrainBatch, width: int | None) -> Tensor:
        batch = batch.to(self.towers.query.base.device)
        item_CD = self.towers.candidate(None, self.item_features)
        query_BD = self.towers.query.queries_to_train(batch.inputs, item_CD)
        losses = [
            catalogue_softmax_loss(
                query_BW, item_CW, batch.positives, temperature=temperature, buffer=self.buffer
            )
            for query_BW, item_CW, temperature in self._scored(
                query_BD, item_CD, self._propagated(), width
            )
        ]
        return torch.stack(losses).sum()

    def _sampled(self, batch: TrainBatch, width: int | None, inclusion_C: Tensor) -> Tensor:
        sample = sample_items(
            batch,
            num_items=len(inclusion_C),
            num_uniform=self.config.num_uniform_negatives,
            generator=self.generator,
        ).to(inclusion_C.device)
        features = None if self.item_features is None else self.item_features.take(sample.items)
        item_ND = self.towers.candidate(sample.items, features)
        query_BD = self.towers.query.queries_to_train(sample.batch.inputs, item_ND)
        propagated_CD = self._propagated()
        propagated_ND = None if propagated_CD is None else propagated_CD[sample.items]
        losses = [
            sampled_softmax_loss(
                query_BW,
                item_NW,
                sample.batch.positives,
                log_inclusion_C=inclusion_C[sample.items],
                known_BC=sample.known,
                temperature=temperature,
            )
            for query_BW, item_NW, temperature in self._scored(
                query_BD, item_ND, propagated_ND, width
            )
        ]
        return torch.stack(losses).sum()

    def _propagated(self) -> Tensor | None:
        return None if self.lazy is None else self.lazy.next(self.towers, self.item_features)

    def _scored(
        self, query_BD: Tensor, item_ND: Tensor, propagated_ND: Tensor | None, width: int | None
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Queries, items and temperature of each softmax: one a head, and one of a prefix."""
        num_heads = self.num_heads
        whole_ND = searched_prefix(item_ND, propagated_ND, item_ND.shape[1])
        heads = query_BD.chunk(num_heads, dim=1), whole_ND.chunk(num_heads, dim=1)
        for query_BH, item_NH in zip(*heads, strict=True):
            # Heads are shorter than the whole by the root of their number, on both sides.
            yield query_BH, item_NH, self.temperature / num_heads
        if width is not None:
            cut_NW = searched_prefix(item_ND, propagated_ND, width)
            yield prefix(query_BD, width), cut_NW, self.temperature

    @property
    def num_heads(self) -> int:
        """Parts of the vectors that each have a softmax."""
        return self.config.num_heads

    def _draw(self, upper: int) -> int:
        return int(torch.randint(upper, (), generator=self.generator))
