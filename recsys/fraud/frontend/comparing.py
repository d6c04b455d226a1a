"""Compares the fraud scorer with baseline detectors on the end of a labelled log."""

from __future__ import annotations

from datetime import date
from typing import cast

import pyarrow as pa

from recsys.compiled import num_threads
from recsys.datasets.callers import in_words_of_python
from recsys.datasets.frames.frames import Frame, as_kind
from recsys.datasets.transactions.days import rows_before, start_of
from recsys.errors import ConfigError
from recsys.fraud.evaluation.benchmark import (
    measure_baselines,
    measure_scored,
    rows_to_measure,
    score_test,
)
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.frontend.fraud_scorer import FraudScorer
from recsys.schema import EVENT_TIME

OURS = "fraud scorer"
"""Name of the scorer among its baselines."""


def compare_scorers(
    transactions: Frame, labels: Frame | str, *, test_share: float = 0.3, **settings: object
) -> Frame:
    """Fit on the days before, measure on the last ones; labels are used only to measure.

    Args:
        transactions: Transactions, one row each.
        labels: Confirmed labels: a frame, or the name of a column of the transactions.
        test_share: Share of the transactions, the latest, that is measured.
        settings: As `FraudScorer` takes them.

    Returns:
        A row for each method: method, num_transactions, num_frauds and the measures.

    Raises:
        ConfigError: A setting is wrong.
        DataError: The frame breaks a rule, or has no days to measure on.
    """
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share: expected a number between 0 and 1, got {test_share}")
    scorer = FraudScorer(**settings)  # type: ignore[arg-type]
    found = scorer._read(transactions, labels)
    table, features, config = found.table, dict(found.log.features), scorer._settings.fraud
    start = _first_day(table, test_share)
    train = rows_before(table, start_of(start))
    with in_words_of_python():
        fitted = fit_fraud_model(train, features, config, num_threads=num_threads())
    scored = score_test(
        fitted, table.slice(train.num_rows), start, labels=None, num_threads=num_threads()
    )
    rows = rows_to_measure(table, scored, cast("pa.Table", found.labels), dropped_since=None)
    if not rows.is_fraud.any():
        raise found.log.origin().refusal(
            expected=f"confirmed frauds among the transactions from {start} on",
            got="none, so that nothing can be measured",
            remedy="give their labels, or raise test_share",
        )
    measured = {OURS: measure_scored(table, scored, rows).values}
    plain = measure_baselines(train, scored.test, rows, features, seed=config.seed)
    measured |= {name: one.values for name, one in plain.items()}
    result = pa.table(
        {
            "method": pa.array(list(measured), pa.string()),
            "num_transactions": pa.array([int(rows.keep.sum())] * len(measured)),
            "num_frauds": pa.array([int((rows.keep & rows.is_fraud).sum())] * len(measured)),
            **{
                name: pa.array([values[name] for values in measured.values()], pa.float64())
                for name in measured[OURS]
            },
        }
    )
    return as_kind(result, found.kind)


def _first_day(table: pa.Table, test_share: float) -> date:
    """The first day that is measured: the last days that hold about as many rows as asked for."""
    times = table[EVENT_TIME]
    day: date = times[min(int((1 - test_share) * len(times)), len(times) - 1)].as_py().date()
    return day
