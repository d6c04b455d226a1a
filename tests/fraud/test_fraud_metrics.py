"""Measures of fraud scores: slow twins, ceilings, invariances, and figures of a public log."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from recsys.fraud.evaluation import metrics
from recsys.fraud.evaluation.metrics import Scored

HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook" / "transactions.parquet"
NAMES = [
    "auc",
    "average_precision",
    "account_day_average_precision",
    "card_precision@100",
    "precision@5_per_day",
]
DAY_US = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Log:
    """Labelled transactions with scores."""

    scores: np.ndarray
    is_fraud: np.ndarray
    accounts: np.ndarray
    days: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """All columns, in the order that functions take them."""
        return self.scores, self.is_fraud, self.accounts, self.days

    def take(self, rows: np.ndarray) -> Log:
        """Some rows, or those where a mask is true."""
        return Log(*(column[rows] for column in self.columns))

    def with_scores(self, scores: np.ndarray) -> Log:
        """The same transactions with other scores."""
        return Log(scores, self.is_fraud, self.accounts, self.days)


@st.composite
def logs(draw: st.DrawFn, *, ties: bool) -> Log:
    """Up to 60 transactions of few accounts on few days, days before 1970 among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_rows = draw(st.integers(1, 60))
    return Log(
        scores=rng.integers(0, 5, num_rows) / 4 if ties else rng.permutation(num_rows) / 8,
        is_fraud=rng.random(num_rows) < rng.random(),
        accounts=rng.integers(0, draw(st.integers(1, 9)), num_rows),
        days=rng.integers(-3, draw(st.integers(0, 8)), num_rows),
    )


def account_days(log: Log) -> tuple[Scored, np.ndarray]:
    """The highest score of each account-day, and whether it has a fraud, with plain loops."""
    highest, has_fraud = {}, defaultdict(bool)
    for score, is_fraud, account, day in zip(*log.columns, strict=True):
        highest[account, day] = max(score, highest.get((account, day), -math.inf))
        has_fraud[account, day] |= bool(is_fraud)
    accounts, days = np.array(list(highest)).T
    scored = Scored(scores=np.array(list(highest.values())), accounts=accounts, days=days)
    return scored, np.array([has_fraud[pair] for pair in highest])


def measured(log: Log, keep: np.ndarray | None = None) -> metrics.FraudMeasures:
    """All measures of a log whose account-days have the highest score of their transactions."""
    transactions = Scored(scores=log.scores, accounts=log.accounts, days=log.days)
    return metrics.measure_fraud(transactions, log.is_fraud, account_days(log)[0], keep_N=keep)


def slow_daily_precision(log: Log, *, k: int, once: bool) -> float:
    """Oracle: cards looked into day by day, with dictionaries."""
    found, shares = set(), []
    scored, has_fraud = account_days(log)
    for day in sorted(set(log.days.tolist())):
        cards = [
            (-score, account, is_bad)
            for score, account, its_day, is_bad in zip(
                scored.scores.tolist(),
                scored.accounts.tolist(),
                scored.days.tolist(),
                has_fraud.tolist(),
                strict=True,
            )
            if its_day == day and account not in found
        ]
        hits = [account for _, account, is_bad in sorted(cards)[:k] if is_bad]
        found |= set(hits) if once else set()
        shares.append(len(hits) / k)
    return sum(shares) / len(shares)


def slow_known(log: Log, train_end: int, test_start: int, num_train_days: int) -> list[bool]:
    """Oracle: for each row, every fraud of its account is looked at."""
    delay = test_start - train_end
    is_known = []
    for account, day in zip(log.accounts.tolist(), log.days.tolist(), strict=True):
        fraud_days = log.days[log.is_fraud & (log.accounts == account)].tolist()
        in_training = any(train_end - num_train_days <= f < train_end for f in fraud_days)
        since = any(train_end <= f < day - delay for f in fraud_days)
        is_known.append(day >= test_start and (in_training or since))
    return is_known


