"""The daily job: score a day's transactions and accounts, flag, explain, move the state on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.console import Reporter, json_text
from pipelines.fraud_config import FraudJobConfig
from pipelines.fraud_data import check_gates, load_checked_transactions, num_threads
from pipelines.fraud_labels import label_digest, labels_of
from pipelines.fraud_promotion import FraudJudgement, judge_night, latest_rows
from pipelines.job import last_whole_day, new_run_id, peak_rss_mb
from pipelines.job_run import JobRun, job_run, raise_if_held
from pipelines.made_from import output_digest, settings_and_version
from recsys.artifacts import digest_table
from recsys.datasets.transactions.days import (
    day_number,
    end_of_day,
    require_day,
    rows_before,
    rows_of_day,
    start_of,
)
from recsys.datasets.transactions.quarantine import CheckedTransactions
from recsys.errors import ArtifactError, DataError
from recsys.fraud.alerts import AlertConfig
from recsys.fraud.canary import plant_and_score
from recsys.fraud.daily import DayResult, judge_day
from recsys.fraud.model import FraudModel
from recsys.fraud.model_bundle import load_fraud_model
from recsys.fraud.outputs import (
    ACCOUNTS_FILE,
    QUARANTINE_FILE,
    TRANSACTIONS_FILE,
    audit_scores,
    write_table,
)
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.report import AlertPage, write_alert_page
from recsys.fraud.state_bundle import load_state, save_state
from recsys.publishing import PublishedRun, current_run, publish, published_runs
from recsys.schema import CURRENCY, EVENT_TIME, EVENT_TIME_TYPE

ALERTS_FILE = "alerts.html"
STATUS_FILE = "metrics.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Live:
    """The published model that is live."""

    run: Path
    model: FraudModel
    fingerprint: str


def score_accounts(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Score a day and publish transaction scores, account scores, the alert page and the state.

    Args:
        config: Settings.
        as_of: The day to score; yesterday by default.
        reporter: Whom to tell.
        force: Whether to score again what the day's scores were made from.

    Returns:
        What happened, for the status line.
    """
    with job_run("score-accounts", config.scores, config.deadlines, force=force) as job:
        return _score(config, as_of, reporter, job)


def _score(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, job: JobRun
) -> dict[str, object]:
    day = as_of or last_whole_day()
    with job.stage("load"):
        live = _open_live(config)
        log, checked = load_checked_transactions(config, reporter)
        labels = labels_of(config, log, reporter)
        table = rows_before(checked.table, end_of_day(day))
        require_day(log, table, day)
        check_gates(config, log, table, as_of)
    made_from = {
        "model": live.run.name,
        "transactions": digest_table(table),
        **label_digest(labels),
        **settings_and_version(config),
    }
    job.skip_if_done(day, made_from)
    with job.stage("work"):
        state, origin = _state_before(config, live, day)
        state, num_missed = _caught_up(live.model, state, table, day, labels)
        reporter.say(f"state: {origin}; {num_missed:,} transactions between it and the day")
        rows, history = rows_of_day(table, day), rows_before(table, start_of(day))
        scores, after = live.model.score(rows, state, num_threads=num_threads(), labels=labels)
        after = replace(after, until=float(day_number(day) + 1))
        result = judge_day(
            live.model, after, rows, scores, history,
            day=day, config=config.alerts, with_labels=labels is not None,
        )  # fmt: skip
        canary = plant_and_score(
            live.model, after, latest_rows(table), seed=config.seed, num_threads=num_threads()
        )
        judgement = judge_night(config, result, canary, place=f"scores of {day}")
    page = _page(config, result, live, checked, day)
    with job.stage("publish"):
        published = publish(
            config.scores,
            day,
            lambda folder: _write(folder, result, page, live, checked=checked, judgement=judgement),
            run_id=new_run_id(),
            hold=judgement.hold,
            audit=lambda folder: audit_scores(
                folder, day=day, num_transactions=result.scored.table.num_rows
            ),
            made_from=made_from,
            keep=config.output.keep,
        )
    reporter.say(
        f"scores: {result.scored.table.num_rows:,} transactions of {len(result.days):,} accounts, "
        f"{len(page.alerts):,} alerts"
    )
    raise_if_held(judgement.faults, published, config.scores.name)
    return _status(
        published, page, live, checked, num_later=checked.table.num_rows - table.num_rows
    )


def _open_live(config: FraudJobConfig) -> _Live:
    """The model that is live.

    Raises:
        ArtifactError: There is none yet, or it is damaged.
    """
    if not published_runs(config.models):
        raise ArtifactError(
            f"{config.models}: expected a published fraud model, got none; "
            "run `recsys train-fraud` first or correct output.directory"
        )
    run = current_run(config.models)
    model, bundle = load_fraud_model(run / "model")
    return _Live(run=run, model=model, fingerprint=bundle.fingerprint)


