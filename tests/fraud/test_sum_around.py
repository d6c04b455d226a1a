"""Sums over neighbours, against a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.accumulate import sum_around


def slow(account: np.ndarray, day: np.ndarray, values: np.ndarray, window: float) -> list[float]:
    """The definition."""
    return [
        sum(
            values[other]
            for other in range(len(account))
            if other != row
            and account[other] == account[row]
            and abs(day[other] - day[row]) <= window
        )
        for row in range(len(account))
    ]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=50
    ),
    window=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 10.0]),
)
def test_sums_are_those_of_all_pairs(rows: list[tuple[int, int, int]], window: float) -> None:
    """Neighbours of the same account count on either side, equal times and the edge included."""
    account, quarter, values = np.array(sorted(rows, key=lambda row: row[1])).T
    day, values = quarter / 4, values.astype(float)
    found = sum_around(account, day, values, window_days=window)
    np.testing.assert_allclose(found, slow(account, day, values, window), atol=1e-9)


@given(seed=st.integers(0, 1000), window=st.floats(0, 3))
def test_sums_of_fractions_at_any_time(seed: int, window: float) -> None:
    """Rounding does not pile up: sums of small and large values agree with all pairs."""
    rng = np.random.default_rng(seed)
    account, day = rng.integers(0, 2, 60), np.sort(rng.uniform(0, 10, 60))
    values = rng.exponential(size=60) * 10.0 ** rng.integers(-3, 4, 60)
    found = sum_around(account, day, values, window_days=window)
    np.testing.assert_allclose(found, slow(account, day, values, window), rtol=1e-9, atol=1e-8)


def test_no_rows_and_no_neighbours() -> None:
    """An empty log has no sums, and a transaction alone has the sum 0."""
    empty = np.array([], dtype=np.int64)
    assert sum_around(empty, np.array([]), np.array([]), window_days=1.0).shape == (0,)
    alone = sum_around(np.arange(3), np.zeros(3), np.ones(3), window_days=1.0)
    assert alone.tolist() == pytest.approx([0, 0, 0])