@given(log=logs(ties=True), k=st.integers(1, 5))
def test_precisions_of_a_day_equal_their_slow_twins(log: Log, k: int) -> None:
    """Card precision and precision per day are those of plain loops, ties by account included."""
    assert metrics.card_precision(*log.columns, k=k) == pytest.approx(
        slow_daily_precision(log, k=k, once=True)
    )
    scored, has_fraud = account_days(log)
    per_day = metrics.precision_per_day(scored.scores, has_fraud, scored.accounts, scored.days, k=k)
    assert per_day == pytest.approx(slow_daily_precision(log, k=k, once=False))


@given(
    log=logs(ties=True), start=st.integers(-3, 3), delay=st.integers(0, 3), train=st.integers(1, 4)
)
def test_known_accounts_equal_their_slow_twin(log: Log, start: int, delay: int, train: int) -> None:
    """The mask of known accounts is that of a loop over every row and every fraud before it."""
    mask = metrics.known_compromised(
        log.accounts,
        log.days,
        log.is_fraud,
        train_end_day=start - delay,
        test_start_day=start,
        num_train_days=train,
    )
    assert mask.tolist() == slow_known(log, start - delay, start, train)


@given(log=logs(ties=True))
def test_account_days_have_the_frauds_of_their_transactions(log: Log) -> None:
    """An account-day is bad exactly if one of its transactions is a fraud."""
    scored, has_fraud = account_days(log)
    frauds = log.take(log.is_fraud)
    truth = metrics.account_day_truth(
        scored.accounts, scored.days, fraud_accounts=frauds.accounts, fraud_days=frauds.days
    )
    assert truth.tolist() == has_fraud.tolist()


def test_a_found_card_leaves_the_later_days() -> None:
    """By hand: one card with frauds on two days is found once by cards, twice by account-days."""
    log = Log(
        scores=np.array([0.9, 0.1, 0.9, 0.1]),
        is_fraud=np.array([True, False, True, False]),
        accounts=np.array([0, 1, 0, 1]),
        days=np.array([5, 5, 6, 6]),
    )
    assert metrics.card_precision(*log.columns, k=1) == 0.5
    assert metrics.precision_per_day(*log.columns, k=1) == 1


@given(log=logs(ties=False), seed=st.integers(0, 99))
def test_a_perfect_ranking_reaches_the_ceiling_and_none_exceeds_it(log: Log, seed: int) -> None:
    """Scores that put all frauds first have the ceilings as values; no others have more."""
    noise = np.random.default_rng(seed).random(len(log.scores)) / 2
    perfect, other = measured(log.with_scores(log.is_fraud + noise)), measured(log)
    assert list(perfect.values) == list(perfect.ceilings) == NAMES
    assert perfect.values == pytest.approx(perfect.ceilings, nan_ok=True)
    assert other.ceilings == pytest.approx(perfect.ceilings, nan_ok=True)
    assert not any(other.values[name] > other.ceilings[name] + 1e-9 for name in NAMES)


@given(log=logs(ties=False))
def test_only_the_order_of_scores_counts(log: Log) -> None:
    """An increasing function of the scores changes no measure, where no scores are equal."""
    assert measured(log.with_scores(np.exp(log.scores))) == _same_as(measured(log))


