"""The training job of the fraud scorer: fit, publish model and state, register."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import (
    check_inputs,
    follow_from,
    load_checked_transactions,
)
from pipelines.fraud.labels import labels_of
from pipelines.fraud.late_rows import DAY_ROWS, day_rows
from pipelines.fraud.promotion import OutputChecks, check_new_model, latest_rows
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.job import last_whole_day, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run
from pipelines.jobs.provenance import publication_order
from recsys.artifacts import digest_table, read_bundle
from recsys.checkpoints import Checkpoints
from recsys.compiled import num_threads
from recsys.config import config_to_dict
from recsys.datasets.transactions.days import end_of_day, rows_before
from recsys.datasets.transactions.loading import TransactionLog
from recsys.datasets.transactions.quarantine import CheckedTransactions
from recsys.fraud.alerts.canary import CanaryRecall, plant_and_score
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.fraud.serving import load_fraud_scorer
from recsys.fraud.storage.model_bundle import BUNDLE_KIND as MODEL_KIND
from recsys.fraud.storage.model_bundle import save_fraud_model
from recsys.fraud.storage.state_bundle import BUNDLE_KIND as STATE_KIND
from recsys.fraud.storage.state_bundle import save_state
from recsys.publishing import PublishedRun
from recsys.schema import TRANSACTION_ID
from recsys.time_units import S_PER_DAY
from recsys.tracking import TrackedRun, served_fraud_model, start_run


def train_fraud(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Fit on all transactions up to the day, and publish the model and the state of accounts.

    Args:
        config: Settings.
        as_of: The day that the run stands for; yesterday by default.
        reporter: Prints progress.
        force: Whether to run even if the day's model was made from the same inputs.

    Returns:
        What happened, for the status line.
    """
    with job_run("train-fraud", config.models, config.deadlines, force=force) as job:
        return _train(config, as_of, reporter, job)


