"""Which facts a family of evidence has to show, and whose habits they are held against.

What the account did under the same circumstances goes before what it did otherwise. All accounts
are asked where the account has too little history of its own, and then named.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int64Array
from recsys.fraud.explain.facts import (
    MIN_OWN,
    MIN_OWN_TERMS,
    Fact,
    more_than_usual,
    new_term,
    outside_hours,
    outside_range,
    rarest,
    unusual_term,
    unusual_weekday,
)
from recsys.fraud.explain.families import AMOUNTS, CATEGORY, COUNTERPARTY, HOURS, VELOCITY
from recsys.fraud.explain.past import DAY_US, HOUR_US, Past, Subject, paid_within
from recsys.fraud.profiles.arrays import NUM_HOURS
from recsys.schema import ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, CURRENCY, EVENT_TIME

_WINDOWS = {HOUR_US: "an hour", DAY_US: "24 hours"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Aspects:
    """What can be said of the transactions of one account on a day."""

    past: Past
    """All transactions before the day."""
    day: pa.Table
    """Those of the account on the day, one at least, in the order of time."""
    context: str
    """The column that amounts depend on; empty when on none."""
    categorical: tuple[str, ...]
    """Columns with terms that describe a transaction, counterparties left out."""

    def fact(self, family: str, row: int) -> Fact | None:
        """The most unusual thing that a family of evidence has to show.

        Args:
            family: Its name.
            row: Which transaction of the day.

        Returns:
            None where nothing can be counted that is unusual.
        """
        if family in (COUNTERPARTY, CATEGORY):
            family = COUNTERPARTY_ID if family == COUNTERPARTY else self.context
        if family == AMOUNTS:
            found = self._amounts(row)
        elif family == HOURS:
            found = self._hours(row)
        elif family == VELOCITY:
            found = self._velocities(row)
        elif family not in self.day.column_names:
            found = iter(())
        elif family == COUNTERPARTY_ID or family in self.categorical:
            found = self._terms(row, family)
        else:
            found = self._numbers(row, family)
        return rarest(found)

    @functools.cached_property
    def _own(self) -> Subject:
        return self.past.account(self.day[ACCOUNT_ID][0].as_py())

    @functools.cached_property
    def _records(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.day.to_pylist()
        return records

    @functools.cached_property
    def _times(self) -> Int64Array:
        return np.asarray(self.day[EVENT_TIME].cast(pa.int64()), dtype=np.int64)

    @functools.cached_property
    def _all_times(self) -> Int64Array:
        return np.concatenate([self.past.times[self._own.rows], self._times])

    def _amounts(self, row: int) -> Iterator[Fact | None]:
        record = self._records[row]
        subjects = list(self._like(row))
        if record.get(COUNTERPARTY_ID) is not None:
            subjects.append(self.past.at_counterparty(record[COUNTERPARTY_ID]))
        for one in subjects:
            subject = self.past.in_currency(one, record)
            known = self.past.known_numbers(subject, AMOUNT)
            yield outside_range(subject, known, record[AMOUNT], unit=_currency(record))

    def _numbers(self, row: int, name: str) -> Iterator[Fact | None]:
        value = self._records[row][name]
        if value is not None:
            for subject in self._like(row):
                known = self.past.known_numbers(subject, name)
                yield outside_range(subject, known, float(value), decimals=0)

    def _like(self, row: int) -> Iterator[Subject]:
        """Whose amounts a transaction is compared with."""
        own, context = self._own, self.context
        if not context:
            yield own if len(own) >= MIN_OWN else self.past.everybody
            return
        value = self._records[row][context]
        narrow = self.past.narrowed(own, context, value)
        if len(narrow) >= MIN_OWN:
            yield narrow
            return
        yield self.past.narrowed(self.past.everybody, context, value)
        if len(own) >= MIN_OWN and not len(narrow):
            yield own

    def _hours(self, row: int) -> Iterator[Fact | None]:
        own, time = self._own, int(self._times[row])
        yield unusual_weekday(own, self.past.weekdays[own.rows], (time // DAY_US + 3) % 7)
        if not self.past.has_hours:
            return
        minutes = time // (HOUR_US // 60)
        observed = f"{minutes // 60 % NUM_HOURS:02}:{minutes % 60:02} UTC"
        subject = own
        if len(own) < MIN_OWN_TERMS and self.context:
            subject = self.past.narrowed(
                self.past.everybody, self.context, self._records[row][self.context]
            )
        elif len(own) < MIN_OWN_TERMS:
            subject = self.past.everybody
        yield outside_hours(
            subject, self.past.known_hours(subject), time // HOUR_US % NUM_HOURS, observed
        )

    def _velocities(self, row: int) -> Iterator[Fact | None]:
        end = int(self._times[row])
        subject = self._own if len(self._own) >= MIN_OWN else self.past.everybody
        for window, name in _WINDOWS.items():
            if window == DAY_US or self.past.has_hours:
                ends = np.searchsorted(self._all_times, [end - window, end], side="right")
                known = self.past.known_counts(subject, window)
                yield more_than_usual(subject, known, int(ends[1] - ends[0]), window=name)
        yield self._paid_in_a_day(row)

    def _paid_in_a_day(self, row: int) -> Fact | None:
        """What an account paid within 24 hours, where all of it is of one currency."""
        own, record = self._own, self._records[row]
        if not self._has_one_currency(record):
            return None
        amounts = np.concatenate(
            [self.past.amounts[own.rows], np.asarray(self.day[AMOUNT], dtype=np.float64)]
        )
        sums = paid_within(self._all_times, amounts, DAY_US)
        total = float(sums[len(own) + row])
        # One payment is told as an amount, and what is no payment changes no sum.
        if record[AMOUNT] <= 0 or total <= record[AMOUNT]:
            return None
        earlier = np.sort(sums[: len(own)][amounts[: len(own)] > 0])
        fact = outside_range(own, earlier, total, unit=_currency(record))
        if fact is None or fact.alike == "as low":
            return None
        return replace(fact, observed=f"{fact.observed} paid within 24 hours")

    def _has_one_currency(self, record: dict[str, Any]) -> bool:
        if CURRENCY not in self.day.column_names:
            return True
        is_same = len(self.past.in_currency(self._own, record)) == len(self._own)
        return is_same and len(pc.unique(self.day[CURRENCY])) == 1

    def _terms(self, row: int, name: str) -> Iterator[Fact | None]:
        own, record = self._own, self._records[row]
        new = new_term(self.past, own, name, record[name]) if name == COUNTERPARTY_ID else None
        if new is not None:
            yield new
            return
        whole = own if len(own) >= MIN_OWN_TERMS else self.past.everybody
        yield unusual_term(self.past, whole, name, record[name])
        for other in self.categorical:
            if other != name:
                subject = self.past.narrowed(whole, other, record[other])
                yield unusual_term(self.past, subject, name, record[name])


def _currency(record: dict[str, Any]) -> str:
    return str(record.get(CURRENCY) or "")
