"""Figures of each day of a log, beside those of the days before it.

Shapes: N rows, T days from the first of a log to the last, both included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.schema import EVENT_TIME

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_US_PER_DAY = 86_400_000_000
_WEEKS, _MIN_KNOWN = 4, 7


@dataclass(frozen=True, kw_only=True)
class DailyFigure:
    """A figure of the judged day, and what it was on days before, oldest first.

    Args:
        observed: Of the judged day; NaN where it cannot be said.
        before: Of each earlier day of the reference window that has one.
    """

    observed: float
    before: Floats


def day_numbers(table: pa.Table) -> Numbers:
    """Day of each row, as days since 1970 in UTC. Shape (N,)."""
    times = table[EVENT_TIME].cast(pa.int64()).to_numpy()
    return np.asarray(times // _US_PER_DAY, dtype=np.int64)


def day_counts(days_N: Numbers, day: int) -> Numbers:
    """Rows of each day, from the first one of a log to the judged one. Shape (T,)."""
    earlier_N = days_N[days_N <= day]
    if not len(earlier_N):
        return np.zeros(1, dtype=np.int64)
    first = int(earlier_N.min())
    return np.bincount(earlier_N - first, minlength=day - first + 1).astype(np.int64)


def volume(counts_T: Numbers, *, num_days: int) -> tuple[DailyFigure, float]:
    """Log of a day's rows over what the days before let expect, and that expectation.

    What is expected is the median of four weeks, or of the same weekday in them, whichever told
    the days before the judged one better.

    Args:
        counts_T: Rows of each day, the judged one last. Shape (T,).
        num_days: Days before the judged one that are looked at.
    """
    found = []
    for step in (1, 7):
        expected_T = _trailing_median(counts_T, step)
        ratios_T = np.log((counts_T + 1) / (expected_T + 1))
        known = ratios_T[-num_days - 1 : -1]
        figure = DailyFigure(observed=float(ratios_T[-1]), before=known[~np.isnan(known)])
        found.append((figure, float(expected_T[-1])))
    usable = [one for one in found if len(one[0].before) >= _MIN_KNOWN]
    return min(usable or found[:1], key=lambda one: _spread(one[0].before))


def _spread(values: Floats) -> float:
    return float(np.std(values)) if len(values) else 0.0


def _trailing_median(counts_T: Numbers, step: int) -> Floats:
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


def longest_gap(counts_T: Numbers, *, num_days: int) -> tuple[int, int]:
    """Days without rows at the end of a log, and the most in a row before that."""
    has_rows = np.flatnonzero(counts_T)
    if not len(has_rows):
        return len(counts_T), 0
    stale = len(counts_T) - 1 - int(has_rows[-1])
    recent = has_rows[has_rows >= len(counts_T) - 1 - num_days]
    gaps = np.diff(recent) - 1
    return stale, int(gaps.max(initial=0))


def daily_share(
    marked_N: npt.NDArray[np.bool_], days_N: Numbers, day: int, *, num_days: int
) -> DailyFigure:
    """Share of marked rows on the judged day, and on each day before it."""
    within_N = (days_N <= day) & (days_N >= day - num_days)
    number_N = days_N[within_N] - (day - num_days)
    rows = np.bincount(number_N, minlength=num_days + 1)
    marked = np.bincount(number_N, weights=marked_N[within_N], minlength=num_days + 1)
    with np.errstate(invalid="ignore"):
        shares = marked / rows
    before = shares[:-1]
    return DailyFigure(observed=float(shares[-1]), before=before[~np.isnan(before)])


def first_seen(column: pa.ChunkedArray, days_N: Numbers) -> npt.NDArray[np.bool_]:
    """Whether each row lies on the first day on which its term occurs; never for nulls. (N,)."""
    codes = column.combine_chunks().dictionary_encode()
    is_null_N = np.asarray(pc.is_null(codes))
    codes_N = np.asarray(codes.indices.fill_null(len(codes.dictionary))).astype(np.int64)
    first_T = np.full(len(codes.dictionary) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_T, codes_N, days_N)
    return np.asarray((first_T[codes_N] == days_N) & ~is_null_N)


def repeated(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each row repeats an earlier one in every column. Shape (N,)."""
    numbered = table.append_column("__row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(table.column_names).aggregate([("__row", "min")])["__row_min"]
    is_repeated_N = np.ones(table.num_rows, dtype=np.bool_)
    is_repeated_N[np.asarray(first)] = False
    return is_repeated_N


def distance(values: Floats, reference: Floats) -> float:
    """Kolmogorov-Smirnov distance of two samples (Kolmogorov 1933, Smirnov 1948)."""
    if not len(values) or not len(reference):
        return float("nan")
    values, reference = np.sort(values), np.sort(reference)
    points = np.concatenate([values, reference])
    below = np.searchsorted(values, points, side="right") / len(values)
    below_reference = np.searchsorted(reference, points, side="right") / len(reference)
    return float(np.abs(below - below_reference).max())