def _train(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    day = as_of or last_whole_day()
    with job.stage("load"):
        data = _load(config, day, as_of, reporter, job)
    provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    checkpoints = job.checkpoints(provenance)
    with start_run(config.tracking, run_name=f"train-fraud {day}") as run:
        _record_inputs(run, config, data)
        with job.stage("work"), reporter.training(unit="transactions"):
            fitted = _fit(config, data, reporter, checkpoints)
            checks = check_new_model(config, _canary(config, fitted, data.table))
        report_fit(fitted, reporter)
        outcome = job.publish(
            day,
            partial(_write, data, fitted, checks),
            provenance=provenance,
            keep=config.output.keep,
            find_faults=lambda _folder, _written: checks.faults,
            audit=lambda folder, _written: _check_opens(folder),
        )
        folder = outcome.run.folder
        reporter.say(f"{'stored' if checks.faults else 'published'} {folder}")
        run.log_tags({"promotion": str(checks.faults[0]) if checks.faults else "promoted"})
        checkpoints.clear()
        _record(run, fitted, outcome.run, data.table.schema.field(TRANSACTION_ID).type)
    if run.delivery.problem is not None:
        reporter.warn(run.delivery.problem)
    outcome.raise_if_held()
    return outcome.status(
        run=str(folder),
        **run.delivery.status(),
        rows=data.log.num_rows,
        transactions=data.table.num_rows,
        later=data.checked.table.num_rows - data.table.num_rows,
        quarantined=data.checked.report.num_rows - data.checked.report.num_used,
        filtered=data.log.num_filtered,
        peak_rss_mb=peak_rss_mb(),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    """What is learnt from."""

    day: date
    log: TransactionLog
    checked: CheckedTransactions
    table: pa.Table
    """Usable transactions up to the end of the day."""
    labels: pa.Table | None

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of the transactions, which goes into the model."""
        return {"transactions": digest_table(self.table)}


def _load(
    config: FraudJobConfig, day: date, as_of: date | None, reporter: Reporter, job: JobRun
) -> _Data:
    """Read and check everything, and write down what the model follows from."""
    moment = end_of_day(day)
    log, checked = load_checked_transactions(job.inputs, config, reporter)
    table = rows_before(checked.table, moment)
    follow_from(job.inputs, table, checked, moment)
    labels = labels_of(job.inputs, config, log, reporter, at=moment)
    check_inputs(config, log, table, as_of)
    return _Data(day=day, log=log, checked=checked, table=table, labels=labels)


def _fit(
    config: FraudJobConfig, data: _Data, reporter: Reporter, checkpoints: Checkpoints
) -> FittedFraud:
    labels, moment = data.labels, end_of_day(data.day)
    return fit_fraud_model(
        data.table,
        config.features,
        config.fraud,
        num_threads=num_threads(),
        labels=None if labels is None else ConfirmedLabels(table=labels, at=moment),
        callbacks=FitCallbacks(
            on_stage=reporter.say, on_epoch=reporter.epoch, checkpoints=checkpoints
        ),
    )


def _canary(config: FraudJobConfig, fitted: FittedFraud, table: pa.Table) -> CanaryRecall:
    """How much of what is planted the model finds."""
    rows = latest_rows(table)
    return plant_and_score(
        fitted.model, fitted.state, rows, seed=config.seed, num_threads=num_threads()
    )


def _write(data: _Data, fitted: FittedFraud, checks: OutputChecks, folder: Path) -> None:
    model = save_fraud_model(fitted.model, folder / "model", data_digests=data.digests)
    # Whatever comes up to the moment has been seen: the next day goes on from there.
    state = replace(fitted.state, until=end_of_day(data.day).timestamp() / S_PER_DAY)
    save_state(state, folder / "state", model_fingerprint=model.fingerprint)
    figures = {
        **_metrics(fitted, data.checked.report.to_dict()),
        DAY_ROWS: day_rows(data.table, data.day),
        **checks.record,
    }
    (folder / "metrics.json").write_text(json_text(figures, indent=1), encoding="utf-8")


def _record_inputs(run: TrackedRun, config: FraudJobConfig, data: _Data) -> None:
    """Settings, environment and the data's digest at the tracking server."""
    run.log_params({**config_to_dict(config), "tracking": {}})
    run.log_environment()
    run.log_dataset(
        "transactions",
        digest=data.digests["transactions"],
        num_rows=data.table.num_rows,
        source=str(config.data.transactions),
        context="training",
    )


def report_fit(fitted: FittedFraud, reporter: Reporter) -> None:
    """What was found in the data, for people."""
    report = fitted.report
    reporter.say(
        f"normal behaviour: {report.num_accounts:,} accounts in {report.num_peer_groups} peer "
        f"groups, amounts by {report.context or 'nothing else'}; account columns: "
        f"{', '.join(report.account_features) or 'none'}"
    )
    if report.silent:
        names = ", ".join(report.silent)
        reporter.say(
            f"columns with one value in every row say nothing and are no evidence: {names}"
        )
    shares = sorted(report.episode_shares.items(), key=lambda item: -item[1])
    best = ", ".join(f"{kind} {share:.2f}" for kind, share in shares[:5])
    reporter.say(f"evidence that comes in episodes: {best}")
    if report.silent_evidence:
        reporter.say(f"evidence that says nothing here: {', '.join(report.silent_evidence)}")
    if report.episodes_known == 0:
        reporter.say("no episodes can be told from chance: all kinds of evidence count alike")
    if report.uses_labels:
        reporter.say("labels: trees over evidence and labels give the scores")
    if report.labels_missing:
        reporter.warn(f"labels: not used for scores: {report.labels_missing}")
    how = "trees that learnt from episodes" if report.uses_episodes else "weights"
    reporter.say(f"scores: {how}; {report.num_calibration_rows:,} transactions to calibrate on")


def _metrics(fitted: FittedFraud, quarantine: dict[str, object]) -> dict[str, object]:
    return {
        "fit": fitted.report.to_dict(),
        "quarantine": quarantine,
        "peak_rss_mb": peak_rss_mb(),
    }


def _record(
    run: TrackedRun, fitted: FittedFraud, published: PublishedRun, id_type: pa.DataType
) -> None:
    """Send figures and model to the tracking server; a live model gets the alias."""
    report, folder = fitted.report, published.folder
    run.log_metrics({f"{stage.replace(' ', '_')}_s": s for stage, s in report.durations_s.items()})
    run.log_metrics({f"episode_share.{kind}": v for kind, v in report.episode_shares.items()})
    run.log_metrics({"trust_weights": report.lift_of_weights, "peak_rss_mb": peak_rss_mb()})
    run.log_metrics({"episodes_known": report.episodes_known})
    run.log_artifact(folder / "metrics.json")
    scorer = load_fraud_scorer(folder / "model", folder / "state")
    run.log_model(
        served_fraud_model(
            model=read_bundle(folder / "model", kind=MODEL_KIND),
            state=read_bundle(folder / "state", kind=STATE_KIND),
            inputs=scorer.schema(id_type),
        ),
        promote=published.is_current,
        order=publication_order(published),
    )


def _check_opens(folder: Path) -> None:
    """Check that readers can open what is to be published."""
    load_fraud_scorer(folder / "model", folder / "state")
