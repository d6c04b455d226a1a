"""Account-days are what a plain grouping of transactions by account and day gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.tails import Tail

ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 40).map(lambda quarter: 19_000 + quarter / 8),
        st.sampled_from([-2.0, 0.0, 0.5, 3.0, 7.0]),
    ),
    max_size=40,
)


def gathered(rows: list[tuple[int, float, float]]) -> tuple[AccountDays, pd.DataFrame]:
    """Account-days, and the transactions in the order of time with a number each."""
    frame = pd.DataFrame(sorted(rows, key=lambda row: row[1]), columns=["account", "time", "score"])
    frame = frame.astype({"account": np.int64, "time": np.float64, "score": np.float64})
    frame["known"] = np.arange(len(frame), dtype=np.float32)
    days = AccountDays.of(
        frame["account"].to_numpy(),
        frame["time"].to_numpy(),
        frame["score"].to_numpy(),
        frame["known"].to_numpy(),
    )
    return days, frame


@given(rows=ROWS)
def test_each_account_has_each_of_its_days_once(rows: list[tuple[int, float, float]]) -> None:
    """By day and account: the highest score, the number of rows, what was known at the first."""
    days, frame = gathered(rows)
    frame["day"] = np.floor(frame["time"]).astype(np.int64)
    groups = frame.groupby(["day", "account"], sort=True)
    expected = groups.agg(
        highest=("score", "max"), count=("score", "size"), known=("known", "first")
    ).reset_index()
    assert len(days) == len(expected)
    np.testing.assert_array_equal(days.day, expected["day"])
    np.testing.assert_array_equal(days.account, expected["account"])
    np.testing.assert_array_equal(days.highest, expected["highest"])
    np.testing.assert_array_equal(days.num_transactions, expected["count"])
    np.testing.assert_array_equal(days.num_known, expected["known"])


def test_midnight_belongs_to_the_new_day() -> None:
    """A transaction at midnight is of the day that begins."""
    days, _ = gathered([(0, 19_001 - 1e-6, 1.0), (0, 19_001.0, 2.0)])
    assert days.day.tolist() == [19_000, 19_001]


@given(rows=ROWS)
def test_p_values_fall_with_the_highest_score(rows: list[tuple[int, float, float]]) -> None:
    """A p-value lies between 0 and 1, and a higher score never has a larger one."""
    days, _ = gathered(rows)
    p_values = days.p_values(Tail.fit(np.random.default_rng(0).normal(size=200)))
    assert p_values.shape == (len(days),)
    assert ((p_values > 0) & (p_values <= 1)).all()
    assert (np.diff(p_values[np.argsort(days.highest)]) <= 0).all()
