"""Measuring scores against labels, beside what one would reach with a plain detector.

Shapes: N transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.fraud.evaluation.account_surprise import AccountSurprise
from recsys.fraud.evaluation.baselines import (
    AmountAlone,
    Baseline,
    BaselineInputs,
    IsolationForest,
    NearestNeighbours,
)
from recsys.fraud.evaluation.metrics import FraudMeasures, Scored, measure_fraud
from recsys.fraud.scoring.account_days import AccountDays

FittedT = TypeVar("FittedT")

_MAX_BASELINE_ROWS = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class TestRows:
    """What every method is measured on."""

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
    """What a plain detector reaches, and what it costs."""

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
    """Fit plain detectors on the training rows and measure them on the test rows.

    They see the same columns, but all but the last not whose transaction it is. Of very long logs
    these get a part of the training rows, drawn at random.

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
    score(fitted, slice(1))  # compiles what is compiled at its first use
    start = time.perf_counter()
    scores_N = score(fitted, slice(None))
    score_s = time.perf_counter() - start
    return BaselineResult(
        values=rows.measure(scores_N).values,
        fit_s=fit_s,
        score_s=score_s,
        transactions_per_s=len(scores_N) / score_s,
    )
