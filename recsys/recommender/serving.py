"""A model and its index together: from user ids to recommendations.

Shapes: B users, C items, W width of the vectors that are searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.errors import DataError
from recsys.features.history import UserItemMatrix, rows_or_empty
from recsys.recommender.index import IndexConfig, ItemIndex
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.list_files import RankedLists, lists_table
from recsys.recommender.lists.recommend import recommend
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model
from recsys.recommender.ranking.ranker import check_k
from recsys.schema import USER_ID

_NUM_SAMPLE_USERS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Recommender:
    """Recommends items to users, known or not."""

    model: RecommenderModel
    """Makes the vectors."""
    index: ItemIndex
    """Searches them."""

    @property
    def width(self) -> int:
        """Dimensions of the towers that the index holds, without the coordinate of popularity."""
        return self.index.report.embedding_dim - bool(self.model.popularity_coordinate)

    def recommend(
        self,
        user_ids: pa.Array,
        *,
        k: int,
        filters: Filters,
        histories: UserItemMatrix | None = None,
        repeats: UserItemMatrix | None = None,
        user_table: pa.Table | None = None,
    ) -> Iterator[RankedLists]:
        """Lists of users, block by block, in their order.

        Args:
            user_ids: Ids of the type of training. Shape (B,).
            k: List length; lists are no longer than the catalogue.
            filters: What must not stand in a list; rows in the order of `user_ids`.
            histories: What each user did before, (B, C); from training by default.
            repeats: How often each user took each item (`repeat_matrix`); known from training by
                default.
            user_table: Features of the users; known from training by default.
        """
        blocks = self.model.user_blocks(
            user_ids,
            histories=histories,
            repeats=self._known_repeats(user_ids) if repeats is None else repeats,
            user_table=user_table,
            width=self.width,
        )
        return recommend(
            blocks,
            index=self.index,
            filters=filters,
            k=k,
            popularity_C=self.model.popular_scores,
        )

    def recommend_table(self, user_ids: pa.Array, k: int) -> pa.Table:
        """Recommendations from the histories and features of training, best first.

        Items that users had are left out if the model was chosen for lists without them.

        Args:
            user_ids: Ids of the type of training, each once. Shape (B,).
            k: List length; lists are no longer than the catalogue.

        Returns:
            A row a user and rank: user_id, item_id, rank, score, source.

        Raises:
            ConfigError: k is out of range.
            DataError: Ids of another type, or null.
        """
        check_k(k)
        if user_ids.null_count:
            raise DataError(
                file="users",
                column=USER_ID,
                expected="an id in every row",
                got=f"{user_ids.null_count} nulls",
                remedy="leave these rows out",
            )
        seen = self.model.had(user_ids) if self.model.selection.filter_seen else None
        filters = Filters(num_items=len(self.model.items), seen=seen)
        lists = self.recommend(user_ids, k=k, filters=filters)
        return lists_table(lists, user_id_type=user_ids.type, item_ids=self.model.items)

    def _known_repeats(self, user_ids: pa.Array) -> UserItemMatrix | None:
        if self.model.repeats is None:
            return None
        return rows_or_empty(self.model.repeats, self.model.users.numbers(user_ids))


def build_index(
    model: RecommenderModel, config: IndexConfig, *, model_fingerprint: str, seed: int
) -> ItemIndex:
    """Index the catalogue of a model; its recall is measured on queries of known users."""
    width = config.prefix_dim
    num_users = len(model.users)
    numbers = np.arange(num_users)
    if num_users > _NUM_SAMPLE_USERS:
        numbers = np.random.default_rng(seed).choice(num_users, _NUM_SAMPLE_USERS, replace=False)
    queries_BW, _ = model.embed_users(model.users.lookup(np.sort(numbers)), width=width)
    return ItemIndex.build(
        model.item_vectors(width),
        # The model cuts its vectors itself, since the coordinate of popularity must stay.
        config=replace(config, prefix_dim=None),
        model_fingerprint=model_fingerprint,
        sample_queries_BD=queries_BW,
        seed=seed,
    )


def similarity_index(recommender: Recommender, config: IndexConfig, *, seed: int) -> ItemIndex:
    """An index whose inner products are cosines of items: the recommender's own if it is one."""
    if recommender.index.report.unit_norm:
        return recommender.index
    vectors_CD = recommender.model.item_embeddings
    return ItemIndex.build(
        vectors_CD,
        config=config,
        model_fingerprint=recommender.index.model_fingerprint,
        sample_queries_BD=vectors_CD,
        seed=seed,
    )


def load_recommender(
    model_folder: Path, index_folder: Path | None, *, in_child: bool = False
) -> Recommender:
    """Open a model and its index; without an index the catalogue is searched exactly.

    Args:
        model_folder: Bundle of the model.
        index_folder: Bundle of the index.
        in_child: Let a process of its own open the index first; see `ItemIndex.load`.

    Raises:
        ArtifactError: A bundle is missing or damaged.
        FingerprintMismatchError: The index was built from another model.
    """
    model, bundle = load_model(model_folder)
    if index_folder is not None:
        index = ItemIndex.load(
            index_folder, model_fingerprint=bundle.fingerprint, in_child=in_child
        )
    else:
        exact = IndexConfig(kind="exact")
        index = build_index(model, exact, model_fingerprint=bundle.fingerprint, seed=0)
    return Recommender(model=model, index=index)
