"""Lists of users by what is known of them: by their vector, or else the most popular items.

Shapes: B users, C items, D width, K list length, R some of the users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.ranker import Numbers, Scores, UserItems
from recsys.recommender.ranking.topk import Embeddings, masked_top_k

POPULARITY = "popularity"
"""Source of the lists of users who have no embedding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UserBlock:
    """Some users and their query vectors, as a model makes them block by block."""

    user_ids: pa.Array
    """Their ids, int64 or string. Shape (B,)."""
    user_numbers: Numbers
    """Their rows in the filters, `UNKNOWN` for none. Shape (B,)."""
    queries: Embeddings
    """Their vectors; the row of a user whose source is `POPULARITY` is not read. Shape (B, D)."""
    sources: pa.Array
    """What each vector was made from. Strings, shape (B,)."""
    own: UserItems | None = None
    """Terms of items that they had, where lists may hold these again. Shape (B, C)."""


def lists_by_source(
    sources: pa.Array,
    k: int,
    *,
    by_vector: Callable[[Numbers], tuple[Numbers, Scores]],
    by_popularity: Callable[[Numbers], tuple[Numbers, Scores]],
) -> tuple[Numbers, Scores]:
    """Lists of users with a vector, and of those without one: the only place that tells them apart.

    Args:
        sources: What is known of each user. Strings, shape (B,).
        k: List length.
        by_vector: Lists of the users at some places, which have a vector.
        by_popularity: Lists of the users at some places, whose source is `POPULARITY`.

    Returns:
        Item numbers and scores. Shape (B, K) each.
    """
    popular_B = np.asarray(pc.equal(sources, POPULARITY), dtype=np.bool_)
    items_BK = np.empty((len(popular_B), k), dtype=np.int64)
    scores_BK = np.empty((len(popular_B), k), dtype=np.float32)
    for is_meant_B, lists_of in ((popular_B, by_popularity), (~popular_B, by_vector)):
        places = np.flatnonzero(is_meant_B)
        if len(places):
            items_BK[places], scores_BK[places] = lists_of(places)
    return items_BK, scores_BK


def most_popular(
    popularity_C: Scores,
    num_users: int,
    k: int,
    *,
    excluded: UserItems | None,
    eligible: npt.NDArray[np.bool_] | None = None,
) -> tuple[Numbers, Scores]:
    """The most popular items that each user may get; popularity is an inner product of width 1."""
    return masked_top_k(
        np.ones((num_users, 1), dtype=np.float32),
        popularity_C[:, None],
        k,
        excluded=excluded,
        eligible=eligible,
    )


def exact_lists(
    queries_BD: Embeddings,
    sources: pa.Array,
    k: int,
    *,
    vectors_CD: Embeddings,
    popularity_C: Scores,
    excluded: UserItems | None,
    eligible: npt.NDArray[np.bool_] | None = None,
    own: UserItems | None = None,
) -> tuple[Numbers, Scores]:
    """What the written lists would be, searched without an index: for measuring a model.

    Args:
        queries_BD: Vectors of users.
        sources: What each was made from. Shape (B,).
        k: List length.
        vectors_CD: Vectors of the catalogue.
        popularity_C: Finite scores for users without a vector.
        excluded: Items that a user must not get. Shape (B, C).
        eligible: Items that anyone may get; None for all. Shape (C,).
        own: Terms of items that users had, where these may come again. Shape (B, C).
    """

    def hidden(places: Numbers) -> UserItems | None:
        return None if excluded is None else excluded[places]

    def by_vector(places: Numbers) -> tuple[Numbers, Scores]:
        queries_RD = queries_BD[places]
        found = masked_top_k(queries_RD, vectors_CD, k, excluded=hidden(places), eligible=eligible)
        if own is None:
            return found
        return add_own_terms(
            *found, own[places], queries_BD=queries_RD, vectors_CD=vectors_CD,
            excluded=hidden(places), eligible=eligible,
        )  # fmt: skip

    def by_popularity(places: Numbers) -> tuple[Numbers, Scores]:
        return most_popular(
            popularity_C, len(places), k, excluded=hidden(places), eligible=eligible
        )

    return lists_by_source(sources, k, by_vector=by_vector, by_popularity=by_popularity)
