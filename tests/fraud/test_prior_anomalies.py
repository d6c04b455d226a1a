"""Unusual amounts of an account: a slow twin, no label before its delay, nothing from later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.labels.prior_anomalies import (
    LONGEST_DAYS,
    MAX_AMOUNTS,
    PRIOR_ANOMALIES,
    WINDOW_DAYS,
    prior_anomalies,
)


@dataclass(frozen=True, eq=False)
class Log:
    """Transactions in the order of time, with labels and their delay."""

    account: np.ndarray
    day: np.ndarray
    excess: np.ndarray
    label: np.ndarray
    delay_days: float

    @property
    def found(self) -> np.ndarray:
        """All columns of all rows."""
        return prior_anomalies(
            account_N=self.account,
            day_N=self.day,
            amount_excess_N=self.excess,
            label_N=self.label,
            delay_days=self.delay_days,
        )


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Up to 150 transactions on a grid of quarter days, so that times and delays often meet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_rows, num_days = int(rng.integers(1, 150)), int(rng.integers(1, 120))
    return Log(
        account=rng.integers(0, draw(st.integers(1, 4)), num_rows),
        day=np.sort(rng.integers(0, 4 * num_days, num_rows)) / 4,
        excess=rng.choice([0.0, 0.5, 1.0, 3.0], num_rows).astype(np.float32),
        label=rng.choice(np.array([-1, 0, 1], dtype=np.int8), num_rows),
        delay_days=draw(st.sampled_from([0.0, 0.25, 1.0, 7.0])),
    )


def twin(log: Log, row: int) -> list[float]:
    """The columns of one row, from lists of the transactions before it."""
    now = log.day[row]
    own = np.flatnonzero(log.account[:row] == log.account[row])
    high = [one for one in own if log.excess[one] >= 1]
    near = [one for one in high[-MAX_AMOUNTS:] if now - log.day[one] <= WINDOW_DAYS]
    refuted = [
        one
        for one in near
        if log.label[one] == 0 and log.day[one] < now and log.day[one] + log.delay_days <= now
    ]
    open_ = [one for one in near if one not in refuted]
    has_high = bool(high) and now - log.day[high[-1]] <= LONGEST_DAYS
    return [
        now - log.day[high[-1]] if has_high else np.nan,
        float(np.sum(own > high[-1])) if has_high else np.nan,
        len(open_),
        max((log.excess[one] for one in open_), default=0.0),
        now - log.day[open_[0]] if open_ else np.nan,
        sum(log.excess[one] for one in refuted),
    ]


@given(logs())
def test_suspicions_are_what_lists_give(log: Log) -> None:
    """The one pass gives, row by row, what going through all earlier transactions gives."""
    expected = np.array([twin(log, row) for row in range(len(log.day))])
    np.testing.assert_allclose(log.found, expected, rtol=1e-6)


@given(logs(), st.data())
def test_a_label_changes_nothing_before_its_delay(log: Log, data: st.DataObject) -> None:
    """Another label changes no transaction before the label's time plus the delay."""
    row = data.draw(st.integers(0, len(log.day) - 1))
    label_n = log.label.copy()
    label_n[row] = data.draw(st.sampled_from([-1, 0, 1]))
    before = (log.day < log.day[row] + log.delay_days) | (log.day <= log.day[row])
    changed = replace(log, label=label_n).found
    assert changed[before].tobytes() == log.found[before].tobytes()


@given(logs(), st.data())
def test_neither_what_comes_later_nor_what_is_long_ago_matters(
    log: Log, data: st.DataObject
) -> None:
    """Rows stay as they are without those after them, and without those a month before them."""
    cut = data.draw(st.integers(0, len(log.day) - 1))
    start = int(np.searchsorted(log.day, log.day[cut] - LONGEST_DAYS))
    names = ("account", "day", "excess", "label")
    part = replace(log, **{name: getattr(log, name)[start : cut + 1] for name in names})
    assert part.found[-1].tobytes() == log.found[cut].tobytes()


def test_an_empty_log_has_no_suspicions() -> None:
    """A log without rows gives an array without rows."""
    codes, floats = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    log = Log(codes, np.zeros(0), floats, np.zeros(0, dtype=np.int8), 7.0)
    assert log.found.shape == (0, len(PRIOR_ANOMALIES))
