"""Figures of each day of a log, compared with the days before it.

Shapes: N rows, T days from the first of a log to the last, both included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.schema import AMOUNT, EVENT_TIME
from recsys.time_units import US_PER_DAY

_WEEKS, _MIN_KNOWN = 4, 7


@dataclass(frozen=True, kw_only=True)
class DailyFigure:
    """A figure of the newest day, and its values on the days before, oldest first.

    Args:
        observed: Value of the newest day; NaN where there is none.
        before: Of each earlier day of the reference window that has one.
        num_rows: Rows of the newest day.
    """

    observed: float
    before: Float64Array
    num_rows: int


def day_numbers(table: pa.Table) -> Int64Array:
    """Day of each row, as days since 1970 in UTC. Shape (N,)."""
    times = table[EVENT_TIME].cast(pa.int64()).to_numpy()
    return np.asarray(times // US_PER_DAY, dtype=np.int64)


def day_counts(days_N: Int64Array, day: int) -> Int64Array:
    """Rows of each day, from the first one of a log to the newest. Shape (T,)."""
    earlier_N = days_N[days_N <= day]
    if not len(earlier_N):
        return np.zeros(1, dtype=np.int64)
    first = int(earlier_N.min())
    return np.bincount(earlier_N - first, minlength=day - first + 1).astype(np.int64)


def volume(counts_T: Int64Array, *, num_days: int) -> tuple[DailyFigure, float]:
    """Log of a day's rows over the number expected from the days before, and that number.

    The expectation is the median of four weeks, or of the same weekday in them, whichever predicted
    the days before better.

    Args:
        counts_T: Rows of each day, the newest last. Shape (T,).
        num_days: Days before the newest that are used.
    """
    found = []
    for step in (1, 7):
        expected_T = _trailing_median(counts_T, step)
        ratios_T = np.log((counts_T + 1) / (expected_T + 1))
        ratios_T[:-1][counts_T[:-1] == 0] = np.nan  # days without rows are for `stale_days`
        known = ratios_T[-num_days - 1 : -1]
        figure = DailyFigure(
            observed=float(ratios_T[-1]),
            before=known[~np.isnan(known)],
            num_rows=int(counts_T[-1]),
        )
        found.append((figure, float(expected_T[-1])))
    usable = [one for one in found if len(one[0].before) >= _MIN_KNOWN]
    return min(usable or found[:1], key=lambda one: _spread(one[0].before))


def _spread(values: Float64Array) -> float:
    return float(np.std(values)) if len(values) else 0.0


def _trailing_median(counts_T: Int64Array, step: int) -> Float64Array:
    """Median of the last four weeks before each day, every day or every seventh; NaN early on."""
    lags = np.arange(step, 7 * _WEEKS + 1, step)
    padded = np.concatenate([np.full(lags[-1], np.nan), counts_T.astype(np.float64)])
    earlier = np.stack([padded[lags[-1] - lag : len(padded) - lag] for lag in lags])
    known = np.count_nonzero(~np.isnan(earlier), axis=0)
    needed = 14 if step == 1 else 2
    medians_T = np.full(len(counts_T), np.nan)
    is_known = known >= needed
    medians_T[is_known] = np.nanmedian(earlier[:, is_known], axis=0)
    return medians_T


def stale_days(counts_T: Int64Array, *, num_days: int) -> tuple[int, int]:
    """Days without rows at the end of a log, and how many are usual on such a day.

    If days without rows follow the week, as with a shop that is closed on Sundays, the usual number
    is that of the same weekday before; otherwise it is the longest gap.

    Args:
        counts_T: Rows of each day, the newest last. Shape (T,).
        num_days: Days before the newest that are used.
    """
    has_rows = np.flatnonzero(counts_T)
    if not len(has_rows):
        return len(counts_T), 0
    last, end = int(has_rows[-1]), len(counts_T) - 1
    recent = has_rows[has_rows >= end - num_days]
    first = int(recent[0]) if len(recent) else last
    is_empty = counts_T[first : last + 1] == 0
    weekdays = np.arange(first, last + 1) % 7
    of_weekday = np.bincount(weekdays, minlength=7)
    empty = np.bincount(weekdays, weights=is_empty, minlength=7)
    is_weekly = bool(empty.any()) and bool(np.all(2 * empty[empty > 0] >= of_weekday[empty > 0]))
    if not is_weekly or end - first < 14:
        return end - last, int((np.diff(recent) - 1).max(initial=0))
    same = range(end - 7, first - 1, -7)
    return end - last, max((day - int(has_rows[has_rows <= day][-1]) for day in same), default=0)


def daily_share(marked_N: BoolArray, days_N: Int64Array, day: int, *, num_days: int) -> DailyFigure:
    """Share of marked rows on the newest day, and on each day before it."""
    within_N = (days_N <= day) & (days_N >= day - num_days)
    number_N = days_N[within_N] - (day - num_days)
    rows = np.bincount(number_N, minlength=num_days + 1)
    marked = np.bincount(number_N, weights=marked_N[within_N], minlength=num_days + 1)
    with np.errstate(invalid="ignore"):
        shares = marked / rows
    before = shares[:-1]
    return DailyFigure(
        observed=float(shares[-1]), before=before[~np.isnan(before)], num_rows=int(rows[-1])
    )


def first_seen(column: pa.ChunkedArray, days_N: Int64Array) -> BoolArray:
    """Whether each row lies on the first day on which its term occurs; never for nulls. (N,)."""
    codes = column.combine_chunks().dictionary_encode()
    is_null_N = np.asarray(pc.is_null(codes))
    codes_N = np.asarray(codes.indices.fill_null(len(codes.dictionary))).astype(np.int64)
    first_T = np.full(len(codes.dictionary) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_T, codes_N, days_N)
    return np.asarray((first_T[codes_N] == days_N) & ~is_null_N)


def repeated(table: pa.Table) -> BoolArray:
    """Whether each row repeats an earlier one in every column. Shape (N,)."""
    numbered = table.append_column("__row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(table.column_names).aggregate([("__row", "min")])["__row_min"]
    is_repeated_N = np.ones(table.num_rows, dtype=np.bool_)
    is_repeated_N[np.asarray(first)] = False
    return is_repeated_N


def first_of_each(table: pa.Table, key: str, *, most: int) -> BoolArray:
    """Whether each row is among the first rows of its key and day, by time. Shape (N,)."""
    days_N = day_numbers(table)
    codes_N = np.asarray(table[key].combine_chunks().dictionary_encode().indices.fill_null(-1))
    times_N = table[EVENT_TIME].cast(pa.int64()).to_numpy()
    ties = [np.asarray(table[one]) for one in (AMOUNT,) if one in table.column_names]
    order_N = np.lexsort((*ties, times_N, days_N, codes_N))
    starts_N = np.ones(len(order_N), dtype=np.bool_)
    codes_N, days_N = codes_N[order_N], days_N[order_N]
    starts_N[1:] = (codes_N[1:] != codes_N[:-1]) | (days_N[1:] != days_N[:-1])
    places_N = np.arange(len(order_N))
    is_first_N = np.empty(len(order_N), dtype=np.bool_)
    begins_N = np.maximum.accumulate(np.where(starts_N, places_N, 0))
    is_first_N[order_N] = places_N - begins_N < most
    return is_first_N


def currency_groups(currencies: pa.ChunkedArray) -> dict[str, BoolArray]:
    """Rows of each currency, by its name for messages: its code, where it looks like one.

    Another column may be mapped to the currency, and its values are none of a message's business.
    """
    codes = sorted(pc.unique(currencies.drop_null()).to_pylist())
    names = {
        code: code if re.fullmatch(r"[A-Z]{3}", str(code)) else f"currency{number}"
        for number, code in enumerate(codes, start=1)
    }
    return {
        str(name): np.asarray(pc.equal(currencies, code).fill_null(False))
        for code, name in names.items()
    }


def shift(values: Float64Array, usual: float) -> float:
    """Distance of the median of values from the usual one."""
    return abs(float(np.median(values)) - usual)


def share_outside(values: Float64Array, ends: Float64Array) -> float:
    """Share of values below the first or above the second of two ends."""
    return float(np.mean((values < ends[0]) | (values > ends[1])))


def distance(values: Float64Array, reference: Float64Array) -> float:
    """Kolmogorov-Smirnov distance of two samples (Kolmogorov 1933, Smirnov 1948).

    Args:
        values: The sample, in any order.
        reference: What it is compared with, in ascending order.
    """
    if not len(values) or not len(reference):
        return float("nan")
    values = np.sort(values)
    # Between two values only the reference rises: the largest distance is at a value or before it.
    return max(
        float(
            np.abs(
                np.searchsorted(values, values, side=side) / len(values)
                - np.searchsorted(reference, values, side=side) / len(reference)
            ).max()
        )
        for side in ("left", "right")
    )
