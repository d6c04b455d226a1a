"""An earlier model as a ranker in the catalogue of a later one.

Shapes: U users, B users of a call, C items of the later catalogue, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Int64Array
from recsys.datasets.dataset import Dataset
from recsys.features.history import UserItemMatrix, history_matrix, repeat_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import exact_lists
from recsys.recommender.ranking.ranker import NO_ITEM


@dataclass(frozen=True, kw_only=True, eq=False)
class ChampionRanker:
    """Ranks the items of its own catalogue that are still there, from today's histories."""

    model: RecommenderModel
    """The model."""
    user_ids: pa.Array
    """Users, by number. Shape (U,)."""
    histories: UserItemMatrix
    """What they did up to the moment of ranking, in items of the model."""
    user_table: pa.Table | None
    """Their features as they are today."""
    repeats: UserItemMatrix | None
    """How often they took each item, where that has a weight."""
    later_number: Int64Array
    """Number of each item of the model in the later catalogue; `NO_ITEM` where it is gone."""

    @classmethod
    def of(
        cls, model: RecommenderModel, before: Dataset, *, users: pa.Array, items: Vocabulary
    ) -> ChampionRanker:
        """A model over the users and items of a later comparison.

        Args:
            model: The earlier model.
            before: What was known before the measured part.
            users: Users of the comparison, by number.
            items: Items of the comparison.
        """
        log, known = before.interactions, Vocabulary(users)
        histories = history_matrix(
            log, users=known, items=model.items, ordered=model.config.reads_order
        )
        repeats = None
        if model.selection.repeat_weight:
            half_life = model.selection.repeat_half_life_days
            repeats = repeat_matrix(log, users=known, items=model.items, half_life_days=half_life)
        return cls(
            model=model,
            user_ids=users,
            histories=histories,
            user_table=before.users,
            repeats=repeats,
            later_number=items.numbers(model.items.terms),
        )

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItemMatrix | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank as `ranking.Ranker` says."""
        ids, histories = self.user_ids.take(pa.array(user_numbers)), self.histories[user_numbers]
        queries_BW, sources = self.model.embed_users(
            ids, histories=histories, user_table=self.user_table
        )
        is_there = self.later_number != NO_ITEM
        items_BK, scores_BK = exact_lists(
            queries_BW,
            sources,
            k,
            vectors_CD=self.model.item_vectors(),
            popularity_C=self.model.popular_scores,
            excluded=None if train is None else histories,
            eligible=None if is_there.all() else is_there,
            own=self.model.own_terms(
                histories, None if self.repeats is None else self.repeats[user_numbers]
            ),
        )
        return np.where(items_BK == NO_ITEM, NO_ITEM, self.later_number[items_BK]), scores_BK
