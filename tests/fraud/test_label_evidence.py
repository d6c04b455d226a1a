"""Label evidence: a slow twin, never a label before its delay, and what no labels say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from recsys.fraud.labels.label_evidence import (
    LABEL_EVIDENCE,
    ORDINARY_EXCESS,
    WINDOW_DAYS,
    label_evidence,
)

COLUMNS = ("account", "counterparty", "day", "amount_excess", "label")
AGES = [name for name in LABEL_EVIDENCE if name.endswith(("age_days", "gap_days"))]


@dataclass(frozen=True, eq=False)
class Log:
    """Transactions in the order of time, with labels and their delay."""

    account: np.ndarray
    counterparty: np.ndarray
    day: np.ndarray
    amount_excess: np.ndarray
    label: np.ndarray
    delay_days: float
    memory_days: float = 30.0

    @property
    def evidence(self) -> np.ndarray:
        """Label evidence of all rows."""
        return label_evidence(
            account_N=self.account,
            counterparty_N=self.counterparty,
            day_N=self.day,
            amount_excess_N=self.amount_excess,
            label_N=self.label,
            delay_days=self.delay_days,
            memory_days=self.memory_days,
        )


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Up to 80 transactions on a grid of quarter days, so that times and delays often meet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_rows, num_days = int(rng.integers(1, 80)), int(rng.integers(1, 120))
    return Log(
        account=rng.integers(0, draw(st.integers(1, 6)), num_rows),
        counterparty=rng.integers(-1, draw(st.integers(1, 6)), num_rows),
        day=np.sort(rng.integers(0, 4 * num_days, num_rows)) / 4,
        amount_excess=rng.choice([0.0, ORDINARY_EXCESS, 3.0], num_rows).astype(np.float32),
        label=rng.choice(np.array([-1, 0, 1], dtype=np.int8), num_rows),
        delay_days=draw(st.sampled_from([0.0, 0.25, 1.0, 7.0])),
        memory_days=draw(st.sampled_from([30.0, 33.25, 60.0])),
    )


def column(evidence: np.ndarray, name: str) -> np.ndarray:
    """One column of label evidence."""
    return evidence[:, LABEL_EVIDENCE.index(name)]


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays are the same to the last bit."""
    return left.tobytes() == right.tobytes()


def twin(log: Log, row: int) -> dict[str, float]:
    """Label evidence of one row, from a list of the labels remembered then."""
    now = log.day[row]
    columns = (log.account, log.counterparty, log.day, log.amount_excess, log.label)
    known = [
        {
            "account": account,
            "counterparty": counterparty,
            "day": day,
            "high": excess,
            "y": int(label),
        }
        for account, counterparty, day, excess, label in zip(*columns, strict=True)
        if label >= 0 and day < now and day + log.delay_days <= now
    ]
    own_frauds = [one for one in known if one["account"] == log.account[row] and one["y"]]
    known = [one for one in known if one["day"] + log.delay_days + log.memory_days > now]
    base = (1 + sum(one["y"] for one in known)) / (100 + len(known))
    here = [
        one
        for one in known
        if one["counterparty"] == log.counterparty[row] and one["counterparty"] >= 0
    ]
    values = {"base_rate": base, "account_fraud_age_days": age(own_frauds, now)}
    for days in WINDOW_DAYS:
        inside = [one for one in here if one["day"] + log.delay_days + days > now]
        frauds = [one for one in inside if one["y"]]
        ordinary = [one for one in frauds if one["high"] < ORDINARY_EXCESS]
        values |= {
            f"counterparty_labels_{days}d": len(inside),
            f"counterparty_frauds_{days}d": len(frauds),
            f"counterparty_risk_{days}d": (len(frauds) + base) / (len(inside) + 1),
            f"counterparty_ordinary_risk_{days}d": (len(ordinary) + base) / (len(inside) + 1),
            f"account_frauds_{days}d": sum(
                one["day"] + log.delay_days + days > now for one in own_frauds
            ),
        }
    return values | runs(here, now)


def runs(here: list[dict[str, float]], now: float) -> dict[str, float]:
    """What is kept of a counterparty beyond the windows."""
    legitimate = [one for one in here if not one["y"]]
    ends = [place + 1 for place, one in enumerate(here) if not one["y"]]
    run = [one for one in here[max(ends, default=0) :] if one["high"] < ORDINARY_EXCESS]
    ordinary = [one for one in here if one["y"] and one["high"] < ORDINARY_EXCESS]
    start = run[0]["day"] if run else np.nan
    return {
        "counterparty_run_frauds": len(run),
        "counterparty_run_age_days": now - start,
        "counterparty_run_gap_days": start - legitimate[-1]["day"] if legitimate else np.nan,
        "counterparty_ordinary_age_days": age(ordinary, now),
        "counterparty_legitimate_age_days": age(legitimate, now),
    }


def age(rows: list[dict[str, float]], now: float) -> float:
    """Days since the last of some rows."""
    return now - rows[-1]["day"] if rows else np.nan


@given(logs())
def test_label_evidence_is_what_a_list_of_known_labels_gives(log: Log) -> None:
    """The one pass gives, row by row, what counting over the labels remembered then gives."""
    slow = [twin(log, row) for row in range(len(log.day))]
    expected = np.array([[values[name] for name in LABEL_EVIDENCE] for values in slow])
    np.testing.assert_allclose(log.evidence, expected, rtol=1e-6)


