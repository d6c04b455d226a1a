"""What training minimises: the softmax over the catalogue, or over a sample where that is too long.

Shapes: B users of a batch, C items, N sampled items, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.features.encoder import EncodedTable
from recsys.features.history import UserItemMatrix
from recsys.nn.catalogue_softmax import ScoreBuffer, catalogue_softmax_loss
from recsys.nn.losses import log_inclusion, sampled_softmax_loss
from recsys.recommender.batches import TrainBatch, sample_items
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.two_tower import TwoTower, prefix

_PREFIX_EVERY = 2
"""Batches between two steps on a prefix: a prefix adds as many scores as the whole width."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """The loss of a batch at the whole width and, in turn, at its prefixes."""

    towers: TwoTower
    """The networks."""
    item_features: EncodedTable | None
    """Features of the catalogue, if the model has any."""
    config: TwoTowerConfig
    """What is trained."""
    mean_weight: float
    """Weight of the positives of a batch, on average over an epoch."""
    log_inclusion_C: Tensor | None
    """Log probability of each item to be sampled; None for the softmax over the catalogue."""
    buffer: ScoreBuffer
    """Memory and precision of the scores."""
    generator: torch.Generator
    """Draws samples and prefixes."""

    @classmethod
    def of(
        cls,
        towers: TwoTower,
        matrix: UserItemMatrix,
        item_features: EncodedTable | None,
        batch_size: int,
        config: TwoTowerConfig,
        *,
        precision: torch.dtype,
        device: torch.device,
        seed: int,
    ) -> Objective:
        """The objective for a log: sampled where the config or the catalogue's size asks for it."""
        num_users = int(np.count_nonzero(np.diff(matrix.indptr)))
        num_items, num_batches = matrix.shape[1], math.ceil(num_users / batch_size)
        sampled = config.loss == "sampled_softmax" or (
            config.loss == "auto" and num_items > config.exact_max_items
        )
        inclusion = None
        if sampled:
            inclusion = log_inclusion(
                torch.from_numpy(np.bincount(matrix.indices, minlength=num_items)),
                num_queries=num_users,
                batch_size=batch_size,
                num_uniform=config.num_uniform_negatives,
            )
        return cls(
            towers=towers,
            item_features=None if item_features is None else item_features.to(device),
            config=config,
            mean_weight=float(matrix.data.sum(dtype=np.float64)) / num_batches,
            log_inclusion_C=inclusion,
            buffer=ScoreBuffer(precision),
            generator=torch.Generator().manual_seed(seed),
        )

    def loss(self, batch: TrainBatch) -> Tensor:
        """Loss of a batch; every second time that of one prefix is added.

        A batch counts by the weight of its positives: users who were active long ago must not pull
        as hard as those of today because they came together.
        """
        widths = [self.config.embedding_dim]
        prefix_dims = self.config.prefix_dims
        if prefix_dims and self._draw(_PREFIX_EVERY) == 0:
            widths.append(prefix_dims[self._draw(len(prefix_dims))])
        if self.log_inclusion_C is None:
            mean_loss = self._exact(batch, widths)
        else:
            mean_loss = self._sampled(batch, widths, self.log_inclusion_C)
        return mean_loss * (batch.positives.weights.sum() / self.mean_weight)

    def optimizers(self, learning_rate: float) -> list[torch.optim.Optimizer]:
        """Adam over all parameters."""
        return [torch.optim.Adam(self.towers.parameters(), lr=learning_rate)]

    def _exact(self, batch: TrainBatch, widths: list[int]) -> Tensor:
        item_CD = self.towers.candidate(None, self.item_features)
        query_BD = self.towers.query(batch.inputs, item_CD)
        losses = [
            catalogue_softmax_loss(
                prefix(query_BD, width),
                prefix(item_CD, width),
                batch.positives,
                temperature=self.config.temperature,
                buffer=self.buffer,
            )
            for width in widths
        ]
        return torch.stack(losses).sum()

    def _sampled(self, batch: TrainBatch, widths: list[int], inclusion_C: Tensor) -> Tensor:
        sample = sample_items(
            batch,
            num_items=len(inclusion_C),
            num_uniform=self.config.num_uniform_negatives,
            generator=self.generator,
        )
        features = None if self.item_features is None else self.item_features.take(sample.items)
        item_ND = self.towers.candidate(sample.items, features)
        query_BD = self.towers.query(sample.inputs, item_ND)
        losses = [
            sampled_softmax_loss(
                prefix(query_BD, width),
                prefix(item_ND, width),
                sample.positives,
                log_inclusion_C=inclusion_C[sample.items],
                known_BC=sample.known_BN,
                temperature=self.config.temperature,
            )
            for width in widths
        ]
        return torch.stack(losses).sum()

    def _draw(self, upper: int) -> int:
        return int(torch.randint(upper, (), generator=self.generator))
