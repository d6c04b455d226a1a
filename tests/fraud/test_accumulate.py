"""Sums over an account's days: a slow twin, and nothing later counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ConfigError
from recsys.fraud.accumulate import sums_before

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
WINDOWS = (1, 7, 14)


@st.composite
def logs(draw: st.DrawFn) -> Columns:
    """Accounts, times and two values of up to 60 transactions; times often meet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_rows = draw(st.integers(0, 60))
    return (
        rng.integers(0, draw(st.integers(1, 5)), num_rows),
        np.sort(rng.integers(0, draw(st.integers(1, 120)), num_rows)) / 4,
        rng.integers(0, 9, (num_rows, 2)).astype(np.float32) / 8,
    )


@given(logs())
def test_sums_are_those_of_the_rows_in_the_window(log: Columns) -> None:
    """Each sum is that over the account's earlier rows at most a window old."""
    account_N, day_N, values_NV = log
    sums_NWV = sums_before(*log, windows_days=WINDOWS)
    row_N = np.arange(len(day_N))
    for window, days in enumerate(WINDOWS):
        is_in_NN = (account_N[:, None] == account_N) & (row_N[:, None] > row_N)
        is_in_NN &= day_N[:, None] - day_N <= days
        np.testing.assert_array_equal(sums_NWV[:, window], is_in_NN.astype(np.float32) @ values_NV)


@given(logs(), st.data())
def test_nothing_later_changes_a_sum(log: Columns, data: st.DataObject) -> None:
    """The sums of the first rows are those of a log that ends there, whatever came after."""
    cut = data.draw(st.integers(0, len(log[1])))
    account_N, day_N, values_NV = (part[:cut] for part in log)
    short = sums_before(account_N, day_N, values_NV, windows_days=WINDOWS)
    assert short.tobytes() == sums_before(*log, windows_days=WINDOWS)[:cut].tobytes()


def test_a_window_of_no_length_is_refused() -> None:
    """A window of 0 days is told in one line."""
    with pytest.raises(ConfigError, match="greater than 0 days"):
        sums_before(np.array([0]), np.array([1.0]), np.ones((1, 1)), windows_days=(0,))
