"""The two towers: queries (users, or whoever has a history) and candidates, in one space.

Shapes: B queries, N candidates, C items of the catalogue, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.features.encoder import EncodedSizes, EncodedTable, Ragged
from recsys.nn.embedding import FeatureEmbedding, bag_sum
from recsys.nn.mlp import MLP
from recsys.nn.unit_length import unit_length
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.towers.sequence_reader import SequenceReader


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryInputs:
    """What the query tower reads of B users."""

    history: Ragged
    """Item numbers that each user interacted with before; may be empty. For a tower that reads
    sequences, the latest items, latest last."""
    features: EncodedTable | None
    """Features of each user; None where the model has none."""
    user_rows: Tensor | None
    """Row of each user in the user embeddings, 0 for users who have none. Shape (B,), int64."""

    def to(self, device: torch.device) -> QueryInputs:
        """The same on another device."""
        return QueryInputs(
            history=self.history.to(device),
            features=None if self.features is None else self.features.to(device),
            user_rows=None if self.user_rows is None else self.user_rows.to(device),
        )


class CandidateTower(nn.Module):
    """Maps items to unit vectors: a vector of each item's own plus one from its features.

    Shape:
        - Input: item numbers of shape (N,), and their features if the model has any
        - Output: (N, D)
    """

    def __init__(self, num_items: int, sizes: EncodedSizes | None, config: TwoTowerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.item = nn.Embedding(num_items, config.embedding_dim)
        nn.init.normal_(self.item.weight, std=config.head_dim**-0.5)
        self.features = _FeatureBranch(sizes, config) if sizes else None

    def forward(self, item_numbers: Tensor | None, features: EncodedTable | None) -> Tensor:
        """Embed items; None stands for all of them, in order."""
        weight_CD = self.item.weight
        # Only the sampled rows get a gradient, which saves work for the others.
        own = (
            weight_CD
            if item_numbers is None
            else functional.embedding(item_numbers, weight_CD, sparse=True)
        )
        if self.features is not None and features is not None:
            own = own + self.features(features)
        return unit_heads(own, self.num_heads)


class QueryTower(nn.Module):
    """Maps users to unit vectors: history, features and, if configured, a vector of their own.

    A history is the sum of the candidate embeddings of its items over the square root of their
    number: it has the direction of their mean, and its length grows with the number of items. If
        the config asks for a sequence, it is the output of a `SequenceReader`.

    Shape:
        - Input: `QueryInputs` of B users and the candidate embeddings of all items, (C, D)
        - Output: (B, D)
    """

    def __init__(self, num_users: int, sizes: EncodedSizes | None, config: TwoTowerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.base = nn.Parameter(torch.zeros(config.embedding_dim))
        self.sequence = None
        if config.reads_order:
            self.sequence = SequenceReader(
                config.embedding_dim, config.sequence, dropout=config.dropout
            )
        self.features = _FeatureBranch(sizes, config) if sizes else None
        self.user = None
        if config.user_embedding:
            # Row 0 stays zero: it is for users who were unknown at training time.
            self.user = nn.Embedding(num_users + 1, config.embedding_dim, padding_idx=0)
            nn.init.zeros_(self.user.weight)

    def forward(self, inputs: QueryInputs, item_CD: Tensor) -> Tensor:
        """Embed users."""
        if self.sequence is not None:
            return self._with_user(self.sequence(inputs.history, item_CD), inputs)
        lengths_B = inputs.history.offsets.diff().clamp(min=1)
        history_BD = bag_sum(item_CD, inputs.history) / lengths_B.sqrt()[:, None]
        return self._with_user(history_BD, inputs)

    def queries_to_train(self, inputs: QueryInputs, item_CD: Tensor) -> Tensor:
        """The queries of a batch: one a user, of a sequence one before each item and at the end.

        Returns:
            Shape (B, D); of sequences, (items of all histories + B, D), user by user.
        """
        if self.sequence is None:
            return self(inputs, item_CD)  # type: ignore[no-any-return]  # nn.Module has no types
        rows = torch.arange(len(inputs.history.offsets) - 1, device=item_CD.device)
        rows = rows.repeat_interleave(inputs.history.offsets.diff() + 1)
        places_PD = self.sequence.every_place(inputs.history, item_CD)
        return self._with_user(places_PD, inputs, rows)

    def _with_user(
        self, history_BD: Tensor, inputs: QueryInputs, rows: Tensor | None = None
    ) -> Tensor:
        """Queries from histories and what else is known of their users; `rows` are the users."""
        query_BD = history_BD + self.base
        if self.features is not None and inputs.features is not None:
            features_BD = self.features(inputs.features)
            query_BD = query_BD + (features_BD if rows is None else features_BD[rows])
        if self.user is not None and inputs.user_rows is not None:
            own_BD = self.user(inputs.user_rows)
            query_BD = query_BD + (own_BD if rows is None else own_BD[rows])
        return unit_heads(query_BD, self.num_heads)


class TwoTower(nn.Module):
    """Both towers; the score of a user and an item is the inner product of their vectors."""

    def __init__(
        self,
        *,
        num_users: int,
        num_items: int,
        user_sizes: EncodedSizes | None,
        item_sizes: EncodedSizes | None,
        config: TwoTowerConfig,
    ) -> None:
        super().__init__()
        self.query = QueryTower(num_users, user_sizes, config)
        self.candidate = CandidateTower(num_items, item_sizes, config)


class _FeatureBranch(nn.Module):
    """Features to a vector in the shared space."""

    def __init__(self, sizes: EncodedSizes, config: TwoTowerConfig) -> None:
        super().__init__()
        self.embedding = FeatureEmbedding(sizes)
        self.mlp = MLP(
            self.embedding.output_dim,
            config.hidden_dims,
            config.embedding_dim,
            dropout=config.dropout,
        )

    def forward(self, table: EncodedTable) -> Tensor:
        vectors_BD: Tensor = self.mlp(self.embedding(table))
        return vectors_BD


def unit_heads(vectors_BD: Tensor, num_heads: int) -> Tensor:
    """Vectors of unit length whose heads, equal parts of them, are equally long. Shape (B, D).

    The inner product of two such vectors is the mean of the cosines of their heads.
    """
    if num_heads == 1:
        return unit_length(vectors_BD)
    heads = vectors_BD.reshape(-1, vectors_BD.shape[1] // num_heads)
    return unit_length(heads, length=float(num_heads**-0.5)).view_as(vectors_BD)


def prefix(vectors_BD: Tensor, width: int) -> Tensor:
    """The first `width` dimensions, brought to unit length again. Shape (B, width)."""
    if width == vectors_BD.shape[1]:
        return vectors_BD
    return unit_length(vectors_BD[:, :width])


def searched_prefix(item_CD: Tensor, propagated_CD: Tensor | None, width: int) -> Tensor:
    """The first `width` dimensions of the vectors that are searched. Shape (C, width).

    Args:
        item_CD: Vectors of the candidate tower, of unit length.
        propagated_CD: What propagation adds to them; None for nothing.
        width: Dimensions to keep; the tower's part is normalised again, and the added part is
            scaled by the same factor.
    """
    if propagated_CD is None:
        return prefix(item_CD, width)
    if width == item_CD.shape[1]:
        return item_CD + propagated_CD
    cut_CW = item_CD[:, :width]
    lengths_C1: Tensor = torch.linalg.vector_norm(cut_CW.detach(), dim=1, keepdim=True)
    lengths_C1 = lengths_C1.clamp(min=1e-12)
    return unit_length(cut_CW) + propagated_CD[:, :width] / lengths_C1
