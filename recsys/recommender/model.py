"""A fitted recommender: towers, vocabularies and histories, from ids to vectors.

Shapes: B users, C items, D embedding width, W width of the vectors that are searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from torch import Tensor

from recsys.arrays import BoolArray, Float32Array
from recsys.config import config_class
from recsys.errors import ConfigError
from recsys.features.encoder import EncodedTable, Ragged, TableEncoder, rows_of
from recsys.features.history import UserItemMatrix, rows_or_empty
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.further_items import FurtherItems
from recsys.recommender.ranking.by_source import OWN_ITEMS, POPULARITY, SIMILAR_ITEMS, UserBlock
from recsys.recommender.ranking.ranker import UserItems
from recsys.recommender.ranking.topk import Embeddings
from recsys.recommender.towers.ragged import ragged_rows
from recsys.recommender.towers.sequence_reader import latest_items
from recsys.recommender.towers.two_tower import QueryInputs, TwoTower, prefix, searched_prefix
from recsys.schema import USER_ID

HISTORY, FEATURES = "history", "features"
"""Sources of a user's vector: what they did before, or their features alone."""

Ranking = Literal["model", "popular", "own", "item-item"]
"""What ranks: the towers, popularity, what a user took most often, or item-item cosine."""

_BLOCK_USERS = 4096
_SOURCES: dict[Ranking, str] = {
    "popular": POPULARITY, "own": OWN_ITEMS, "item-item": SIMILAR_ITEMS
}  # fmt: skip
_BELOW_SIMILARITY = np.float32(1e-3)
"""Weight of popularity beside cosines of items, so that it decides between equals alone."""


