"""Confirmed labels are learnt from and looked at from their delay on, and never before it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_transactions import FEATURES, QUICK, cut, days_of, times_of

from recsys.datasets.synthetic.transactions import synthetic_transactions
from recsys.fraud.config import LabelsConfig, MetaModelConfig
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.labels.memory import MEMORY_DAYS
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.scores import Scores

DELAY_DAYS, NUM_FIT_DAYS, NUM_DAYS = 7, 56, 76
BAD_DAYS = 14
TURNED_BAD = NUM_FIT_DAYS + 2
AT = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=NUM_FIT_DAYS)
DAY_US = 86_400_000_000
CONFIG = replace(
    QUICK, labels=LabelsConfig(delay_days=DELAY_DAYS, meta_model=MetaModelConfig(num_rounds=40))
)


@dataclass(frozen=True, eq=False)
class Log:
    """Merchants turn bad for a while: all that happens there is fraud, and looks as usual."""

    train: pa.Table
    later: pa.Table
    is_fraud: np.ndarray
    """Of all transactions."""
    is_last_merchant: np.ndarray
    """Later transactions at the merchant that turns bad after training, from then on."""

    @property
    def whole(self) -> pa.Table:
        """All transactions."""
        return pa.concat_tables([self.train, self.later])

    def labels(self, is_fraud: np.ndarray | None = None) -> pa.Table:
        """Labels of all transactions, in order of their ids."""
        answers = pa.array(self.is_fraud if is_fraud is None else is_fraud)
        ids = self.whole["transaction_id"]
        return pa.table({"transaction_id": ids, "is_fraud": answers}).sort_by("transaction_id")


@functools.cache
def bad_merchants() -> Log:
    """Six merchants are bad for two weeks of training, one from two days after it on."""
    table = synthetic_transactions(
        num_accounts=60, num_days=NUM_DAYS, seed=5, num_merchants=40
    ).table.drop_columns(["is_fraud", "plant"])
    counts = pc.value_counts(table["counterparty_id"].combine_chunks()).to_pylist()
    popular = [one["values"] for one in sorted(counts, key=lambda one: -one["counts"])]
    merchants, days = np.asarray(table["counterparty_id"]), days_of(table)
    is_last = merchants == popular[0]
    is_last &= (days >= TURNED_BAD) & (days < TURNED_BAD + BAD_DAYS)
    is_fraud = is_last.copy()
    for turn, merchant in enumerate(popular[1:7]):
        since = 20 + 4 * turn
        is_fraud |= (merchants == merchant) & (days >= since) & (days < since + BAD_DAYS)
    train, later = cut(table, NUM_FIT_DAYS)
    return Log(train, later, is_fraud, is_last[train.num_rows :])


def fit(labels: pa.Table | None, *, at: datetime = AT) -> FittedFraud:
    """A scorer of the training days."""
    known = None if labels is None else ConfirmedLabels(table=labels, at=at)
    return fit_fraud_model(bad_merchants().train, FEATURES, CONFIG, num_threads=1, labels=known)


@functools.cache
def fitted() -> FittedFraud:
    """The scorer that the true labels give."""
    return fit(bad_merchants().labels())


def scored(labels: pa.Table | None) -> tuple[Scores, ProfileState]:
    """The later days."""
    found = fitted()
    return found.model.score(bad_merchants().later, found.state, num_threads=1, labels=labels)


@functools.cache
def truly_scored() -> Scores:
    """The later days with the true labels."""
    return scored(bad_merchants().labels())[0]


def test_labels_teach_something() -> None:
    """With labels there are trees and a memory of recent transactions, without there are none."""
    found, plain = fitted(), fit(None)
    assert found.report.uses_labels
    assert found.model.supervised is not None
    assert found.state.recent is not None
    assert not plain.report.uses_labels
    assert plain.model.supervised is None
    assert plain.state.recent is None
    assert found.state.recent.num_rows == bad_merchants().train.num_rows < 60 * MEMORY_DAYS * 4


@settings(max_examples=12)
@given(share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_no_label_is_looked_at_before_its_delay(share: float, seed: int) -> None:
    """Whatever labels say that are not known at a moment, scores up to it stay byte for byte."""
    log = bad_merchants()
    times = times_of(log.later)
    moment = times[int(share * (len(times) - 1))]
    undisclosed = times_of(log.whole) + DELAY_DAYS * DAY_US > moment
    drawn = np.random.default_rng(seed).random(len(undisclosed)) < 0.5
    changed, _ = scored(log.labels(np.where(undisclosed, drawn, log.is_fraud)))
    until = int(np.searchsorted(times, moment, side="right"))
    expected = truly_scored().calibrated
    for name in ("combined", "p_value", "anomaly_score"):
        found = getattr(changed.calibrated, name)[:until]
        assert found.tobytes() == getattr(expected, name)[:until].tobytes(), name


@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_label_is_learnt_from_before_its_delay(seed: int) -> None:
    """Whatever labels say that are not known at the end of training, the trees stay the same."""
    log = bad_merchants()
    undisclosed = times_of(log.whole) + DELAY_DAYS * DAY_US > AT.timestamp() * 1_000_000
    drawn = np.random.default_rng(seed).random(len(undisclosed)) < 0.5
    found = fit(log.labels(np.where(undisclosed, drawn, log.is_fraud))).model
    expected = fitted().model
    assert found.supervised is not None
    assert expected.supervised is not None
    assert found.supervised.meta_model == expected.supervised.meta_model
    values = np.linspace(-9, 9, 50)
    np.testing.assert_array_equal(
        found.supervised.tail.surprise(values), expected.supervised.tail.surprise(values)
    )


def test_labels_that_are_known_do_matter() -> None:
    """Labels that are known give other trees: the laws above are not empty."""
    log = bad_merchants()
    moment = AT - timedelta(days=14)
    found, expected = fit(log.labels(), at=moment).model, fitted().model
    assert found.supervised is not None
    assert expected.supervised is not None
    assert found.supervised.meta_model != expected.supervised.meta_model


def test_a_merchant_gone_bad_is_seen_after_the_delay_and_not_before() -> None:
    """Its confirmed frauds lift the scores of what happens there, from the first known one on."""
    log = bad_merchants()
    unnoticed = log.is_fraud.copy()
    unnoticed[log.train.num_rows :] &= ~log.is_last_merchant
    knowing = truly_scored().calibrated.anomaly_score
    ignorant = scored(log.labels(unnoticed))[0].calibrated.anomaly_score
    times = times_of(log.later)
    first_known = times[log.is_last_merchant].min() + DELAY_DAYS * DAY_US
    assert knowing[times < first_known].tobytes() == ignorant[times < first_known].tobytes()
    settled = log.is_last_merchant & (times > first_known + 2 * DAY_US)
    assert settled.sum() > 20
    assert (knowing > ignorant)[settled].mean() > 0.9
    assert np.median(knowing[settled]) > 0.9 > np.median(ignorant[settled])


@pytest.mark.parametrize("given_labels", ["none known", "too few frauds", "none at all"])
def test_labels_that_say_too_little_change_nothing(given_labels: str) -> None:
    """Model, state and scores are those without labels until enough frauds are known."""
    log = bad_merchants()
    everything = log.labels()
    frauds = everything.filter(everything["is_fraud"])
    labels, at = {
        "none known": (everything, AT - timedelta(days=NUM_FIT_DAYS - 5)),
        "too few frauds": (frauds.slice(0, CONFIG.labels.meta_model.min_frauds - 1), AT),
        "none at all": (everything.slice(0, 0), AT),
    }[given_labels]
    found, plain = fit(labels, at=at), fit(None)
    assert found.model.supervised is None
    assert found.state.recent is None
    with_them, _ = found.model.score(log.later, found.state, num_threads=1, labels=everything)
    without, _ = plain.model.score(log.later, plain.state, num_threads=1)
    for name in ("combined", "anomaly_score"):
        assert (
            getattr(with_them.calibrated, name).tobytes()
            == getattr(without.calibrated, name).tobytes()
        )


def test_without_labels_a_model_that_learnt_from_them_scores_as_without() -> None:
    """A night whose label file is missing has the scores of a model that never saw a label."""
    plain = fit(None)
    without, _ = scored(None)
    expected, _ = plain.model.score(bad_merchants().later, plain.state, num_threads=1)
    assert without.calibrated.combined.tobytes() == expected.calibrated.combined.tobytes()


def test_transactions_beside_do_not_matter() -> None:
    """Cut anywhere, with the state passed on, the later days have the scores of one call."""
    log, found = bad_merchants(), fitted()
    state, parts = found.state, []
    for day in np.unique(days_of(log.later)):
        rows = log.later.filter(pa.array(days_of(log.later) == day))
        part, state = found.model.score(rows, state, num_threads=1, labels=log.labels())
        parts.append(part.calibrated.combined)
    whole = truly_scored().calibrated.combined
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_the_memory_is_of_bounded_length() -> None:
    """What is kept reaches back as far as memory and delay, and no transaction in it is lost."""
    log, found = bad_merchants(), fitted()
    state = found.state
    for day in (NUM_FIT_DAYS, NUM_DAYS - 1):
        rows = log.later.filter(pa.array(days_of(log.later) == day))
        _, state = found.model.score(rows, state, num_threads=1, labels=log.labels())
    assert state.recent is not None
    seen = pa.concat_tables([
        log.train, log.later.filter(pa.array(np.isin(days_of(log.later), (56, 75))))
    ])  # fmt: skip
    is_near = times_of(seen) / DAY_US + DELAY_DAYS + MEMORY_DAYS > times_of(rows)[0] / DAY_US
    expected = seen.filter(pa.array(is_near))["transaction_id"]
    assert state.recent["transaction_id"].to_pylist() == expected.to_pylist()
    assert 0 < len(expected) < seen.num_rows
