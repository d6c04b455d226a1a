"""An earlier model as a ranker in the catalogue of a later one.

Shapes: U users, B users of a call, C items of the later catalogue, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.datasets.dataset import Dataset
from recsys.features.history import UserItemMatrix, history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.model import POPULARITY, RecommenderModel
from recsys.recommender.ranking.ranker import NO_ITEM, Numbers, Scores
from recsys.recommender.ranking.topk import masked_top_k


@dataclass(frozen=True, kw_only=True, eq=False)
class ChampionRanker:
    """Ranks the items of its own catalogue that are still there, from today's histories."""

    model: RecommenderModel
    """What ranks."""
    user_ids: pa.Array
    """Users, by number. Shape (U,)."""
    histories: UserItemMatrix
    """What they did up to the moment of ranking, in items of the model."""
    user_table: pa.Table | None
    """Their features as they are today."""
    later_number: Numbers
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
        histories = history_matrix(
            before.interactions,
            users=Vocabulary(users),
            items=model.items,
            ordered=model.config.reads_order,
        )
        return cls(
            model=model,
            user_ids=users,
            histories=histories,
            user_table=before.users,
            later_number=items.numbers(model.items.terms),
        )

    def rank(
        self, user_numbers: Numbers, *, k: int, train: UserItemMatrix | None
    ) -> tuple[Numbers, Scores]:
        """Rank as `ranking.Ranker` says."""
        ids, histories = self.user_ids.take(pa.array(user_numbers)), self.histories[user_numbers]
        queries_BW, sources = self.model.embed_users(
            ids, histories=histories, user_table=self.user_table
        )
        excluded = None if train is None else histories
        is_there = self.later_number != NO_ITEM
        eligible = None if is_there.all() else is_there
        items_BK, scores_BK = masked_top_k(
            queries_BW, self.model.item_vectors(), k, excluded=excluded, eligible=eligible
        )
        popular = np.flatnonzero(np.asarray(sources) == POPULARITY)
        if len(popular):
            items_BK[popular], scores_BK[popular] = masked_top_k(
                np.ones((len(popular), 1), dtype=np.float32),
                self.model.log_popularity[:, None],
                k,
                excluded=None if excluded is None else excluded[popular],
                eligible=eligible,
            )
        return np.where(items_BK == NO_ITEM, NO_ITEM, self.later_number[items_BK]), scores_BK
