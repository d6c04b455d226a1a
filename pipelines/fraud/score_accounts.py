"""The daily job: score a day's transactions and accounts, flag and explain, update the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.late_rows import DAY_ROWS, day_rows
from pipelines.fraud.night import Night, ScoredNight, load_night, score_night
from pipelines.fraud.night_states import STATUS_FILE
from pipelines.fraud.promotion import OutputChecks, check_new_scores, latest_rows
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.job import last_whole_day, peak_rss_mb
from pipelines.jobs.job_run import JobRun, Outcome, job_run
from recsys.compiled import num_threads
from recsys.fraud.alerts.canary import plant_and_score
from recsys.fraud.alerts.daily import DayResult
from recsys.fraud.alerts.history import remember_alerts
from recsys.fraud.alerts.outputs import (
    ACCOUNTS_FILE,
    QUARANTINE_FILE,
    TRANSACTIONS_FILE,
    audit_scores,
    write_table,
)
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.report import AlertPage, write_alert_page
from recsys.fraud.storage.state_bundle import save_state
from recsys.schema import CURRENCY

ALERTS_FILE = "alerts.html"


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Counts of the usable rows of the file by what became of them; they add up."""

    used: int
    """Rows of the day, and of days before it that the state had not learnt yet."""
    earlier: int
    """Rows already in the state that the night started from."""
    late: int
    """Rows of scored days that came too late to be learnt."""
    later: int
    """Rows of days after the day."""
    relearnt: int
    """Late rows among those used, whose days were learnt again."""


def score_accounts(
    config: FraudJobConfig, as_of: date | None, reporter: Reporter, *, force: bool = False
) -> dict[str, object]:
    """Score a day and publish transaction scores, account scores, the alert page and the state.

    Args:
        config: Settings.
        as_of: The day to score; yesterday by default.
        reporter: Prints progress.
        force: Whether to run even if the day's scores were made from the same inputs.

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
        night = load_night(config, day, as_of, reporter, job.inputs)
    provenance = job.provenance(config)
    job.skip_if_done(day, provenance)
    with job.stage("work"):
        remember_alerts(config.scores, config.alert_history)
        found = score_night(config, night, reporter, is_for_a_day=as_of is not None)
        checks = _checks_of(config, night, found.result)
    page = _page(config, found.result, night)
    outcome = job.publish(
        day,
        partial(_write, night, found.result, page, checks.record),
        provenance=provenance,
        keep=config.output.keep,
        find_faults=lambda _folder, _rows: checks.faults,
        audit=lambda folder, rows: audit_scores(folder, day=day, num_transactions=rows),
    )
    remember_alerts(config.scores, config.alert_history)
    reporter.say(
        f"scores: {page.num_transactions:,} transactions of {page.num_accounts:,} accounts, "
        f"{len(page.alerts):,} alerts"
    )
    outcome.raise_if_held()
    return _status(outcome, page, night, found)


def _checks_of(config: FraudJobConfig, night: Night, result: DayResult) -> OutputChecks:
    """Compare the night with others, and see whether planted takeovers are found."""
    canary = plant_and_score(
        night.live.model, result.scored.state, latest_rows(night.table),
        seed=config.seed, num_threads=num_threads(),
    )  # fmt: skip
    return check_new_scores(config, result, canary, place=f"scores of {night.day}")


def _rows_of(night: Night, found: ScoredNight) -> _Rows:
    """What became of the usable rows of the file."""
    return _Rows(
        used=found.num_missed + night.rows.num_rows,
        earlier=night.history.num_rows - found.num_missed - found.start.num_late,
        late=found.start.num_late,
        later=night.checked.table.num_rows - night.table.num_rows,
        relearnt=found.start.num_relearnt,
    )


def _page(config: FraudJobConfig, result: DayResult, night: Night) -> AlertPage:
    notes: tuple[str, ...] = ()
    if CURRENCY in result.scored.table.column_names:
        notes = ("Amounts are in the currency of each transaction, compared by its usual level.",)
    return AlertPage(
        day=night.day,
        title=config.tracking.experiment,
        num_transactions=result.scored.table.num_rows,
        num_accounts=len(result.days),
        num_cold=result.num_cold,
        rule=rule_in_words(config.alerts),
        alerts=result.explanations,
        bundle_id=night.live.fingerprint,
        data=config.data.transactions.name,
        quarantined=_set_aside(night),
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
                f"{config.false_discovery_rate:.0%} of false alerts among those of a month. "
                f"Accounts flagged within the last {config.repeat_days} days are left out."
            )
        case "threshold":
            return f"All accounts with a score of at least {config.threshold:g}."


def _write(
    night: Night,
    result: DayResult,
    page: AlertPage,
    record: Mapping[str, object],
    folder: Path,
) -> int:
    """Write all outputs; how many transactions they are about."""
    fingerprint = night.live.fingerprint
    write_table(folder / TRANSACTIONS_FILE, result.transaction_scores())
    write_table(folder / ACCOUNTS_FILE, result.account_scores(bundle_id=fingerprint))
    write_table(folder / QUARANTINE_FILE, night.checked.quarantined)
    write_alert_page(folder / ALERTS_FILE, page)
    save_state(result.scored.state, folder / "state", model_fingerprint=fingerprint)
    status = {
        "bundle_id": fingerprint,
        "quarantine": night.checked.report.to_dict(),
        DAY_ROWS: day_rows(night.table, night.day),
        **record,
    }
    (folder / STATUS_FILE).write_text(json_text(status, indent=1) + "\n", encoding="utf-8")
    return int(result.scored.table.num_rows)


def _status(
    outcome: Outcome[int], page: AlertPage, night: Night, found: ScoredNight
) -> dict[str, object]:
    folder = outcome.run.folder
    return outcome.status(
        day=str(page.day),
        transaction_scores=str(folder / TRANSACTIONS_FILE),
        account_scores=str(folder / ACCOUNTS_FILE),
        alerts_page=str(folder / ALERTS_FILE),
        model=str(night.live.run),
        transactions=page.num_transactions,
        accounts=page.num_accounts,
        cold=page.num_cold,
        alerts=len(page.alerts),
        rows=night.log.num_rows,
        filtered=night.log.num_filtered,
        **asdict(_rows_of(night, found)),
        quarantined=_set_aside(night),
        peak_rss_mb=peak_rss_mb(),
    )


def _set_aside(night: Night) -> dict[str, int]:
    """Rows that were set aside, by reason."""
    return {name: n for name, n in night.checked.report.num_quarantined.items() if n}
