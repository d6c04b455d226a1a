"""Lists that may repeat a user's own items: these get a term added to their score.

A term is never negative, so the best items by the sum are among the model's best and the user's
own: the search does not have to know the terms, and stays exact.

Shapes: B users, C items, K list length, D width, E entries of own items.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems

_BUFFER_VALUES = 1 << 24
"""Numbers of item vectors that are held at a time."""


def add_own_terms(
    items_BK: Int64Array,
    scores_BK: Float32Array,
    own: UserItems,
    *,
    queries_BD: Float32Array,
    vectors_CD: Float32Array,
    excluded: UserItems | None = None,
    eligible: BoolArray | None = None,
) -> tuple[Int64Array, Float32Array]:
    """The best items of each user once terms are added to the scores of their own items.

    Args:
        items_BK: The best items by inner product alone, padded with `NO_ITEM`.
        scores_BK: Their scores.
        own: Terms, not negative, columns ascending within a row. Shape (B, C).
        queries_BD: Vectors of the users.
        vectors_CD: Vectors of the items.
        excluded: Items that a user must not get. Shape (B, C).
        eligible: Items that anyone may get; None for all. Shape (C,).

    Returns:
        Items and scores by the tie rule of `recsys.recommender.ranking.ranker`. Shape (B, K) each.
    """
    num_users, num_items = own.shape
    rows_E = np.repeat(np.arange(num_users), np.diff(own.indptr))
    columns_E, terms_E = own.indices.astype(np.int64), own.data.astype(np.float32)
    keys_E = rows_E * num_items + columns_E
    scores_BK = _with_terms(items_BK, scores_BK, keys_E, terms_E, num_items)

    allowed_E = np.ones(len(keys_E), dtype=np.bool_) if eligible is None else eligible[columns_E]
    if excluded is not None:
        allowed_E &= ~np.isin(keys_E, _keys(excluded))
    listed = (np.arange(num_users)[:, None] * num_items + items_BK)[items_BK != NO_ITEM]
    new = np.flatnonzero(allowed_E & ~np.isin(keys_E, listed))
    rows, columns = rows_E[new], columns_E[new]
    scores = _inner_products(queries_BD, vectors_CD, rows, columns) + terms_E[new]
    return _merged(items_BK, scores_BK, rows, columns, scores)


def _with_terms(
    items_BK: Int64Array,
    scores_BK: Float32Array,
    keys_E: Int64Array,
    terms_E: Float32Array,
    num_items: int,
) -> Float32Array:
    """Scores of listed items with the terms of those that are the user's own."""
    if not len(keys_E):
        return scores_BK
    asked_BK = np.arange(len(items_BK))[:, None] * num_items + items_BK
    places_BK = np.minimum(np.searchsorted(keys_E, asked_BK), len(keys_E) - 1)
    is_own_BK = (keys_E[places_BK] == asked_BK) & (items_BK != NO_ITEM)
    return np.where(is_own_BK, scores_BK + terms_E[places_BK], scores_BK)


def _inner_products(
    queries_BD: Float32Array,
    vectors_CD: Float32Array,
    rows: Int64Array,
    columns: Int64Array,
) -> Float32Array:
    found = np.empty(len(rows), dtype=np.float32)
    step = max(1, _BUFFER_VALUES // max(queries_BD.shape[1], 1))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        found[part] = np.einsum("ed,ed->e", queries_BD[rows[part]], vectors_CD[columns[part]])
    return found


def _merged(
    items_BK: Int64Array,
    scores_BK: Float32Array,
    rows: Int64Array,
    columns: Int64Array,
    scores: Float32Array,
) -> tuple[Int64Array, Float32Array]:
    """The best of the lists and of further items of some rows, by the tie rule."""
    num_users, k = items_BK.shape
    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    starts = np.searchsorted(rows, np.arange(num_users))
    places = np.arange(len(rows)) - starts[rows]
    width = min(k, int(places.max(initial=-1)) + 1)
    more_BW = np.full((num_users, width), NO_ITEM, dtype=np.int64)
    more_scores_BW = np.full((num_users, width), -np.inf, dtype=np.float32)
    kept = places < width
    more_BW[rows[kept], places[kept]] = columns[kept]
    more_scores_BW[rows[kept], places[kept]] = scores[kept]
    all_items = np.concatenate([items_BK, more_BW], axis=1)
    all_scores = np.concatenate([scores_BK, more_scores_BW], axis=1)
    best_BK = np.lexsort((all_items, -all_scores), axis=1)[:, :k]
    return (
        np.take_along_axis(all_items, best_BK, axis=1),
        np.take_along_axis(all_scores, best_BK, axis=1),
    )


def _keys(matrix: UserItems) -> Int64Array:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(sparse.csr_array(matrix).indptr))
    keys: Int64Array = rows * matrix.shape[1] + matrix.indices
    return keys
