"""Figures of days, against a plain reading of their definitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from recsys.datasets.checks.daily import (
    daily_share,
    day_counts,
    day_numbers,
    distance,
    first_of_each,
    first_seen,
    repeated,
    stale_days,
)
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE

_US_PER_DAY = 86_400_000_000
ROWS = st.lists(st.tuples(st.integers(-3, 6), st.sampled_from(["a", "b", "c", None])), max_size=30)


def _table(rows: list[tuple[int, str | None]]) -> pa.Table:
    days = pa.array([day * _US_PER_DAY + 5 for day, _ in rows], pa.int64())
    return pa.table(
        {
            EVENT_TIME: days.cast(EVENT_TIME_TYPE),
            "term": pa.array([t for _, t in rows], pa.string()),
        }
    )


@given(rows=ROWS, day=st.integers(-4, 8))
def test_counts_and_shares_are_those_of_each_day(
    rows: list[tuple[int, str | None]], day: int
) -> None:
    """Counts of days up to one, and the share of rows whose term is new on their day."""
    table = _table(rows)
    days = day_numbers(table)
    counts = Counter(one for one, _ in rows)
    known = [one for one, _ in rows if one <= day]
    expected = [counts[one] for one in range(min(known), day + 1)] if known else [0]
    assert day_counts(days, day).tolist() == expected

    marked = first_seen(table["term"], days)
    first = {term: min(d for d, t in rows if t == term) for _, term in rows if term is not None}
    assert marked.tolist() == [t is not None and first[t] == d for d, t in rows]

    figure = daily_share(marked, days, day, num_days=3)
    shares = {
        one: np.mean([m for m, (d, _) in zip(marked, rows, strict=True) if d == one])
        for one in counts
    }
    assert figure.num_rows == counts[day]
    np.testing.assert_array_equal(figure.observed, shares.get(day, np.nan))
    assert figure.before.tolist() == [shares[d] for d in range(day - 3, day) if d in shares]


@given(rows=ROWS, most=st.integers(1, 3))
def test_repeats_and_first_rows_are_counted(rows: list[tuple[int, str | None]], most: int) -> None:
    """All but one of equal rows are repeats; of a term's day so many rows are first."""
    table = _table(rows)
    counts = Counter(rows)
    assert Counter(row for row, one in zip(rows, repeated(table), strict=True) if one) == Counter(
        {row: n - 1 for row, n in counts.items() if n > 1}
    )
    first = first_of_each(table, "term", most=most)
    assert Counter(row for row, one in zip(rows, first, strict=True) if one) == Counter(
        {row: min(n, most) for row, n in counts.items()}
    )


@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=20),
    reference=st.lists(st.integers(0, 9), min_size=1, max_size=20),
)
def test_the_distance_is_that_of_kolmogorov_and_smirnov(
    values: list[int], reference: list[int]
) -> None:
    """It agrees with scipy, ties included."""
    mine, other = np.array(values, dtype=float), np.array(reference, dtype=float)
    np.testing.assert_allclose(
        distance(mine, np.sort(other)), ks_2samp(mine, other, method="asymp").statistic
    )


@given(counts=st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_stale_days_are_those_at_the_end(counts: list[int]) -> None:
    """Days since the last one with rows, and never more usual ones than the longest gap."""
    stale, usual = stale_days(np.array(counts), num_days=28)
    text = "".join(map(str, counts))
    assert stale == len(text) - len(text.rstrip("0"))
    gaps = [len(gap) for gap in text.strip("0").split("1")]
    assert 0 <= usual <= max(gaps, default=0)
