"""Measures of recommendation lists, as pure functions.

Lists are ranked by the tie rule of `recommender.ranking`: score descending, then item number
ascending. A row of `items_UK` is one user's list, best first, distinct items, padded at its end
with `NO_ITEM`.

Accuracy measures take the matrix of hits, read its first k columns and return one value a user,
NaN for a user without relevant items; means are over the other users. Recall and NDCG follow the
convention of the LightGCN line of papers (He et al. 2020, "LightGCN", SIGIR): recall divides by all
of the user's relevant items, not by min(k, relevant), and NDCG cuts the ideal list at k, with
binary relevance.

Shapes: U users, C items of the catalogue, K list length, D embedding width, G groups of users.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.arrays import BoolArray, Float64Array, FloatArray, Int64Array
from recsys.errors import ConfigError
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems, check_k, distinct

_T = TypeVar("_T", bound=np.generic)


def relevant_counts(relevant: UserItems) -> Int64Array:
    """Number of distinct relevant items of each user. `relevant` (U, C) to (U,)."""
    return np.diff(distinct(relevant).indptr).astype(np.int64)


def hit_matrix(items_UK: Int64Array, relevant: UserItems) -> BoolArray:
    """Which places of the lists hold a relevant item. Shapes (U, K) and (U, C) to (U, K)."""
    num_users, num_items = relevant.shape
    entries = distinct(relevant)
    rows = np.repeat(np.arange(num_users, dtype=np.int64), np.diff(entries.indptr))
    pairs = rows * num_items + entries.indices  # a user and an item as one number
    wanted_UK = np.arange(num_users, dtype=np.int64)[:, None] * num_items + items_UK
    hits_UK: BoolArray = np.isin(wanted_UK, pairs) & (items_UK != NO_ITEM)
    return hits_UK


def recall_at_k(hits_UK: BoolArray, relevant_U: Int64Array, *, k: int) -> Float64Array:
    """Share of a user's relevant items that are among the first k. Range [0, 1].

    Args:
        hits_UK: From `hit_matrix`, K at least k.
        relevant_U: From `relevant_counts`.
        k: List length.

    Returns:
        Shape (U,); NaN without relevant items.
    """
    return _known(_first(hits_UK, k).sum(axis=1) / np.maximum(relevant_U, 1), relevant_U)


def ndcg_at_k(hits_UK: BoolArray, relevant_U: Int64Array, *, k: int) -> Float64Array:
    """Normalised discounted cumulative gain with binary relevance. Range [0, 1].

    Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques": a hit at rank
    r gains 1 / log2(r + 1); the sum is divided by that of the ideal list of length k.

    Args and returns as for `recall_at_k`.
    """
    gains_K = 1 / np.log2(np.arange(2, k + 2))
    ideal_U: Float64Array = np.cumsum(gains_K)[np.clip(relevant_U, 1, k) - 1]
    gained_U = (_first(hits_UK, k) * gains_K).sum(axis=1)
    return _known(gained_U / ideal_U, relevant_U)


def mrr_at_k(hits_UK: BoolArray, relevant_U: Int64Array, *, k: int) -> Float64Array:
    """Reciprocal rank of the first hit, 0 without one. Range [0, 1].

    Voorhees 1999, "The TREC-8 question answering track report". Args and returns as for
    `recall_at_k`.
    """
    first_hits_UK = _first(hits_UK, k)
    reciprocal_U: Float64Array = 1 / (first_hits_UK.argmax(axis=1) + 1)
    return _known(reciprocal_U * first_hits_UK.any(axis=1), relevant_U)


def hit_rate_at_k(hits_UK: BoolArray, relevant_U: Int64Array, *, k: int) -> Float64Array:
    """1 for a user with at least one hit among the first k, else 0.

    Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms". Args and returns as
    for `recall_at_k`.
    """
    return _known(np.where(_first(hits_UK, k).any(axis=1), 1.0, 0.0), relevant_U)


def catalogue_coverage(items_UK: Int64Array, *, num_items: int) -> float:
    """Share of the catalogue that appears in at least one list. Range [0, 1].

    Ge, Delgado-Battenfeld and Jannach 2010, "Beyond accuracy", RecSys.
    """
    return float(np.count_nonzero(_exposures(items_UK, num_items)) / num_items)


def exposure_gini(items_UK: Int64Array, *, num_items: int) -> float:
    """Gini index of the number of lists that items appear in. Range [0, 1).

    0 when every item of the catalogue appears equally often, near 1 when a few take all places;
    NaN when no list has an item. Shani and Gunawardana 2011, "Evaluating recommendation systems".
    """
    exposures_C = np.sort(_exposures(items_UK, num_items)).astype(np.float64)
    total = exposures_C.sum()
    if total == 0:
        return float("nan")
    ranks_C = np.arange(1, num_items + 1)
    return float(((2 * ranks_C - num_items - 1) @ exposures_C) / (num_items * total))


def item_popularity(train: UserItems) -> Float64Array:
    """Share of the users with any interaction who interacted with the item. (U, C) to (C,)."""
    entries = distinct(train)
    counts_C = np.bincount(entries.indices, minlength=train.shape[1])
    return counts_C.astype(np.float64) / _num_active(entries)


def self_information(train: UserItems) -> Float64Array:
    """Bits of surprise of each item, -log2 of its popularity. Train (U, C) to (C,).

    Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems",
    PNAS. An item that nobody interacted with counts as one that a single user did, so that the
    value stays finite.
    """
    information_C: Float64Array = -np.log2(
        np.maximum(item_popularity(train), 1 / _num_active(train))
    )
    return information_C


def list_mean(items_UK: Int64Array, values_C: Float64Array, *, k: int) -> Float64Array:
    """Mean over the first k items of each list of a value of the item.

    With `self_information` it is the novelty of a list, with `item_popularity` its popularity.

    Args:
        items_UK: Lists.
        values_C: One finite value an item.
        k: List length.

    Returns:
        Shape (U,); NaN for an empty list.
    """
    return _row_mean(_incidence(_first(items_UK, k), len(values_C)), values_C)


def history_mean(train: UserItems, values_C: Float64Array) -> Float64Array:
    """Mean over each user's train items of a value of the item. Shape (U,); NaN without items."""
    return _row_mean(distinct(train), values_C)


