"""The training job of the fraud scorer: fit, publish model and state, register."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
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
from pipelines.fraud.promotion import check_new_model, latest_rows
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.job import last_whole_day, new_run_id, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run, raise_if_held
from pipelines.jobs.provenance import output_digest, publication_order
from recsys.artifacts import digest_table, read_bundle
from recsys.compiled import num_threads
from recsys.config import config_to_dict
from recsys.datasets.transactions.days import end_of_day, rows_before
from recsys.fraud.alerts.canary import plant_and_score
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FitCallbacks, FittedFraud, fit_fraud_model
from recsys.fraud.serving import load_fraud_scorer
from recsys.fraud.storage.model_bundle import BUNDLE_KIND as MODEL_KIND
from recsys.fraud.storage.model_bundle import save_fraud_model
from recsys.fraud.storage.state_bundle import BUNDLE_KIND as STATE_KIND
from recsys.fraud.storage.state_bundle import save_state
from recsys.publishing import PublishedRun, publish
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
    moment = end_of_day(day)
    with job.stage("load"):
        log, checked = load_checked_transactions(job.inputs, config, reporter)
        table = rows_before(checked.table, moment)
        follow_from(job.inputs, table, checked, moment)
        labels = labels_of(job.inputs, config, log, reporter)
        check_inputs(config, log, table, as_of)
    digests = {"transactions": digest_table(table)}
    provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    checkpoints = job.checkpoints(provenance)
    with start_run(config.tracking, run_name=f"train-fraud {day}") as run:
        run.log_params({**config_to_dict(config), "tracking": {}})
        run.log_environment()
        run.log_dataset(
            "transactions",
            digest=digests["transactions"],
            num_rows=table.num_rows,
            source=str(config.data.transactions),
            context="training",
        )
        with job.stage("work"), reporter.training(unit="transactions"):
            fitted = fit_fraud_model(
                table,
                config.features,
                config.fraud,
                num_threads=num_threads(),
                labels=None if labels is None else ConfirmedLabels(table=labels, at=moment),
                callbacks=FitCallbacks(
                    on_stage=reporter.say, on_epoch=reporter.epoch, checkpoints=checkpoints
                ),
            )
            canary = plant_and_score(
                fitted.model,
                fitted.state,
                latest_rows(table),
                seed=config.seed,
                num_threads=num_threads(),
            )
            checks = check_new_model(config, canary)
        report_fit(fitted, reporter)

        def write(folder: Path) -> None:
            model = save_fraud_model(fitted.model, folder / "model", data_digests=digests)
            # Everything up to the moment has been seen: the next day goes on from there.
            state = replace(fitted.state, until=moment.timestamp() / S_PER_DAY)
            save_state(state, folder / "state", model_fingerprint=model.fingerprint)
            text = json_text(
                {
                    **_metrics(fitted, checked.report.to_dict()),
                    DAY_ROWS: day_rows(table, day),
                    **checks.record,
                },
                indent=1,
            )
            (folder / "metrics.json").write_text(text, encoding="utf-8")

        with job.stage("publish"):
            published = publish(
                config.models,
                day,
                write,
                run_id=new_run_id(),
                audit=_check_opens,
                hold=checks.hold,
                provenance=provenance,
                keep=config.output.keep,
            )
        reporter.say(f"{'stored' if checks.faults else 'published'} {published.folder}")
        run.log_tags({"promotion": checks.hold(published.folder) or "promoted"})
        checkpoints.clear()
        _record(run, fitted, published, table.schema.field(TRANSACTION_ID).type)
    if run.delivery.problem is not None:
        reporter.warn(run.delivery.problem)
    raise_if_held(checks.faults, published, config.models.name)
    return {
        "job": "train-fraud",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "run": str(published.folder),
        "digest": output_digest(published),
        **run.delivery.status(),
        "rows": log.num_rows,
        "transactions": table.num_rows,
        "later": checked.table.num_rows - table.num_rows,
        "quarantined": checked.report.num_rows - checked.report.num_used,
        "filtered": log.num_filtered,
        "inputs": job.inputs.found(),
        "peak_rss_mb": peak_rss_mb(),
    }


def report_fit(fitted: FittedFraud, reporter: Reporter) -> None:
    """What was found in the data, for people."""
    report = fitted.report
    reporter.say(
        f"normal behaviour: {report.num_accounts:,} accounts in {report.num_peer_groups} peer "
        f"groups, amounts by {report.context or 'nothing else'}; account columns: "
        f"{', '.join(report.account_features) or 'none'}"
    )
    shares = sorted(report.episode_shares.items(), key=lambda item: -item[1])
    best = ", ".join(f"{kind} {share:.2f}" for kind, share in shares[:5])
    reporter.say(f"evidence that comes in episodes: {best}")
    if report.uses_labels:
        reporter.say("labels: trees over evidence and labels give the scores")
    how = "trees that learnt from episodes" if report.uses_episodes else "weights"
    reporter.say(f"scores: {how}; {report.num_calibration_rows:,} transactions to calibrate on")


def _metrics(fitted: FittedFraud, quarantine: dict[str, object]) -> dict[str, object]:
    return {
        "fit": config_to_dict(fitted.report),
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
