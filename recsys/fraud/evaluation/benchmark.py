"""Measures scores against labels, beside baseline detectors.

Shapes: N transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_number, day_of
from recsys.datasets.transactions.labels import UNKNOWN, known_labels
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.evaluation.account_surprise import AccountSurprise
from recsys.fraud.evaluation.baselines import (
    AmountAlone,
    Baseline,
    BaselineInputs,
    IsolationForest,
    NearestNeighbours,
)
from recsys.fraud.evaluation.metrics import FraudMeasures, Scored, known_compromised, measure_fraud
from recsys.fraud.fitting.train import FittedFraud
from recsys.fraud.scoring.account_days import AccountDays
from recsys.schema import ACCOUNT_ID

FittedT = TypeVar("FittedT")

_MAX_BASELINE_ROWS = 200_000
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class TestRows:
    """The rows that every method is measured on."""

    account: Int64Array
    """Account of each transaction. Shape (N,)."""
    day: Float64Array
    """Its time in days. Shape (N,)."""
    is_fraud: BoolArray
    """Its label. Shape (N,)."""
    keep: BoolArray
    """Whether it is evaluated. Shape (N,)."""

    def measure(
        self, score_N: Float64Array, account_days: AccountDays | None = None
    ) -> FraudMeasures:
        """Measure scores of transactions.

        Args:
            score_N: Scores, higher where more unusual.
            account_days: Scores of account-days under the codes of these rows; the highest score of
                a transaction if not given.
        """
        if account_days is None:
            account_days = AccountDays.of(
                self.account, self.day, score_N, np.zeros(len(score_N), dtype=np.float32)
            )
        return measure_fraud(
            Scored(scores=score_N, accounts=self.account, days=np.floor(self.day).astype(np.int64)),
            self.is_fraud,
            Scored(
                scores=account_days.highest,
                accounts=account_days.account,
                days=account_days.day,
            ),
            keep_N=self.keep,
        )


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """Measures and cost of a baseline detector."""

    values: dict[str, float]
    """Measures by name."""
    fit_s: float
    """Seconds to fit."""
    score_s: float
    """Seconds to score, code compiled."""
    transactions_per_s: float
    """Transactions scored a second, measured or not."""


def measure_baselines(
    train: pa.Table,
    test: pa.Table,
    rows: TestRows,
    features: Mapping[str, FeatureConfig],
    *,
    seed: int,
) -> dict[str, BaselineResult]:
    """Fit baseline detectors on the training rows and measure them on the test rows.

    They see the same columns, but only the last one knows the accounts. Of very long logs the
    others get a random part of the training rows.

    Args:
        train: Training transactions.
        test: Test transactions, as `rows` describes them.
        rows: What is measured on.
        features: Kind of each feature.
        seed: Seed of everything random.
    """
    chosen = np.random.default_rng(seed).permutation(train.num_rows)[:_MAX_BASELINE_ROWS]
    inputs = BaselineInputs.fit(train, features)
    x_train, x_test = inputs.encode(train.take(pa.array(np.sort(chosen)))), inputs.encode(test)
    baselines: dict[str, Baseline] = {
        "amount alone": AmountAlone(),
        "isolation forest": IsolationForest(seed=seed),
        "nearest neighbours": NearestNeighbours(seed=seed),
    }
    return {
        **{
            name: _measured(
                partial(one.fit, x_train), lambda fitted, part: fitted.score(x_test[part]), rows
            )
            for name, one in baselines.items()
        },
        "account surprise": _measured(
            partial(AccountSurprise.fit, train, features, seed=seed),
            lambda fitted, part: fitted.score(test[part]),
            rows,
        ),
    }


def _measured(
    fit: Callable[[], FittedT], score: Callable[[FittedT, slice], Float64Array], rows: TestRows
) -> BaselineResult:
    start = time.perf_counter()
    fitted = fit()
    fit_s = time.perf_counter() - start
    score(fitted, slice(1))  # runs once so that its functions are compiled
    start = time.perf_counter()
    scores_N = score(fitted, slice(None))
    score_s = time.perf_counter() - start
    return BaselineResult(
        values=rows.measure(scores_N).values,
        fit_s=fit_s,
        score_s=score_s,
        transactions_per_s=len(scores_N) / score_s,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredTest:
    """Scores of the test rows, and what it took."""

    test: pa.Table
    """The test rows."""
    anomaly_score: Float64Array
    """Their scores. Shape (N,)."""
    account_ids: pa.Array
    """Account of each account-day."""
    account_days: AccountDays
    """Scores of the account-days, as probabilities of less unusual ones."""
    num_scored: int
    """Rows that were scored, those before the test among them."""
    score_s: float
    """Seconds that it took."""


def score_test(
    fitted: FittedFraud,
    rest: pa.Table,
    test_start: date,
    *,
    labels: pa.Table | None,
    num_threads: int,
) -> ScoredTest:
    """Scores of the rows after the training, of which those of the test days are kept.

    Args:
        fitted: The scorer.
        rest: Transactions after those of the training.
        test_start: The first day that is measured.
        labels: Labels that are used once they are known.
        num_threads: Threads of the trees.
    """
    started = time.perf_counter()
    scores, state = fitted.model.score(rest, fitted.state, num_threads=num_threads, labels=labels)
    score_s = time.perf_counter() - started
    in_test_N = day_of(rest) >= day_number(test_start)
    days = AccountDays.of(
        scores.account[in_test_N],
        day_of(rest)[in_test_N],
        scores.calibrated.combined[in_test_N],
        scores.passed.num_known[in_test_N],
    )
    p_values_M = fitted.model.account_p_values(days, with_labels=labels is not None)
    return ScoredTest(
        test=rest.filter(pa.array(in_test_N)),
        anomaly_score=scores.calibrated.anomaly_score[in_test_N],
        account_ids=state.account_ids.lookup(days.account),
        account_days=replace(days, highest=1 - p_values_M),
        num_scored=rest.num_rows,
        score_s=score_s,
    )


def rows_to_measure(
    table: pa.Table,
    scored: ScoredTest,
    labels: pa.Table,
    *,
    dropped_since: tuple[date, date] | None,
) -> TestRows:
    """What is measured: the truth of the test rows, and which count; none without a label.

    Args:
        table: All transactions, the test rows at their end.
        scored: The scores.
        labels: All labels.
        dropped_since: First day that is not learnt from and first day that is measured, where
            accounts are left out once their fraud is known.
    """
    label_N = known_labels(table, labels, delay_days=0, at=_LATEST)
    is_fraud_N = label_N == 1
    account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
    is_left_out_N = np.zeros(table.num_rows, dtype=np.bool_)
    if dropped_since is not None:
        is_left_out_N = known_compromised(
            account_N,
            np.floor(day_of(table)).astype(np.int64),
            is_fraud_N,
            train_end_day=day_number(dropped_since[0]),
            test_start_day=day_number(dropped_since[1]),
        )
    test = slice(table.num_rows - scored.test.num_rows, None)
    return TestRows(
        account=account_N[test],
        day=day_of(scored.test),
        is_fraud=is_fraud_N[test],
        keep=(~is_left_out_N & (label_N != UNKNOWN))[test],
    )


def measure_scored(table: pa.Table, scored: ScoredTest, rows: TestRows) -> FraudMeasures:
    """Measures of scores, account-days under the codes that the accounts have in the table."""
    codes = Vocabulary.fit(table[ACCOUNT_ID]).numbers(pa.chunked_array([scored.account_ids]))
    return rows.measure(scored.anomaly_score, replace(scored.account_days, account=codes))
