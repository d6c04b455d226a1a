"""Filters of lists: items already seen, denied pairs, items that are not eligible.

Shapes: B users of a block, C items, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.arrays import BoolArray, Int64Array
from recsys.errors import DataError
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.ranking.ranker import UserItems
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class Filters:
    """Rules that hold before a list is cut to its length, so that k items remain.

    Every stored entry of a matrix counts, whatever its value. A row stands for a user of the run,
    so the deny list also applies to a user who was unknown at training time, if the rows are
    numbered by a vocabulary that has them.
    """

    num_items: int
    """Size of the catalogue (C)."""
    seen: UserItems | None = None
    """Items that a user already has; None switches the rule off. Shape (users, C)."""
    denied: UserItems | None = None
    """Items that a user must never get. Shape (users, C)."""
    eligible: BoolArray | None = None
    """Items that anyone may get; None for the whole catalogue. Shape (C,)."""

    def __post_init__(self) -> None:
        shapes = {"seen": self.seen, "denied": self.denied, "eligible": self.eligible}
        for name, rule in shapes.items():
            if rule is not None and rule.shape[-1] != self.num_items:
                raise DataError(
                    file=name,
                    expected=f"{self.num_items} items",
                    got=str(rule.shape[-1]),
                    remedy="build it with the item vocabulary of the model",
                )

    @cached_property
    def num_eligible(self) -> int:
        """How many items of the catalogue anyone may get."""
        return self.num_items if self.eligible is None else int(np.count_nonzero(self.eligible))

    def excluded_rows(self, user_numbers: Int64Array) -> UserItems:
        """Items that each user must not get, seen or denied, each once and in ascending order.

        Args:
            user_numbers: Rows of the matrices; `UNKNOWN` for a user who has none. Shape (B,).

        Returns:
            Matrix of ones. Shape (B, C).
        """
        keys = [
            _pair_keys(matrix, user_numbers)
            for matrix in (self.seen, self.denied)
            if matrix is not None
        ]
        # Not np.unique: its hash table takes many times as long as sorting what is nearly sorted.
        merged = np.sort(np.concatenate([np.empty(0, np.int64), *keys]))
        distinct = merged[np.diff(merged, prepend=-1) != 0]
        rows, columns = np.divmod(distinct, self.num_items)
        bounds = np.searchsorted(rows, np.arange(len(user_numbers) + 1))
        ones = np.ones(len(columns), dtype=np.float32)
        return sparse.csr_array((ones, columns, bounds), shape=(len(user_numbers), self.num_items))


@dataclass(frozen=True, kw_only=True)
class MatchReport:
    """How many rows of a list of ids could be used."""

    num_rows: int
    """Rows of the table."""
    num_unknown_users: int
    """Rows whose user is null or not in the vocabulary; they have no effect."""
    num_unknown_items: int
    """Rows whose item is null or not in the vocabulary; they have no effect."""
    num_used: int
    """Distinct pairs, or distinct items, that remain."""

    @property
    def knows_a_side(self) -> bool:
        """Of pairs: whether some of their users or some of their items are known."""
        return min(self.num_unknown_users, self.num_unknown_items) < self.num_rows


def user_item_pairs(
    table: pa.Table, *, users: Vocabulary, items: Vocabulary
) -> tuple[UserItems, MatchReport]:
    """Matrix of the pairs in a table, e.g. a deny list or the interactions that count as seen.

    Args:
        table: Columns user_id and item_id; a pair may stand in it more than once.
        users: The users of the run, in the order of the matrix rows.
        items: The items of the catalogue.

    Returns:
        The matrix of shape (len(users), len(items)) and the count of rows without effect.

    Raises:
        DataError: A column is missing or has another type than the vocabulary.
    """
    user_numbers = users.numbers(_column(table, USER_ID))
    item_numbers = items.numbers(_column(table, ITEM_ID))
    known = (user_numbers != UNKNOWN) & (item_numbers != UNKNOWN)
    pairs = user_numbers[known], item_numbers[known]
    ones = np.ones(int(known.sum()), dtype=np.float32)
    matrix = sparse.coo_array((ones, pairs), shape=(len(users), len(items))).tocsr()
    return matrix, MatchReport(
        num_rows=table.num_rows,
        num_unknown_users=int(np.count_nonzero(user_numbers == UNKNOWN)),
        num_unknown_items=int(np.count_nonzero(item_numbers == UNKNOWN)),
        num_used=int(matrix.nnz),
    )


def eligible_items(table: pa.Table, *, items: Vocabulary) -> tuple[BoolArray, MatchReport]:
    """Flags of the items that a table lists.

    Args:
        table: Column item_id; an item may stand in it more than once.
        items: The items of the catalogue.

    Returns:
        Flags of shape (len(items),) and the count of rows without effect.

    Raises:
        DataError: The column is missing or has another type than the vocabulary.
    """
    numbers = items.numbers(_column(table, ITEM_ID))
    flags = np.zeros(len(items), dtype=np.bool_)
    flags[numbers[numbers != UNKNOWN]] = True
    return flags, MatchReport(
        num_rows=table.num_rows,
        num_unknown_users=0,
        num_unknown_items=int(np.count_nonzero(numbers == UNKNOWN)),
        num_used=int(flags.sum()),
    )


def stored_in(matrix: UserItems, items_BK: Int64Array) -> BoolArray:
    """Which items of each list have an entry in the same row of a matrix.

    Args:
        matrix: From `Filters.excluded_rows`: ascending, no entry twice. Shape (B, C).
        items_BK: Item numbers, of which negative ones are in no matrix. Shape (B, K).

    Returns:
        Flags of shape (B, K).
    """
    num_rows, num_items = matrix.shape
    stored = _pair_keys(matrix, np.arange(num_rows))
    asked = items_BK + num_items * np.arange(num_rows)[:, None]
    if not len(stored):
        return np.zeros(items_BK.shape, dtype=np.bool_)
    places = np.minimum(np.searchsorted(stored, asked), len(stored) - 1)
    return np.asarray((stored[places] == asked) & (items_BK >= 0))


def _pair_keys(matrix: UserItems, row_numbers: Int64Array) -> Int64Array:
    """`place * C + column` of the entries of some rows; `UNKNOWN` rows have none."""
    rows = np.asarray(row_numbers, dtype=np.int64)
    starts = matrix.indptr[rows].astype(np.int64)
    lengths = np.where(rows == UNKNOWN, 0, matrix.indptr[rows + 1] - starts)
    ends = np.cumsum(lengths)
    # Positions in `indices`: each row counts up from its start.
    positions = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
    places = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    keys: Int64Array = places * matrix.shape[1] + matrix.indices[positions]
    return keys


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(
            file="filter",
            column=name,
            expected="the column",
            got=f"only {', '.join(table.column_names) or 'no columns'}",
            remedy="rename the column or map its name in the config",
        )
    return table.column(name)
