"""`recsys benchmark fraud`: quality and cost of a config on a labelled log of one's own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import load_checked_transactions
from pipelines.fraud.labels import labels_to_measure
from pipelines.fraud.train import report_fit
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.inputs import Inputs
from pipelines.jobs.job import peak_rss_mb
from recsys.compiled import num_threads
from recsys.config import config_to_dict
from recsys.datasets.transactions.days import day_of, rows_before, start_of
from recsys.datasets.transactions.loading import TransactionLog
from recsys.errors import ConfigError
from recsys.fraud.alerts.outputs import ACCOUNTS_FILE, TRANSACTIONS_FILE, write_table
from recsys.fraud.evaluation.benchmark import (
    ScoredTest,
    TestRows,
    measure_baselines,
    measure_scored,
    rows_to_measure,
    score_test,
)
from recsys.fraud.evaluation.metrics import FraudMeasures
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.schema import (
    ACCOUNT_ID,
    ACCOUNT_SCORE,
    ANOMALY_SCORE,
    DAY,
    EVENT_TIME,
    TRANSACTION_ID,
)


@dataclass(frozen=True, kw_only=True)
class BenchmarkDays:
    """The days of a benchmark."""

    train_end: date
    """The first day after the training days."""
    test_start: date
    """The first day that is measured."""
    test_end: date
    """The first day after the measured ones."""

    def __post_init__(self) -> None:
        if not self.train_end <= self.test_start < self.test_end:
            raise ConfigError(
                "--train-end, --test-start, --test-end: expected days in this order, the last two "
                f"apart, got {self.train_end}, {self.test_start}, {self.test_end}"
            )


def benchmark_fraud(
    config: FraudJobConfig,
    days: BenchmarkDays,
    *,
    label_delay_days: float | None,
    drop_known_compromised: bool,
    out: Path,
    reporter: Reporter,
) -> dict[str, object]:
    """Learn before the train end, go through the gap, score and measure the test days.

    Args:
        config: Settings; the labels stand in the transactions file.
        days: The days.
        label_delay_days: Days after which a label is known; no label is used when None.
        drop_known_compromised: Whether accounts that are known to be compromised are left out of
            the measures, as the Fraud Detection Handbook does.
        out: Folder for the score files and `metrics.json`; it must not hold them yet.
        reporter: Prints progress.

    Returns:
        What `metrics.json` holds.
    """
    if (out / TRANSACTIONS_FILE).exists():
        raise ConfigError(
            f"--out: expected a folder without {TRANSACTIONS_FILE}, got {out}; choose another one"
        )
    config = replace(config, data=replace(config.data, labels=config.data.transactions))
    inputs = Inputs()
    log, checked = load_checked_transactions(inputs, config, reporter)
    labels = labels_to_measure(inputs, config, log, reporter)
    used_labels = None if label_delay_days is None else labels
    if label_delay_days is not None:
        config = replace(config, labels=replace(config.labels, delay_days=label_delay_days))
    table = rows_before(checked.table, start_of(days.test_end))
    train = rows_before(table, start_of(days.train_end))
    _require_test_rows(log, table, days)
    started = time.perf_counter()
    fitted = _fit(config, days, train, used_labels, reporter)
    fit_s = time.perf_counter() - started
    scored = score_test(
        fitted, table.slice(train.num_rows), days.test_start,
        labels=used_labels, num_threads=num_threads(),
    )  # fmt: skip
    _write(out, scored)
    rows = rows_to_measure(
        table, scored, labels,
        dropped_since=(days.train_end, days.test_start) if drop_known_compromised else None,
    )  # fmt: skip
    _tell_labelled(log, scored, rows, config, reporter)
    measured = measure_scored(table, scored, rows)
    baselines = measure_baselines(train, scored.test, rows, config.features, seed=config.seed)
    figures = {
        **_measured(measured, rows, scored),
        "baselines": {name: asdict(result) for name, result in baselines.items()},
        **_learnt(train, label_delay_days, fit_s),
        "fit": fitted.report.to_dict(),
        "quarantine": checked.report.to_dict(),
        "config": config_to_dict(config),
    }
    (out / "metrics.json").write_text(json_text(figures, indent=1) + "\n", encoding="utf-8")
    _report(measured.values, measured.ceilings, figures, reporter)
    return figures


def _learnt(train: pa.Table, label_delay_days: float | None, fit_s: float) -> dict[str, object]:
    """What was learnt from, and how long it took."""
    return {
        "fit_s": fit_s,
        "num_train_rows": train.num_rows,
        "history_days": float(day_of(train)[-1] - day_of(train)[0]),
        "labels": "none" if label_delay_days is None else f"{label_delay_days:g} days late",
    }


def _measured(measured: FraudMeasures, rows: TestRows, scored: ScoredTest) -> dict[str, object]:
    """Measures, what they were measured on, and what scoring took."""
    return {
        **measured.values,
        "ceilings": measured.ceilings,
        "score_s": scored.score_s,
        "transactions_per_s": scored.num_scored / scored.score_s,
        "peak_rss_mb": peak_rss_mb(),
        "num_transactions": int(rows.keep.sum()),
        "num_test_rows": scored.test.num_rows,
        "num_frauds": int((rows.keep & rows.is_fraud).sum()),
    }


def _tell_labelled(
    log: TransactionLog,
    scored: ScoredTest,
    rows: TestRows,
    config: FraudJobConfig,
    reporter: Reporter,
) -> None:
    """Say how many of the test rows are measured.

    Raises:
        DataError: None of them.
    """
    measured = int(rows.keep.sum())
    if not measured:
        raise log.origin(EVENT_TIME).refusal(
            expected=f"labels of test transactions in column {config.columns.is_fraud!r}",
            got=f"none of the {scored.test.num_rows:,} is labelled and left to be measured",
            remedy="choose test days whose labels are known",
        )
    tell = reporter.say if measured == scored.test.num_rows else reporter.warn
    tell(
        f"measured: {measured:,} of {scored.test.num_rows:,} test transactions, "
        f"{int((rows.keep & rows.is_fraud).sum()):,} of them fraud; those without a label, and of "
        "accounts that are left out, are not measured"
    )


def _require_test_rows(log: TransactionLog, table: pa.Table, days: BenchmarkDays) -> None:
    """Refuse test days without a transaction, on which nothing could be measured.

    Raises:
        DataError: There is none.
    """
    last = pc.max(table[EVENT_TIME]).as_py()
    if last is not None and last >= start_of(days.test_start):
        return
    raise log.origin(EVENT_TIME).refusal(
        expected=f"transactions from {days.test_start} to {days.test_end - timedelta(days=1)}",
        got="none" if last is None else f"none, the last before are of {last.date()}",
        remedy="choose test days that the file has",
    )


def _fit(
    config: FraudJobConfig,
    days: BenchmarkDays,
    train: pa.Table,
    labels: pa.Table | None,
    reporter: Reporter,
) -> FittedFraud:
    """The scorer, with the labels that are known when the test begins."""
    known = None
    if labels is not None:
        known = ConfirmedLabels(table=labels, at=start_of(days.test_start))
    with reporter.training(unit="transactions"):
        fitted = fit_fraud_model(
            train,
            config.features,
            config.fraud,
            num_threads=num_threads(),
            labels=known,
            callbacks=FitCallbacks(on_stage=reporter.say, on_epoch=reporter.epoch),
        )
    report_fit(fitted, reporter)
    return fitted


def _write(out: Path, scored: ScoredTest) -> None:
    out.mkdir(parents=True, exist_ok=True)
    ids, days = scored.test.select([TRANSACTION_ID]), scored.account_days
    scores = pa.array(scored.anomaly_score)
    write_table(out / TRANSACTIONS_FILE, ids.append_column(ANOMALY_SCORE, scores))
    account_days = {
        ACCOUNT_ID: scored.account_ids,
        DAY: pa.array(days.day.astype(np.int32), pa.date32()),
        ACCOUNT_SCORE: days.highest,
    }
    write_table(out / ACCOUNTS_FILE, pa.table(account_days))


def _report(
    values: Mapping[str, float],
    ceilings: Mapping[str, float],
    figures: Mapping[str, object],
    reporter: Reporter,
) -> None:
    for name, value in values.items():
        reporter.say(f"  {name + ':':<34}{value:.4f} (a perfect ranking: {ceilings[name]:.4f})")
    for baseline, result in dict(figures["baselines"]).items():  # type: ignore[call-overload]
        found = ", ".join(f"{name} {value:.4f}" for name, value in result["values"].items())
        reporter.say(f"  {baseline}: {found}")