@given(log=logs(ties=True), seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_count(log: Log, seed: int) -> None:
    """Shuffled rows give the same measures, with equal scores among them."""
    shuffled = log.take(np.random.default_rng(seed).permutation(len(log.scores)))
    assert measured(shuffled) == _same_as(measured(log))


@given(log=logs(ties=True), seed=st.integers(0, 99))
def test_rows_left_out_do_not_count(log: Log, seed: int) -> None:
    """A mask gives the measures of the log without those rows and without their account-days."""
    # Days are kept whole, since the account-days of `measured` hold the scores of all their rows.
    is_kept_day = np.random.default_rng(seed).random(20) < 0.7
    keep = is_kept_day[log.days + 3]
    if keep.any():
        assert measured(log, keep) == _same_as(measured(log.take(keep)))
    else:
        assert all(math.isnan(value) for value in measured(log, keep).values.values())


def test_one_class_has_no_ranking_measure() -> None:
    """Without frauds, or with nothing else, AUC and average precision are NaN and no warning."""
    scores = np.array([0.1, 0.2])
    for labels in (np.array([False, False]), np.array([True, True])):
        assert math.isnan(metrics.auc(scores, labels))
        assert math.isnan(metrics.average_precision(scores, labels))


@pytest.mark.parametrize(
    ("scores", "accounts", "fault"),
    [
        ([1.0], [0, 1], r"lengths \[1, 2\]"),
        ([1.0, np.nan], [0, 1], "1 scores that are not finite"),
        ([1.0, 2.0], [0, -1], "1 negative codes"),
    ],
    ids=["lengths", "nan", "negative"],
)
def test_bad_columns_are_refused(scores: list[float], accounts: list[int], fault: str) -> None:
    """Columns that would give a wrong measure raise an error that says what is wrong."""
    with pytest.raises(DataError, match=fault):
        Scored(scores=np.array(scores), accounts=np.array(accounts), days=np.array([0, 0]))


@pytest.mark.parametrize(
    ("days", "fault"),
    [([1], "none for 1 and several for 0"), ([1, 2, 2], "none for 0 and several for 1")],
    ids=["missing", "twice"],
)
def test_account_days_must_match_the_transactions(days: list[int], fault: str) -> None:
    """A day of an account without a score, or with two, is refused, not passed over."""
    transactions = Scored(
        scores=np.array([0.0, 1.0]), accounts=np.array([0, 0]), days=np.array([1, 2])
    )
    table = Scored(
        scores=np.zeros(len(days)), accounts=np.zeros(len(days), int), days=np.array(days)
    )
    with pytest.raises(DataError, match=fault):
        metrics.measure_fraud(transactions, np.array([True, False]), table)


def test_settings_without_sense_are_refused() -> None:
    """No places in a list, and a test before the end of training, are errors of the settings."""
    one = np.array([0])
    with pytest.raises(ConfigError, match="expected at least 1, got 0"):
        metrics.card_precision(one, one > 0, one, one, k=0)
    with pytest.raises(ConfigError, match="delay of -1"):
        metrics.known_compromised(one, one, one > 0, train_end_day=1, test_start_day=0)


@pytest.mark.skipif(not HANDBOOK.exists(), reason="the log of the Handbook is not there")
def test_the_protocol_of_the_handbook_is_reproduced() -> None:
    """The validation week of its section 7.3 has the known rows, ceiling and figures of amounts."""
    names = ["amount", "is_fraud", "account_id", "event_time"]
    table = pq.read_table(HANDBOOK, columns=names)
    times = table["event_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    amounts, labels, accounts = (np.asarray(table[name]) for name in names[:3])
    log = Log(amounts, labels == 1, accounts, np.asarray(times) // DAY_US)
    train_end, test_start, test_end = (
        (day - date(1970, 1, 1)).days
        for day in (date(2018, 7, 18), date(2018, 7, 25), date(2018, 8, 1))
    )
    is_known = metrics.known_compromised(
        log.accounts, log.days, log.is_fraud, train_end_day=train_end, test_start_day=test_start
    )
    test = log.take((log.days >= test_start) & (log.days < test_end) & ~is_known)
    assert (len(test.scores), test.is_fraud.sum()) == (58_505, 374)
    result = measured(test)
    assert result.ceilings["card_precision@100"] == pytest.approx(0.397, abs=5e-4)
    assert result.values["auc"] == pytest.approx(0.645, abs=5e-4)
    assert result.values["average_precision"] == pytest.approx(0.208, abs=5e-4)
    assert result.values["card_precision@100"] == pytest.approx(0.079, abs=5e-4)


def _same_as(measures: metrics.FraudMeasures) -> metrics.FraudMeasures:
    """Equal to the same measures up to rounding, NaN being NaN."""
    return metrics.FraudMeasures(
        values=pytest.approx(measures.values, nan_ok=True),
        ceilings=pytest.approx(measures.ceilings, nan_ok=True),
    )
