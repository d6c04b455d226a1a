"""Transactions before the day, in columns that can be counted: all that reasons say is from here.

Shapes: P transactions before the day, S those of a subject.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array, Int64Array
from recsys.fraud.explain.phrases import short_text, value_text
from recsys.fraud.profiles.arrays import NUM_HOURS
from recsys.schema import ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, CURRENCY, EVENT_TIME

T = TypeVar("T")
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

THIS_ACCOUNT, ALL_ACCOUNTS = "this account", "all accounts"


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Whose transactions are counted."""

    name: str
    """As it stands in a reason, e.g. "this account with category travel"."""
    rows: Int64Array
    """The transactions, in the order of time. Shape (S,)."""
    key: tuple[object, ...] = ()
    """What tells it from others; empty where it is the account's, which is not asked for again."""

    @property
    def is_own(self) -> bool:
        """Whether they are those of the account alone."""
        return not self.key

    def __len__(self) -> int:
        return len(self.rows)


class _Groups:
    """Rows of a column by their value."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        encoded = column.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        self.terms: pa.Array = encoded.dictionary
        self.codes: Int64Array = np.asarray(pc.fill_null(encoded.indices, -1), dtype=np.int64)
        self._order: Int64Array = np.argsort(self.codes, kind="stable")
        self._sorted: Int64Array = self.codes[self._order]

    def code(self, value: object) -> int:
        """Code of a value; -1 of null, -2 of one that never came."""
        if value is None:
            return -1
        place = int(pc.index(self.terms, pa.scalar(value, self.terms.type)).as_py())
        return place if place >= 0 else -2

    def rows(self, value: object) -> Int64Array:
        """Rows with a value, ascending."""
        code = self.code(value)
        first, end = np.searchsorted(self._sorted, [code, code + 1])
        return self._order[first:end]


@dataclass(frozen=True, eq=False)
class Past:
    """All transactions before the day, in the order of time."""

    table: pa.Table
    """Under their standard names. P rows."""
    _groups: dict[str, _Groups] = field(default_factory=dict)
    _counted: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @functools.cached_property
    def times(self) -> Int64Array:
        """Microseconds since 1970. Shape (P,)."""
        return np.asarray(self.table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)

    @functools.cached_property
    def amounts(self) -> Float64Array:
        """Amounts. Shape (P,)."""
        return self.numbers(AMOUNT)

    @functools.cached_property
    def weekdays(self) -> Int64Array:
        """0 for Monday to 6 for Sunday. Shape (P,)."""
        return (self.times // DAY_US + 3) % 7  # 1970 began on a Thursday

    @functools.cached_property
    def has_hours(self) -> bool:
        """Whether times tell more than the day: not where half of them are at midnight."""
        return len(self.times) == 0 or float(np.mean(self.times % DAY_US == 0)) < 0.5

    def numbers(self, name: str) -> Float64Array:
        """A numeric column; NaN where it has no value. Shape (P,)."""
        every = self.everybody.key
        return self._once(
            (*every, "column", name),
            every,
            lambda: np.asarray(pc.fill_null(self.table[name].cast(pa.float64()), np.nan)),
        )

    def groups(self, name: str) -> _Groups:
        """Rows of a column by their value."""
        if name not in self._groups:
            self._groups[name] = _Groups(self.table[name])
        return self._groups[name]

    def codes(self, name: str) -> Int64Array:
        """Int64Array of a column, -1 for null. Shape (P,)."""
        return self.groups(name).codes

    def term(self, name: str, code: int) -> str:
        """What a code of a column stands for."""
        return value_text(None if code < 0 else self.groups(name).terms[code].as_py())

    @functools.cached_property
    def everybody(self) -> Subject:
        """All accounts."""
        return Subject(name=ALL_ACCOUNTS, rows=np.arange(self.table.num_rows), key=("all",))

    def account(self, account_id: object) -> Subject:
        """One account."""
        return Subject(name=THIS_ACCOUNT, rows=self.groups(ACCOUNT_ID).rows(account_id))

    def at_counterparty(self, value: object) -> Subject:
        """All transactions at a counterparty."""
        return Subject(
            name=f"all accounts at {short_text(value_text(value))}",
            rows=self.groups(COUNTERPARTY_ID).rows(value),
            key=("all", COUNTERPARTY_ID, value),
        )

    def narrowed(self, subject: Subject, name: str, value: object) -> Subject:
        """Those of a subject that have a value."""
        called = f"{subject.name} with {name} {short_text(value_text(value))}"
        return self._part(subject, called, name, value)

    def in_currency(self, subject: Subject, row: dict[str, Any]) -> Subject:
        """Those in the currency of a transaction: amounts of two do not compare."""
        if CURRENCY not in self.table.column_names:
            return subject
        return self._part(subject, subject.name, CURRENCY, row[CURRENCY])

    def _part(self, subject: Subject, called: str, name: str, value: object) -> Subject:
        groups = self.groups(name)
        key = (*subject.key, name, value) if subject.key else ()

        def rows() -> Int64Array:
            if subject is self.everybody:
                return groups.rows(value)
            chosen = groups.codes[subject.rows] == groups.code(value)
            return np.asarray(subject.rows[chosen])

        return Subject(name=called, rows=self._once((*key, "rows"), key, rows), key=key)

    def _once(
        self, key: tuple[object, ...], subject: tuple[object, ...], count: Callable[[], T]
    ) -> T:
        """What is counted of many accounts is counted once."""
        if not subject:
            return count()
        if key not in self._counted:
            self._counted[key] = count()
        found: T = self._counted[key]
        return found

    def known_numbers(self, subject: Subject, name: str) -> Float64Array:
        """The finite numbers that a subject has in a column, ascending."""

        def count() -> Float64Array:
            values = self.numbers(name)[subject.rows]
            return np.sort(values[np.isfinite(values)])

        return self._once((*subject.key, "numbers", name), subject.key, count)

    def known_terms(self, subject: Subject, name: str) -> tuple[Int64Array, Int64Array]:
        """The codes that a subject has in a column, and how often."""

        def count() -> tuple[Int64Array, Int64Array]:
            codes, counts = np.unique(self.codes(name)[subject.rows], return_counts=True)
            return codes, counts

        return self._once((*subject.key, "terms", name), subject.key, count)

    def known_hours(self, subject: Subject) -> Int64Array:
        """Transactions of a subject by the hour of the day. Shape (H,)."""

        def count() -> Int64Array:
            hours = self.times[subject.rows] // HOUR_US % NUM_HOURS
            return np.bincount(hours, minlength=NUM_HOURS)

        return self._once((*subject.key, "hours"), subject.key, count)

    def known_counts(self, subject: Subject, window_us: int) -> Int64Array:
        """Transactions in the window up to each of a subject's, ascending. Shape (S,)."""

        def count() -> Int64Array:
            return np.sort(self._counts_within(window_us)[subject.rows])

        return self._once((*subject.key, "counts", window_us), subject.key, count)

    def _counts_within(self, window_us: int) -> Int64Array:
        """Transactions of the same account in the window up to each. Shape (P,)."""
        every = self.everybody.key
        return self._once(
            (*every, "within", window_us),
            every,
            lambda: _counts_within(self.codes(ACCOUNT_ID), self.times, window_us),
        )