def popularity_lift(
    list_popularity_G: Float64Array, history_popularity_G: Float64Array
) -> Float64Array:
    """How much more popular lists are than the histories of the same users, as a share of these.

    Abdollahpouri, Mansoury, Burke and Mobasher 2020, "The connection between popularity bias,
    calibration, and fairness in recommendation", RecSys: (GAP_q - GAP_p) / GAP_p, where the group
    average popularity GAP is a mean over the users of a group of the mean popularity of each
    user's items, recommended (q) or in the history (p).

    Args:
        list_popularity_G: GAP_q of each group.
        history_popularity_G: GAP_p of each group.

    Returns:
        Shape (G,), from -1; 0 keeps the users' own level, 1 doubles it.
    """
    return _quotient(list_popularity_G - history_popularity_G, history_popularity_G)


def intra_list_diversity(
    items_UK: Int64Array, embeddings_CD: FloatArray, *, k: int
) -> Float64Array:
    """1 minus the mean cosine of the pairs of a list's first k items. Range [0, 2].

    Ziegler et al. 2005, "Improving recommendation lists through topic diversification", WWW. No
    pair is formed: with unit vectors v_i, the sum over i != j of <v_i, v_j> is
    |sum of v_i|^2 - sum of |v_i|^2. A zero vector has cosine 0 with every other.

    Args:
        items_UK: Lists.
        embeddings_CD: Item vectors of any length.
        k: List length.

    Returns:
        Shape (U,); NaN for a list with fewer than two items.
    """
    lengths_C1 = np.linalg.norm(embeddings_CD, axis=1, keepdims=True)
    unit_CD = np.divide(
        embeddings_CD, lengths_C1, where=lengths_C1 > 0, out=np.zeros_like(embeddings_CD)
    )
    lists = _incidence(_first(items_UK, k), len(unit_CD))
    sums_UD = lists @ unit_CD
    squares_U = lists @ (lengths_C1[:, 0] > 0).astype(np.float64)
    counts_U = np.diff(lists.indptr).astype(np.float64)
    pairs_U = np.einsum("ud,ud->u", sums_UD, sums_UD) - squares_U
    return 1 - _quotient(pairs_U, counts_U * (counts_U - 1))


def _first(matrix_UK: npt.NDArray[_T], k: int) -> npt.NDArray[_T]:
    check_k(k)
    if k > matrix_UK.shape[1]:
        raise ConfigError(
            f"k: expected at most {matrix_UK.shape[1]}, the length of the lists, got {k}; "
            "rank longer lists"
        )
    return matrix_UK[:, :k]


def _num_active(train: UserItems) -> int:
    """Number of users with any interaction, at least 1."""
    return max(int(np.count_nonzero(np.diff(train.indptr))), 1)


def _known(values_U: Float64Array, relevant_U: Int64Array) -> Float64Array:
    return np.where(relevant_U > 0, values_U, np.nan)


def _quotient(numerator: Float64Array, denominator: npt.NDArray[np.number]) -> Float64Array:
    """The quotient, NaN where the denominator is 0."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, where=denominator != 0, out=quotient)
    return quotient


def _row_mean(rows: UserItems, values_C: Float64Array) -> Float64Array:
    """Mean value of the items of each row, all entries being 1; NaN for an empty row."""
    sums_U = np.asarray(rows @ values_C, dtype=np.float64)
    return _quotient(sums_U, np.diff(rows.indptr))


def _exposures(items_UK: Int64Array, num_items: int) -> Int64Array:
    return np.bincount(items_UK[items_UK != NO_ITEM], minlength=num_items)


def _incidence(items_UK: Int64Array, num_items: int) -> UserItems:
    """Lists as a matrix (U, C) of ones."""
    filled_UK = items_UK != NO_ITEM
    offsets = np.concatenate([[0], np.cumsum(filled_UK.sum(axis=1))])
    items = items_UK[filled_UK]
    return sparse.csr_array(
        (np.ones(len(items), dtype=np.float32), items, offsets), shape=(len(items_UK), num_items)
    )