@given(logs(), st.data())
def test_a_label_changes_nothing_before_its_delay(log: Log, data: st.DataObject) -> None:
    """Another label, or none, changes no transaction before the label's time plus the delay."""
    row = data.draw(st.integers(0, len(log.day) - 1))
    label_N = log.label.copy()
    label_N[row] = data.draw(st.sampled_from([-1, 0, 1]))
    before = log.day < log.day[row] + log.delay_days
    before |= log.day <= log.day[row]
    assert same(replace(log, label=label_N).evidence[before], log.evidence[before])


@given(logs(), st.data())
def test_nothing_later_changes_what_was_said(log: Log, data: st.DataObject) -> None:
    """Other accounts, counterparties, amounts, labels and times after a row leave it as it was."""
    cut = data.draw(st.integers(1, len(log.day)))
    rng = np.random.default_rng(cut)
    num_later = len(log.day) - cut
    later = Log(
        account=rng.integers(0, 20, num_later),
        counterparty=rng.integers(-1, 20, num_later),
        day=log.day[cut - 1] + np.sort(rng.exponential(5, num_later)),
        amount_excess=rng.random(num_later).astype(np.float32) * 3,
        label=rng.integers(-1, 2, num_later).astype(np.int8),
        delay_days=log.delay_days,
    )
    changed = {
        name: np.concatenate([getattr(log, name)[:cut], getattr(later, name)]) for name in COLUMNS
    }
    assert same(replace(log, **changed).evidence[:cut], log.evidence[:cut])


@given(logs(), st.data())
def test_what_is_long_ago_does_not_matter(log: Log, data: st.DataObject) -> None:
    """Without the rows before delay and memory, but for its last fraud, a row stays as it was."""
    row = data.draw(st.integers(0, len(log.day) - 1))
    now, is_before = log.day[row], np.arange(len(log.day)) <= row
    kept = is_before & (log.day + log.delay_days + log.memory_days > now)
    is_known = (log.day + log.delay_days <= now) & (log.day < now)
    own_frauds = is_known & (log.label == 1) & (log.account == log.account[row])
    kept[np.flatnonzero(own_frauds)[-1:]] = True
    shorter = replace(log, **{name: getattr(log, name)[kept] for name in COLUMNS})
    assert same(shorter.evidence[-1], log.evidence[row])


@given(logs())
def test_without_labels_evidence_is_ignorance(log: Log) -> None:
    """Without a label all counts are 0, all rates the prior of 1 in 100, and all ages unknown."""
    evidence = replace(log, label=np.full(len(log.day), -1, dtype=np.int8)).evidence
    for name in LABEL_EVIDENCE:
        rate = 0.01 if "risk" in name or name == "base_rate" else 0.0
        expected = np.float32(np.nan if name in AGES else rate)
        np.testing.assert_array_equal(column(evidence, name), expected)


def test_a_bad_counterparty_stands_out() -> None:
    """Ordinary frauds raise the ordinary risk of their counterparty alone and date its run."""
    num_rows, turned_bad, delay = 400, 20.0, 7.0
    day_N = np.linspace(0, 40, num_rows, endpoint=False)
    counterparty_N = np.arange(num_rows) % 4
    is_bad_N = (counterparty_N == 2) & (day_N >= turned_bad)
    evidence = Log(
        account=np.arange(num_rows) % 7,
        counterparty=counterparty_N,
        day=day_N,
        amount_excess=np.zeros(num_rows, dtype=np.float32),
        label=is_bad_N.astype(np.int8),
        delay_days=delay,
    ).evidence
    known = day_N >= turned_bad + delay + 3
    risk = column(evidence, "counterparty_ordinary_risk_1d")
    assert risk[known & (counterparty_N == 2)].min() > 0.5
    assert risk[known & (counterparty_N != 2)].max() < 0.1
    age_N = column(evidence, "counterparty_run_age_days")
    start = day_N[is_bad_N][0]
    bad = known & (counterparty_N == 2)
    np.testing.assert_allclose(age_N[bad], day_N[bad] - start, rtol=1e-5)
    assert np.isnan(age_N[counterparty_N != 2]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delay_days": -1.0}, "at least 0 days"),
        ({"delay_days": float("nan")}, "at least 0 days"),
        ({"memory_days": 29.0}, "at least 30 days"),
        ({"label": np.array([0, 2], dtype=np.int8)}, "labels 1, 0 and -1"),
        ({"label": np.zeros(3, dtype=np.int8)}, "one length"),
        ({"day": np.array([2.0, 1.0])}, "ascending"),
        ({"day": np.array([np.nan, 1.0])}, "ascending"),
        ({"account": np.array([0, -1])}, "account codes from 0"),
        ({"counterparty": np.array([0, -2])}, "counterparty codes from -1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    """A fault in the columns or in the delay is told in one line."""
    log = Log(
        account=np.array([0, 1]),
        counterparty=np.array([0, -1]),
        day=np.array([1.0, 2.0]),
        amount_excess=np.zeros(2, dtype=np.float32),
        label=np.zeros(2, dtype=np.int8),
        delay_days=7.0,
    )
    with pytest.raises((ConfigError, DataError), match=message):
        _ = replace(log, **change).evidence


def test_an_empty_log_has_no_evidence() -> None:
    """A log without rows gives an array without rows."""
    codes, floats = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    log = Log(codes, codes, np.zeros(0), floats, np.zeros(0, dtype=np.int8), 7.0)
    assert log.evidence.shape == (0, len(LABEL_EVIDENCE))