def paid_within(times: Int64Array, amounts: Float64Array, window_us: int) -> Float64Array:
    """Sum of the amounts paid in the window up to each time, its end included.

    Args:
        times: In the order of time, of one account.
        amounts: Of which those below 0 are money that came back and count as 0.
        window_us: Its length.
    """
    sums = np.concatenate([[0.0], np.cumsum(amounts.clip(0))])
    first = np.searchsorted(times, times - window_us, side="right")
    within = sums[np.searchsorted(times, times, side="right")] - sums[first]
    return np.asarray(np.round(within, 6))  # a difference of sums errs in the last digits


def _counts_within(account_P: Int64Array, time_P: Int64Array, window_us: int) -> Int64Array:
    """Counts up to each: accounts are laid end to end, farther apart than the window."""
    if not len(time_P):
        return np.zeros(0, dtype=np.int64)
    order_P = np.argsort(account_P, kind="stable")
    ranked_P = np.cumsum(np.diff(account_P[order_P], prepend=account_P[order_P[0]]) != 0)
    apart = int(time_P.max() - time_P.min()) + window_us + 1
    line_P = (time_P[order_P] - time_P.min()) + ranked_P * apart
    first_P = np.searchsorted(line_P, line_P - window_us, side="right")
    count_P = np.empty(len(time_P), dtype=np.int64)
    count_P[order_P] = np.searchsorted(line_P, line_P, side="right") - first_P
    return count_P
