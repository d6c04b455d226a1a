"""The daily job: score a day's transactions and accounts, flag, explain, move the state on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import (
    check_gates,
    follow_from,
    load_checked_transactions,
    num_threads,
)
from pipelines.fraud.labels import labels_of
from pipelines.fraud.late_rows import DAY_ROWS, check_late, day_rows, find_start, tell_late
from pipelines.fraud.night_states import (
    STATUS_FILE,
    LiveModel,
    caught_up,
    evening_before,
    load_evening,
    open_live,
)
from pipelines.fraud.promotion import judge_night, latest_rows
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.job import last_whole_day, new_run_id, peak_rss_mb
from pipelines.jobs.job_run import JobRun, job_run, raise_if_held
from pipelines.jobs.provenance import output_digest
from recsys.datasets.transactions.days import (
    day_number,
    end_of_day,
    require_day,
    rows_before,
    start_of,
)
from recsys.datasets.transactions.quarantine import CheckedTransactions
from recsys.fraud.alerts.canary import plant_and_score
from recsys.fraud.alerts.daily import DayResult, judge_day
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
from recsys.publishing import PublishedRun, publish
from recsys.schema import CURRENCY, EVENT_TIME

ALERTS_FILE = "alerts.html"


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What became of the usable rows of the file; the sum of them is all of them."""

    used: int
    """Of the day, and of days before it that its state had to learn yet."""
    earlier: int
    """Learnt before, by the state that the night started from."""
    late: int
    """Of days that were scored already, come too late to be learnt."""
    later: int
    """Of days after the day."""
    relearnt: int
    """Late rows among those used, as their days were learnt anew."""


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
        live = open_live(config)
        log, checked = load_checked_transactions(job.inputs, config, reporter)
        labels = labels_of(job.inputs, config, log, reporter, at=end_of_day(day))
        table = rows_before(checked.table, end_of_day(day))
        follow_from(job.inputs, table, checked, end_of_day(day))
        check_gates(config, log, table, as_of)
        rows = require_day(log, table, day)
        evening = evening_before(config, live, day)
        job.inputs.run("model", live.run)
        job.inputs.run("state", evening.folder)
    made_from = job.made_from(config)
    job.skip_if_done(day, made_from)
    with job.stage("work"):
        history = rows_before(table, start_of(day))
        start = find_start(config, live, table, day, evening)
        if as_of is not None:
            check_late(config, start, num_rows=rows.num_rows, origin=log.origin(EVENT_TIME))
        state = load_evening(start.evening, live)
        state, num_missed = caught_up(live.model, state, table, day, labels, alerts=config.alerts)
        reporter.say(
            f"state: {start.evening.origin}; {num_missed:,} transactions between it and the day"
        )
        tell_late(start, reporter)
        if labels is not None and live.model.supervised is None:
            reporter.warn("labels: not used for scores, the live model has not learnt from any")
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
            lambda folder: _write(
                folder,
                result,
                page,
                live,
                checked=checked,
                record={DAY_ROWS: day_rows(table, day), **judgement.record},
            ),
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
    counts = _Rows(
        used=num_missed + rows.num_rows,
        earlier=history.num_rows - num_missed - start.num_late,
        late=start.num_late,
        later=checked.table.num_rows - table.num_rows,
        relearnt=start.num_relearnt,
    )
    return _status(published, page, live, checked, counts)


def _page(
    config: FraudJobConfig,
    result: DayResult,
    live: LiveModel,
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
        alerts=result.explanations,
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
                f"{config.false_discovery_rate:.0%} of false alerts among those of a month. "
                f"Accounts flagged within the last {config.repeat_days} days are left out."
            )
        case "threshold":
            return f"All accounts with a score of at least {config.threshold:g}."


def _write(
    folder: Path,
    result: DayResult,
    page: AlertPage,
    live: LiveModel,
    *,
    checked: CheckedTransactions,
    record: Mapping[str, object],
) -> None:
    write_table(folder / TRANSACTIONS_FILE, result.transaction_scores())
    write_table(folder / ACCOUNTS_FILE, result.account_scores(bundle_id=live.fingerprint))
    write_table(folder / QUARANTINE_FILE, checked.quarantined)
    write_alert_page(folder / ALERTS_FILE, page)
    save_state(result.scored.state, folder / "state", model_fingerprint=live.fingerprint)
    status = {
        "bundle_id": live.fingerprint,
        "quarantine": checked.report.to_dict(),
        **record,
    }
    (folder / STATUS_FILE).write_text(json_text(status, indent=1) + "\n", encoding="utf-8")


def _status(
    published: PublishedRun,
    page: AlertPage,
    live: LiveModel,
    checked: CheckedTransactions,
    counts: _Rows,
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
        **asdict(counts),
        "quarantined": {name: count for name, count in report.num_quarantined.items() if count},
        "peak_rss_mb": peak_rss_mb(),
    }
