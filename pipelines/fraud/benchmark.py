"""`recsys benchmark fraud`: quality and cost of a config on a labelled log of one's own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import load_checked_transactions, num_threads
from pipelines.fraud.labels import labels_to_measure
from pipelines.fraud.train import tell_fit
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.inputs import Inputs
from pipelines.jobs.job import peak_rss_mb
from recsys.config import config_to_dict
from recsys.datasets.transactions.days import day_number, day_of, rows_before, start_of
from recsys.datasets.transactions.labels import (
    UNKNOWN,
    known_labels,
)
from recsys.datasets.transactions.loading import TransactionLog
from recsys.errors import ConfigError
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.alerts.outputs import ACCOUNTS_FILE, TRANSACTIONS_FILE, write_table
from recsys.fraud.evaluation.benchmark import TestRows, measure_baselines
from recsys.fraud.evaluation.metrics import FraudMeasures, known_compromised
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.fraud.scoring.account_days import AccountDays
from recsys.schema import (
    ACCOUNT_ID,
    ACCOUNT_SCORE,
    ANOMALY_SCORE,
    DAY,
    EVENT_TIME,
    TRANSACTION_ID,
)

_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The days of a benchmark."""

    train_end: date
    """The first day that is not learnt from."""
    test_start: date
    """The first day that is measured."""
    test_end: date
    """The first day that is not."""

    def __post_init__(self) -> None:
        if not self.train_end <= self.test_start < self.test_end:
            raise ConfigError(
                "--train-end, --test-start, --test-end: expected days in this order, the last two "
                f"apart, got {self.train_end}, {self.test_start}, {self.test_end}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scored:
    """Scores of the test rows, and what it took."""

    test: pa.Table
    anomaly_score: npt.NDArray[np.float64]
    account_ids: pa.Array
    account_days: AccountDays
    num_scored: int
    score_s: float


def benchmark_fraud(
    config: FraudJobConfig,
    window: Window,
    *,
    label_delay_days: float | None,
    drop_known_compromised: bool,
    out: Path,
    reporter: Reporter,
) -> dict[str, object]:
    """Learn before the train end, go through the gap, score and measure the test days.

    Args:
        config: Settings; the labels stand in the transactions file.
        window: The days.
        label_delay_days: Days after which a label is known; no label is used when None.
        drop_known_compromised: Whether accounts that are known to be compromised are left out of
            the measures, as the Fraud Detection Handbook does.
        out: Folder for the score files and `metrics.json`; it must not hold them yet.
        reporter: Whom to tell.

    Returns:
        What `metrics.json` holds.
    """
    if (out / TRANSACTIONS_FILE).exists():
        raise ConfigError(
            f"--out: expected a folder without {TRANSACTIONS_FILE}, got {out}; choose another one"
        )
    config = replace(config, data=replace(config.data, labels=config.data.transactions))
    log, checked = load_checked_transactions(Inputs(), config, reporter)
    labels = labels_to_measure(config, log, reporter)
    used_labels = None if label_delay_days is None else labels
    if label_delay_days is not None:
        config = replace(config, labels=replace(config.labels, delay_days=label_delay_days))
    table = rows_before(checked.table, start_of(window.test_end))
    train = rows_before(table, start_of(window.train_end))
    _require_test_rows(log, table, window)
    started = time.perf_counter()
    fitted = _fit(config, window, train, used_labels, reporter)
    fit_s = time.perf_counter() - started
    scored = _score(fitted, table.slice(train.num_rows), window, used_labels)
    _write(out, scored)
    rows = _test_rows(table, scored, labels, window, drop_known_compromised)
    _tell_labelled(log, scored, rows, config, reporter)
    codes = Vocabulary.fit(table[ACCOUNT_ID]).numbers(pa.chunked_array([scored.account_ids]))
    measured = rows.measure(scored.anomaly_score, replace(scored.account_days, account=codes))
    baselines = measure_baselines(train, scored.test, rows, config.features, seed=config.seed)
    figures = {
        **_measured(measured, rows, scored),
        "baselines": {name: asdict(result) for name, result in baselines.items()},
        "fit_s": fit_s,
        "num_train_rows": train.num_rows,
        "history_days": float(day_of(train)[-1] - day_of(train)[0]),
        "labels": "none" if label_delay_days is None else f"{label_delay_days:g} days late",
        "fit": config_to_dict(fitted.report),
        "quarantine": checked.report.to_dict(),
        "config": config_to_dict(config),
    }
    text = json_text(figures, indent=1) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    _tell(measured.values, measured.ceilings, figures, reporter)
    return figures


def _measured(measured: FraudMeasures, rows: TestRows, scored: _Scored) -> dict[str, object]:
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
    scored: _Scored,
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


def _require_test_rows(log: TransactionLog, table: pa.Table, window: Window) -> None:
    """Refuse test days without a transaction, on which nothing could be measured.

    Raises:
        DataError: There is none.
    """
    last = pc.max(table[EVENT_TIME]).as_py()
    if last is not None and last >= start_of(window.test_start):
        return
    raise log.origin(EVENT_TIME).refusal(
        expected=f"transactions from {window.test_start} to {window.test_end - timedelta(days=1)}",
        got="none" if last is None else f"none, the last before are of {last.date()}",
        remedy="choose test days that the file has",
    )


def _fit(
    config: FraudJobConfig,
    window: Window,
    train: pa.Table,
    labels: pa.Table | None,
    reporter: Reporter,
) -> FittedFraud:
    """The scorer, with the labels that are known when the test begins."""
    known = None
    if labels is not None:
        known = ConfirmedLabels(table=labels, at=start_of(window.test_start))
    with reporter.training(unit="transactions"):
        fitted = fit_fraud_model(
            train,
            config.features,
            config.fraud,
            num_threads=num_threads(),
            labels=known,
            callbacks=FitCallbacks(on_stage=reporter.say, on_epoch=reporter.epoch),
        )
    tell_fit(fitted, reporter)
    return fitted


def _score(fitted: FittedFraud, rest: pa.Table, window: Window, labels: pa.Table | None) -> _Scored:
    """Scores of the rows after the training, of which those of the test days are kept."""
    started = time.perf_counter()
    scores, state = fitted.model.score(rest, fitted.state, num_threads=num_threads(), labels=labels)
    score_s = time.perf_counter() - started
    in_test_N = day_of(rest) >= day_number(window.test_start)
    days = AccountDays.of(
        scores.account[in_test_N],
        day_of(rest)[in_test_N],
        scores.judgement.combined[in_test_N],
        scores.passed.num_known[in_test_N],
    )
    p_values_M = fitted.model.account_p_values(days, with_labels=labels is not None)
    return _Scored(
        test=rest.filter(pa.array(in_test_N)),
        anomaly_score=scores.judgement.anomaly_score[in_test_N],
        account_ids=state.account_ids.lookup(days.account),
        account_days=replace(days, highest=1 - p_values_M),
        num_scored=rest.num_rows,
        score_s=score_s,
    )


def _write(out: Path, scored: _Scored) -> None:
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


def _test_rows(
    table: pa.Table, scored: _Scored, labels: pa.Table, window: Window, drop_known: bool
) -> TestRows:
    """What is measured: the truth of the test rows, and which count; none without a label."""
    label_N = known_labels(table, labels, delay_days=0, at=_LATEST)
    is_fraud_N = label_N == 1
    account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
    is_left_out_N = np.zeros(table.num_rows, dtype=np.bool_)
    if drop_known:
        is_left_out_N = known_compromised(
            account_N,
            np.floor(day_of(table)).astype(np.int64),
            is_fraud_N,
            train_end_day=day_number(window.train_end),
            test_start_day=day_number(window.test_start),
        )
    test = slice(table.num_rows - scored.test.num_rows, None)
    return TestRows(
        account=account_N[test],
        day=day_of(scored.test),
        is_fraud=is_fraud_N[test],
        keep=(~is_left_out_N & (label_N != UNKNOWN))[test],
    )


def _tell(
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
