"""Lists of users: by their vector if they have one, else the most popular items.

Shapes: B users, C items, D width, K list length, R some of the users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.ranker import UserItems
from recsys.recommender.ranking.topk import Embeddings, masked_top_k

POPULARITY = "popularity"
"""Source of the lists of users who have no embedding."""
OWN_ITEMS, SIMILAR_ITEMS = "own items", "similar items"
"""Sources of lists by a baseline: what the user took most often, or what goes with it."""
WITHOUT_VECTOR = (POPULARITY, OWN_ITEMS, SIMILAR_ITEMS)
"""Sources of lists that no vector is read for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UserBlock:
    """Some users and their query vectors, as a model makes them block by block."""

    user_ids: pa.Array
    """Their ids, int64 or string. Shape (B,)."""
    user_numbers: Int64Array
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
    by_vector: Callable[[Int64Array], tuple[Int64Array, Float32Array]],
    by_popularity: Callable[[Int64Array], tuple[Int64Array, Float32Array]],
) -> tuple[Int64Array, Float32Array]:
    """Lists of users with a vector, and of those without: the only place that distinguishes them.

    Args:
        sources: What is known of each user. Strings, shape (B,).
        k: List length.
        by_vector: Lists of the users at some places, which have a vector.
        by_popularity: Lists of the users at some places, who are ranked `WITHOUT_VECTOR`.

    Returns:
        Item numbers and scores. Shape (B, K) each.
    """
    popular_B = np.asarray(pc.is_in(sources, pa.array(WITHOUT_VECTOR)), dtype=np.bool_)
    items_BK = np.empty((len(popular_B), k), dtype=np.int64)
    scores_BK = np.empty((len(popular_B), k), dtype=np.float32)
    for is_meant_B, lists_of in ((popular_B, by_popularity), (~popular_B, by_vector)):
        places = np.flatnonzero(is_meant_B)
        if len(places):
            items_BK[places], scores_BK[places] = lists_of(places)
    return items_BK, scores_BK


def most_popular(
    popularity_C: Float32Array,
    num_users: int,
    k: int,
    *,
    excluded: UserItems | None,
    eligible: BoolArray | None = None,
    own: UserItems | None = None,
) -> tuple[Int64Array, Float32Array]:
    """The most popular items that each user may get; popularity is an inner product of width 1.

    Where users have terms of their own, these are added.
    """
    queries_B1 = np.ones((num_users, 1), dtype=np.float32)
    vectors_C1 = popularity_C[:, None]
    found = masked_top_k(queries_B1, vectors_C1, k, excluded=excluded, eligible=eligible)
    if own is None:
        return found
    return add_own_terms(
        *found, own, queries_BD=queries_B1, vectors_CD=vectors_C1,
        excluded=excluded, eligible=eligible,
    )  # fmt: skip


def exact_lists(
    queries_BD: Embeddings,
    sources: pa.Array,
    k: int,
    *,
    vectors_CD: Embeddings,
    popularity_C: Float32Array,
    excluded: UserItems | None,
    eligible: BoolArray | None = None,
    own: UserItems | None = None,
) -> tuple[Int64Array, Float32Array]:
    """The lists that would be written, by exact search: for measuring a model.

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

    def hidden(places: Int64Array) -> UserItems | None:
        return None if excluded is None else excluded[places]

    def by_vector(places: Int64Array) -> tuple[Int64Array, Float32Array]:
        queries_RD = queries_BD[places]
        found = masked_top_k(queries_RD, vectors_CD, k, excluded=hidden(places), eligible=eligible)
        if own is None:
            return found
        return add_own_terms(
            *found, own[places], queries_BD=queries_RD, vectors_CD=vectors_CD,
            excluded=hidden(places), eligible=eligible,
        )  # fmt: skip

    def by_popularity(places: Int64Array) -> tuple[Int64Array, Float32Array]:
        return most_popular(
            popularity_C, len(places), k, excluded=hidden(places), eligible=eligible,
            own=None if own is None else own[places],
        )  # fmt: skip

    return lists_by_source(sources, k, by_vector=by_vector, by_popularity=by_popularity)