def _state_before(config: FraudJobConfig, live: _Live, day: date) -> tuple[ProfileState, str]:
    """The latest state of this model that knows nothing of the day, and where it came from.

    Raises:
        DataError: The model itself was trained on the day or later ones.
    """
    runs = [
        run
        for run in published_runs(config.scores)
        if run.manifest.logical_date < str(day) and not run.manifest.held
    ]
    for run in sorted(runs, key=_logical_order, reverse=True):
        if _bundle_id(run) == live.fingerprint:
            state = load_state(run.folder / "state", model_fingerprint=live.fingerprint)
            return state, f"that of {run.manifest.logical_date}"
    state = load_state(live.run / "state", model_fingerprint=live.fingerprint)
    if state.until > day_number(day):
        raise DataError(
            file=str(live.run),
            expected=f"a model that was trained on days before {day}",
            got=f"one that has seen transactions up to {_moment(state.until).as_py():%Y-%m-%d}",
            remedy=f"train with --as-of a day before {day}, or score a later day",
        )
    return state, "that of the training"


def _bundle_id(run: PublishedRun) -> str:
    """Fingerprint of the model that scored in a run.

    Raises:
        ArtifactError: The run's record of it is damaged.
    """
    path = run.folder / STATUS_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["bundle_id"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{path}: expected the bundle_id of a night, got {type(error).__name__}; "
            "restore the file, or remove the folder and score that day again"
        ) from error


def _caught_up(
    model: FraudModel, state: ProfileState, table: pa.Table, day: date, labels: pa.Table | None
) -> tuple[ProfileState, int]:
    """The state of the evening before a day, and how many transactions it took to get there.

    A day at a time, as the jobs of those nights would have gone: the places of new accounts, which
    settle ties, depend on where each step begins, and so does what late labels say.
    """
    start = _moment(state.until)
    is_missed = pc.greater_equal(table[EVENT_TIME], start)
    missed = rows_before(table.filter(is_missed), start_of(day))
    first = start.as_py().date()
    for number in range((day - first).days):
        rows = rows_of_day(missed, first + timedelta(days=number))
        if rows.num_rows:
            _, state = model.score(rows, state, num_threads=num_threads(), labels=labels)
    return state, missed.num_rows


def _logical_order(run: PublishedRun) -> tuple[str, int]:
    return run.manifest.logical_date, run.manifest.sequence


def _moment(days: float) -> pa.Scalar:
    """A time in days since 1970 as a scalar of the table's type."""
    return pa.scalar(round(days * 86_400_000_000), pa.int64()).cast(EVENT_TIME_TYPE)


def _page(
    config: FraudJobConfig,
    result: DayResult,
    live: _Live,
    checked: CheckedTransactions,
    day: date,
) -> AlertPage:
    notes: tuple[str, ...] = ()
    if CURRENCY in result.scored.table.column_names:
        notes = ("Amounts are in the currency of each transaction, compared by its usual level.",)
    return AlertPage(
        day=day,
        title=config.tracking.experiment,
        num_transactions=result.scored.table.num_rows,
        num_accounts=len(result.days),
        num_cold=result.num_cold,
        rule=rule_in_words(config.alerts),
        alerts=result.explanations(),
        bundle_id=live.fingerprint,
        data=config.data.transactions.name,
        quarantined={name: n for name, n in checked.report.num_quarantined.items() if n},
        notes=notes,
    )


def rule_in_words(config: AlertConfig) -> str:
    """How alerts are chosen, for people."""
    match config.mode:
        case "budget":
            return f"The {config.alert_budget} accounts with the highest scores of the day."
        case "fdr":
            return (
                "All accounts that can be flagged with an expected share of at most "
                f"{config.false_discovery_rate:.0%} of false alerts."
            )
        case "threshold":
            return f"All accounts with a score of at least {config.threshold:g}."


def _write(
    folder: Path,
    result: DayResult,
    page: AlertPage,
    live: _Live,
    *,
    checked: CheckedTransactions,
    judgement: FraudJudgement,
) -> None:
    write_table(folder / TRANSACTIONS_FILE, result.transaction_scores())
    write_table(folder / ACCOUNTS_FILE, result.account_scores(bundle_id=live.fingerprint))
    write_table(folder / QUARANTINE_FILE, checked.quarantined)
    write_alert_page(folder / ALERTS_FILE, page)
    save_state(result.scored.state, folder / "state", model_fingerprint=live.fingerprint)
    status = {
        "bundle_id": live.fingerprint,
        "quarantine": checked.report.to_dict(),
        **judgement.record,
    }
    (folder / STATUS_FILE).write_text(json_text(status, indent=1) + "\n", encoding="utf-8")


def _status(
    published: PublishedRun,
    page: AlertPage,
    live: _Live,
    checked: CheckedTransactions,
    *,
    num_later: int,
) -> dict[str, object]:
    report = checked.report
    return {
        "job": "score-accounts",
        "outcome": "PUBLISHED",
        "live": published.is_current,
        "day": str(page.day),
        "digest": output_digest(published),
        "transaction_scores": str(published.folder / TRANSACTIONS_FILE),
        "account_scores": str(published.folder / ACCOUNTS_FILE),
        "alerts_page": str(published.folder / ALERTS_FILE),
        "model": str(live.run),
        "transactions": page.num_transactions,
        "accounts": page.num_accounts,
        "cold": page.num_cold,
        "alerts": len(page.alerts),
        "rows": report.num_rows,
        "used": report.num_used,
        "later": num_later,
        "quarantined": {name: count for name, count in report.num_quarantined.items() if count},
        "peak_rss_mb": peak_rss_mb(),
    }
