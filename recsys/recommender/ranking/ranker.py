"""Ranked lists: the tie rule, top-k by that rule, and the protocol that every ranker follows.

The tie rule, here and nowhere else: a list is ordered by score, highest first, and items of equal
score by item number, lowest first. Item numbers follow ascending item ids, so a list depends
neither on the order of the rows that were read nor on the batch that a user was scored in.

An item that must not be recommended has the score -inf. A list with fewer than k eligible items
ends with `NO_ITEM`, whose score is -inf.

Shapes: U all users, B users of one batch, C items of the catalogue, K list length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from scipy import sparse

from recsys.arrays import Float32Array, Int64Array
from recsys.errors import ConfigError, DataError

MAX_K = 2**31 - 1
"""The longest list: ranks are numbers of 32 bits."""

NO_ITEM = -1
"""The item number in the places of a list that no eligible item can fill."""

UserItems: TypeAlias = sparse.csr_array[np.float32, tuple[int, int]]
"""Interactions as a matrix (U, C). Every stored entry is an interaction, whatever its value, even
0."""


class Ranker(Protocol):
    """The protocol of every model and baseline: the best k items of some users."""

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItems | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank the catalogue for each user, by the tie rule of this module.

        Args:
            user_numbers: Users to rank for. Shape (B,).
            k: List length, at least 1.
            train: Matrix (U, C) whose rows name the items not to recommend to each user; None
                excludes nothing.

        Returns:
            Item numbers (B, K), distinct within a list, and their scores (B, K), which do not
            increase; `NO_ITEM` and -inf where fewer than k items are eligible.
        """
        ...


def top_k(scores_BC: Float32Array, k: int) -> tuple[Int64Array, Float32Array]:
    """The k best items of each row, by the tie rule of this module.

    Linear in C: one partition finds the k-th best score of a row, everything above it is in, and
    of the items that equal it the lowest numbers fill what is left. Sorts k values, not C.

    Args:
        scores_BC: Scores, -inf for items that are not eligible. Shape (B, C).
        k: List length; may exceed C.

    Returns:
        Item numbers and scores, each of shape (B, K), padded as the module says.

    Raises:
        ConfigError: k is below 1.
        DataError: A score is NaN or +inf.

    Examples:
        >>> items_BK, _ = top_k(np.array([[1, 2, 2, 2]], dtype=np.float32), k=2)
        >>> items_BK.tolist()
        [[1, 2]]
    """
    check_k(k)
    scores_BC = np.asarray(scores_BC, dtype=np.float32)
    num_rows, num_items = scores_BC.shape
    items_BK = np.full((num_rows, k), NO_ITEM, dtype=np.int64)
    best_BK = np.full((num_rows, k), -np.inf, dtype=np.float32)
    width = min(k, num_items)
    if scores_BC.size == 0:
        return items_BK, best_BK
    _check_scores(scores_BC)

    chosen_BK = _choose(scores_BC, width)
    chosen_scores_BK = np.take_along_axis(scores_BC, chosen_BK, axis=1)
    order_BK = np.argsort(-chosen_scores_BK, axis=1, kind="stable")  # stable: ties stay ascending
    best_BK[:, :width] = np.take_along_axis(chosen_scores_BK, order_BK, axis=1)
    items_BK[:, :width] = np.take_along_axis(chosen_BK, order_BK, axis=1)
    items_BK[best_BK == -np.inf] = NO_ITEM
    return items_BK, best_BK


def exclude(scores_BC: Float32Array, excluded: UserItems) -> None:
    """Set, in place, the score of every stored entry of `excluded` (B, C) to -inf."""
    rows = np.repeat(np.arange(scores_BC.shape[0]), np.diff(excluded.indptr))
    scores_BC[rows, excluded.indices] = -np.inf


def rank_all(
    ranker: Ranker,
    user_numbers: Int64Array,
    *,
    k: int,
    train: UserItems | None,
    batch_size: int = 128,
) -> Iterator[tuple[Int64Array, Int64Array, Float32Array]]:
    """Rank for many users, one batch at a time, so that memory does not grow with their number.

    Args:
        ranker: A model or a baseline.
        user_numbers: Users in the order in which the lists are wanted. Shape (U,).
        k: List length.
        train: Items not to recommend, as for `Ranker.rank`.
        batch_size: Users ranked at once.

    Yields:
        User numbers (B,), item numbers (B, K) and scores (B, K) of each batch.
    """
    for start in range(0, len(user_numbers), batch_size):
        batch_B = user_numbers[start : start + batch_size]
        items_BK, scores_BK = ranker.rank(batch_B, k=k, train=train)
        yield batch_B, items_BK, scores_BK


def distinct(interactions: UserItems) -> UserItems:
    """A copy with each pair once, all values 1 and sorted indices. Shape (U, C)."""
    pairs = sparse.csr_array(interactions, copy=True)
    pairs.sum_duplicates()
    pairs.data = np.ones(pairs.nnz, dtype=np.float32)
    return pairs


def check_k(k: int) -> None:
    """Refuse a list length that no rank can number with a ConfigError."""
    if not 1 <= k <= MAX_K:
        raise ConfigError(
            f"k: expected a list length of at least 1 and at most {MAX_K}, got {k}; set another k"
        )


def list_length(k: int, num_items: int) -> int:
    """Length of the lists if k items are requested: no list is longer than its catalogue."""
    check_k(k)
    return min(k, max(num_items, 1))


def check_user_numbers(user_numbers: Int64Array, num_users: int) -> None:
    """Refuse numbers outside [0, num_users) with a DataError: numpy would wrap negative ones."""
    outside = np.count_nonzero((user_numbers < 0) | (user_numbers >= num_users))
    if outside:
        raise DataError(
            file="user_numbers",
            expected=f"numbers from 0 to {num_users - 1}",
            got=f"{outside} outside",
            remedy="rank only users of the vocabulary that the matrix was built with",
        )


def _choose(scores_BC: Float32Array, width: int) -> Int64Array:
    """The `width` best items of each row, ascending by item number. Shape (B, width)."""
    num_rows, num_items = scores_BC.shape
    cut = num_items - width
    threshold_B1 = np.partition(scores_BC, cut, axis=1)[:, cut : cut + 1]
    rows, items = np.nonzero(scores_BC >= threshold_B1)  # row by row, items ascending
    is_tie = scores_BC[rows, items] == threshold_B1[rows, 0]

    ties_B = np.bincount(rows[is_tie], minlength=num_rows)
    above_B = np.bincount(rows[~is_tie], minlength=num_rows)
    ties_before = np.cumsum(is_tie) - is_tie - (np.cumsum(ties_B) - ties_B)[rows]  # in the same row
    kept = ~is_tie | (ties_before < (width - above_B)[rows])
    chosen_BK: Int64Array = items[kept].reshape(num_rows, width)
    return chosen_BK


def _check_scores(scores_BC: Float32Array) -> None:
    best_B = scores_BC.max(axis=1)  # NaN spreads to the maximum, +inf is it
    num_bad = np.count_nonzero(np.isnan(best_B) | (best_B == np.inf))
    if num_bad:
        raise DataError(
            file="scores",
            expected="finite scores, or -inf for items that are not eligible",
            got=f"NaN or +inf in {num_bad} of {len(best_B)} rows",
            remedy="check the embeddings that made them",
        )