@config_class
class Selection:
    """What was chosen on validation data; the same for every refit."""

    num_epochs: int
    """Passes over the data."""
    popularity_half_life_days: float | None
    """Age at which an event counts half in the popularity of items; None: age does not matter."""
    training_half_life_days: float | None
    """The same in the loss."""
    popularity_weight: float
    """Share of log popularity in the score, in units of the logits; 0 for none."""
    temperature: float
    """What cosines are divided by in the loss."""
    propagation: float
    """Weight of propagation, which adds the vectors of an item's users to its own."""
    history_dropout: float
    """Share of a user's history that the query tower does not see while training."""
    embedding_dim: int
    """Width of the vectors; less than configured where the time budget is short."""
    filter_seen: bool = True
    """Whether these settings were chosen for lists that leave out what users had."""
    repeat_weight: float = 0.0
    """Weight of items that a user had, where lists may repeat them, in units of the logits."""
    repeat_half_life_days: float | None = None
    """Age at which an event counts half in what users had before."""
    ranking: Ranking = "model"
    """What ranks the items of lists: the model, or the baseline that it was clearly behind of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecommenderModel:
    """Embeds users and items so that inner products rank items for users.

    The searched vectors are the towers' unit vectors, with propagation added to those of items. If
    popularity has a weight, one coordinate follows: the item's log popularity times that weight.
    """

    config: TwoTowerConfig
    """What was trained."""
    selection: Selection
    """What was chosen on validation data."""
    towers: TwoTower
    """The networks, on the CPU, in evaluation mode."""
    users: Vocabulary
    """Users known at training time; rows of `histories`."""
    items: Vocabulary
    """The catalogue."""
    histories: UserItemMatrix
    """What the known users interacted with (`history_matrix`). Shape (users, C)."""
    user_table: pa.Table | None
    """Features of users, if the model has any; in a published model of all users of the table."""
    user_encoder: TableEncoder | None
    """How they are read."""
    item_encoder: TableEncoder | None
    """How features of items are read."""
    item_embeddings: Embeddings
    """Unit vectors of the candidate tower. Shape (C, D)."""
    item_propagated: Embeddings | None
    """What is added to them for the search (`Propagation`), if anything. Shape (C, D)."""
    log_popularity: Float32Array
    """Log share of the (decayed) events of each item, scaled to within -1 and 0. Shape (C,)."""
    popularity_scale: float
    """The largest size of a log share, which `log_popularity` was divided by."""
    repeats: UserItemMatrix | None = None
    """How often the known users took each item (`repeat_matrix`), where that has a weight."""
    neighbours: UserItems | None = None
    """Cosines of items, where these rank: of an item that a user had (row) for another (C, C)."""
    further: FurtherItems | None = None
    """Items that users had in events that were not learnt from, if any."""
    learnt_until: datetime | None = None
    """Time of the last event that was learnt from, where events have times."""
    _item_tensor: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_item_tensor", torch.from_numpy(self.item_embeddings))

    @property
    def popularity_coordinate(self) -> float:
        """What a user's vector ends with; 0 when popularity has no weight."""
        weight = self.selection.popularity_weight
        return weight * self.selection.temperature * self.popularity_scale

    @property
    def known_source(self) -> str:
        """Source of the lists of users with a history."""
        return HISTORY if self.selection.ranking == "model" else _SOURCES[self.selection.ranking]

    @property
    def popular_scores(self) -> Float32Array:
        """Scores of items for users who are ranked without a vector. Shape (C,)."""
        if self.neighbours is None:
            return self.log_popularity
        return self.log_popularity * _BELOW_SIMILARITY

    def own_terms(
        self, histories: UserItemMatrix, repeats: UserItemMatrix | None
    ) -> UserItems | None:
        """What is added to the scores of items for each user; None for nothing.

        Args:
            histories: What each user interacted with. Shape (B, C).
            repeats: How often, where that has a weight. Shape (B, C).
        """
        if self.neighbours is not None:
            had = sparse.csr_array(
                (np.ones_like(histories.data), histories.indices, histories.indptr),
                shape=histories.shape,
            )
            terms = cast("UserItems", sparse.csr_array(had @ self.neighbours))
            terms.sort_indices()
            return terms
        weight = self.selection.repeat_weight * self.selection.temperature
        return None if repeats is None or not weight else repeats * np.float32(weight)

    def had(self, user_ids: pa.Array) -> UserItemMatrix:
        """Every item that users had at training time, learnt from or not. Shape (B, C)."""
        learnt = rows_or_empty(self.histories, self.users.numbers(user_ids))
        return learnt if self.further is None else learnt + self.further.rows(user_ids)

    def item_vectors(self, width: int | None = None) -> Embeddings:
        """Vectors of the catalogue to search, from the first `width` dimensions. Shape (C, W)."""
        added = self.item_propagated
        added_CD = None if added is None else torch.from_numpy(added)
        vectors_CD = searched_prefix(self._item_tensor, added_CD, self._checked(width)).numpy()
        if not self.popularity_coordinate:
            return np.ascontiguousarray(vectors_CD)
        return np.concatenate([vectors_CD, self.log_popularity[:, None]], axis=1)

    def query_vectors(
        self,
        histories: UserItemMatrix,
        features: EncodedTable | None,
        *,
        user_rows: Tensor | None = None,
        width: int | None = None,
    ) -> Embeddings:
        """Vectors of users to search with.

        Args:
            histories: Items that each user interacted with (`history_matrix`). Shape (B, C).
            features: Features of each user, if the model has any.
            user_rows: Rows of the users in the user embeddings, if the model has any.
            width: Dimensions to use.

        Returns:
            Shape (B, W).
        """
        inputs = QueryInputs(history=self._read(histories), features=features, user_rows=user_rows)
        with torch.inference_mode():
            query_BD = self.towers.query(inputs, self._item_tensor)
            vectors_BD = prefix(query_BD, self._checked(width)).numpy()
        if not self.popularity_coordinate:
            return np.ascontiguousarray(vectors_BD)
        last_B1 = np.full((len(vectors_BD), 1), self.popularity_coordinate, dtype=np.float32)
        return np.concatenate([vectors_BD, last_B1], axis=1)

    def embed_users(
        self,
        user_ids: pa.Array,
        *,
        histories: UserItemMatrix | None = None,
        user_table: pa.Table | None = None,
        width: int | None = None,
    ) -> tuple[Embeddings, pa.Array]:
        """Vectors of users by id, whether they were there at training time or not.

        Args:
            user_ids: Ids of the type of training. Shape (B,).
            histories: What they interacted with, row by row; the histories of training by default,
                which for unknown users are empty. Shape (B, C).
            user_table: Their features; those of training by default.
            width: Dimensions to use.

        Returns:
            Vectors of shape (B, W), and what each was made from: history, features or popularity.
            A vector made from popularity says nothing of its user.
        """
        numbers = self.users.numbers(user_ids)
        if histories is None:
            histories = rows_or_empty(self.histories, numbers)
        features, described = self._features(user_ids, user_table)
        rows = torch.from_numpy(numbers + 1) if self.config.user_embedding else None
        vectors_BW = self.query_vectors(histories, features, user_rows=rows, width=width)
        active = np.diff(histories.indptr) > 0
        sources = np.where(active, HISTORY, np.where(described, FEATURES, POPULARITY))
        if self.selection.ranking != "model":
            sources = np.where(active, _SOURCES[self.selection.ranking], POPULARITY)
        return vectors_BW, pa.array(sources.tolist(), type=pa.string())

    def user_blocks(
        self,
        user_ids: pa.Array,
        *,
        histories: UserItemMatrix | None = None,
        user_table: pa.Table | None = None,
        repeats: UserItemMatrix | None = None,
        width: int | None = None,
        first_number: int = 0,
    ) -> Iterator[UserBlock]:
        """Users and their vectors, block by block; users are numbered in their order."""
        for start in range(0, len(user_ids), _BLOCK_USERS):
            ids = user_ids[start : start + _BLOCK_USERS]
            rows = (
                rows_or_empty(self.histories, self.users.numbers(ids))
                if histories is None
                else histories[start : start + len(ids)]
            )
            queries, sources = self.embed_users(
                ids, histories=rows, user_table=user_table, width=width
            )
            yield UserBlock(
                user_ids=ids,
                user_numbers=np.arange(start, start + len(ids)) + first_number,
                queries=queries,
                sources=sources,
                own=self.own_terms(
                    rows, None if repeats is None else repeats[start : start + len(ids)]
                ),
            )

    def _read(self, histories: UserItemMatrix) -> Ragged:
        """Histories as the query tower reads them."""
        if self.config.reads_order:
            return latest_items(histories, self.config.sequence.max_items)
        return ragged_rows(histories)

    def _features(
        self, user_ids: pa.Array, user_table: pa.Table | None
    ) -> tuple[EncodedTable | None, BoolArray]:
        """Encoded features, and which users have any."""
        table = self.user_table if user_table is None else user_table
        if self.user_encoder is None or table is None:
            return None, np.zeros(len(user_ids), dtype=np.bool_)
        rows = rows_of(table, USER_ID, user_ids)
        described = np.asarray(rows[USER_ID].is_valid().combine_chunks())
        return self.user_encoder.encode(rows), described

    def _checked(self, width: int | None) -> int:
        if width is None:
            return self.config.embedding_dim
        if not 1 <= width <= self.config.embedding_dim:
            raise ConfigError(
                f"prefix_dim: expected at least 1 and at most the {self.config.embedding_dim} "
                f"dimensions of the model, got {width}"
            )
        return width
