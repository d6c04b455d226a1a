"""A sample of users whose next interactions are known, to choose settings by.

Shapes: V users of the sample, C items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.arrays import Float64Array, Int64Array
from recsys.features.history import UserItemMatrix, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k, relevant_counts
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import exact_lists

_MAX_USERS = 8192


@dataclass(frozen=True, kw_only=True, eq=False)
class ValidationSample:
    """Users known at training time, with what they took afterwards."""

    user_numbers: Int64Array
    """Numbers of the users. Shape (V,)."""
    seen: UserItemMatrix
    """What they had before. Shape (V, C)."""
    relevant: UserItemMatrix
    """What they took afterwards. Shape (V, C)."""
    k: int
    """Length of the lists that NDCG is measured on."""
    filter_seen: bool = True
    """Whether lists leave out what the users had before."""
    repeats: UserItemMatrix | None = None
    """How often they took each item, where lists may hold it again. Shape (V, C)."""

    @property
    def hidden(self) -> UserItemMatrix | None:
        """What must not stand in a list."""
        return self.seen if self.filter_seen else None

    @classmethod
    def draw(
        cls,
        valid: pa.Table,
        *,
        users: Vocabulary,
        items: Vocabulary,
        histories: UserItemMatrix,
        k: int,
        seed: int,
        filter_seen: bool = True,
    ) -> ValidationSample:
        """At most 8,192 users of `valid` who are known and took known items."""
        relevant = user_item_matrix(valid, users=users, items=items)
        candidates = np.flatnonzero(np.diff(relevant.indptr))
        if len(candidates) > _MAX_USERS:
            rng = np.random.default_rng(seed)
            candidates = np.sort(rng.choice(candidates, _MAX_USERS, replace=False))
        return cls(
            user_numbers=candidates.astype(np.int64),
            seen=histories[candidates],
            relevant=relevant[candidates],
            k=k,
            filter_seen=filter_seen,
        )

    @property
    def num_users(self) -> int:
        """Size of the sample (V)."""
        return len(self.user_numbers)

    def quality(self, model: RecommenderModel) -> float:
        """Mean NDCG@k of a model's lists."""
        return float(np.mean(self.qualities(model)))

    def qualities(self, model: RecommenderModel) -> Float64Array:
        """NDCG@k of each user's list. Shape (V,)."""
        queries_VW, sources = model.embed_users(model.users.lookup(self.user_numbers))
        lists, _ = exact_lists(
            queries_VW,
            sources,
            self.k,
            vectors_CD=model.item_vectors(),
            popularity_C=model.popular_scores,
            excluded=self.hidden,
            own=model.own_terms(self.seen, self.repeats),
        )
        hits = hit_matrix(lists, self.relevant)
        return ndcg_at_k(hits, relevant_counts(self.relevant), k=self.k)
