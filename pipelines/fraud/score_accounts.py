"""The daily job: score a day's transactions and accounts, flag, explain, move the state on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import (
    check_gates,
    follow_from,
    load_checked_transactions,
    num_threads,
)
from pipelines.fraud.labels import labels_of
from pipelines.fraud.late_rows import DAY_ROWS, Start, check_late, day_rows, find_start, tell_late
from pipelines.fraud.night_states import (
    STATUS_FILE,
    Evening,
    LiveModel,
    caught_up,
    evening_before,
    load_evening,
    open_live,
)
from pipelines.fraud.promotion import FraudJudgement, judge_night, latest_rows
from pipelines.jobs.console import Reporter, json_text
from pipelines.jobs.job import last_whole_day, peak_rss_mb
from pipelines.jobs.job_run import JobRun, Outcome, job_run
from recsys.datasets.transactions.days import (
    day_number,
    end_of_day,
    require_day,
    rows_before,
    start_of,
)
from recsys.datasets.transactions.loading import TransactionLog
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
        night = _load(config, day, as_of, reporter, job)
    made_from = job.made_from(config)
    job.skip_if_done(day, made_from)
    with job.stage("work"):
        found = _judge(config, night, reporter, is_for_a_day=as_of is not None)
    page = _page(config, found.result, night)
    outcome = job.publish(
        day,
        partial(_write, night, found, page),
        made_from=made_from,
        keep=config.output.keep,
        judge=lambda _folder, _rows: found.judgement.faults,
        audit=lambda folder, rows: audit_scores(folder, day=day, num_transactions=rows),
    )
    reporter.say(
        f"scores: {page.num_transactions:,} transactions of {page.num_accounts:,} accounts, "
        f"{len(page.alerts):,} alerts"
    )
    outcome.raise_if_held()
    return _status(outcome, page, night, found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Night:
    """A day to be scored, and all that it is scored with."""

    day: date
    live: LiveModel
    log: TransactionLog
    checked: CheckedTransactions
    labels: pa.Table | None
    table: pa.Table
    """Usable transactions up to the end of the day."""
    rows: pa.Table
    """Those of the day."""
    history: pa.Table
    """Those before it."""
    evening: Evening
    """The latest evening before it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What came of a day."""

    result: DayResult
    judgement: FraudJudgement
    start: Start
    num_missed: int
    """Transactions between the evening that the night started from and the day."""

    def rows_of(self, night: _Night) -> _Rows:
        """What became of the usable rows of the file."""
        return _Rows(
            used=self.num_missed + night.rows.num_rows,
            earlier=night.history.num_rows - self.num_missed - self.start.num_late,
            late=self.start.num_late,
            later=night.checked.table.num_rows - night.table.num_rows,
            relearnt=self.start.num_relearnt,
        )


def _load(
    config: FraudJobConfig, day: date, as_of: date | None, reporter: Reporter, job: JobRun
) -> _Night:
    """Read and check everything, and write down what the night follows from."""
    live, end = open_live(config), end_of_day(day)
    log, checked = load_checked_transactions(job.inputs, config, reporter)
    labels = labels_of(job.inputs, config, log, reporter, at=end)
    table = rows_before(checked.table, end)
    follow_from(job.inputs, table, checked, end)
    check_gates(config, log, table, as_of)
    night = _Night(
        day=day,
        live=live,
        log=log,
        checked=checked,
        labels=labels,
        table=table,
        rows=require_day(log, table, day),
        history=rows_before(table, start_of(day)),
        evening=evening_before(config, live, day),
    )
    job.inputs.run("model", live.run)
    job.inputs.run("state", night.evening.folder)
    return night


def _judge(
    config: FraudJobConfig, night: _Night, reporter: Reporter, *, is_for_a_day: bool
) -> _Found:
    """Bring the state up to the day, score it, choose alerts, and compare with other nights."""
    model, labels, day = night.live.model, night.labels, night.day
    start = find_start(config, night.live, night.table, day, night.evening)
    if is_for_a_day:
        origin = night.log.origin(EVENT_TIME)
        check_late(config, start, num_rows=night.rows.num_rows, origin=origin)
    state = load_evening(start.evening, night.live)
    state, num_missed = caught_up(model, state, night.table, day, labels, alerts=config.alerts)
    reporter.say(
        f"state: {start.evening.origin}; {num_missed:,} transactions between it and the day"
    )
    tell_late(start, reporter)
    if labels is not None and model.supervised is None:
        reporter.warn("labels: not used for scores, the live model has not learnt from any")
    scores, after = model.score(night.rows, state, num_threads=num_threads(), labels=labels)
    after = replace(after, until=float(day_number(day) + 1))
    result = judge_day(
        model, after, night.rows, scores, night.history,
        day=day, config=config.alerts, with_labels=labels is not None,
    )  # fmt: skip
    canary = plant_and_score(
        model, after, latest_rows(night.table), seed=config.seed, num_threads=num_threads()
    )
    judgement = judge_night(config, result, canary, place=f"scores of {day}")
    return _Found(result=result, judgement=judgement, start=start, num_missed=num_missed)


def _page(config: FraudJobConfig, result: DayResult, night: _Night) -> AlertPage:
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


def _write(night: _Night, found: _Found, page: AlertPage, folder: Path) -> int:
    """Write all outputs; how many transactions they are about."""
    result, fingerprint = found.result, night.live.fingerprint
    write_table(folder / TRANSACTIONS_FILE, result.transaction_scores())
    write_table(folder / ACCOUNTS_FILE, result.account_scores(bundle_id=fingerprint))
    write_table(folder / QUARANTINE_FILE, night.checked.quarantined)
    write_alert_page(folder / ALERTS_FILE, page)
    save_state(result.scored.state, folder / "state", model_fingerprint=fingerprint)
    status = {
        "bundle_id": fingerprint,
        "quarantine": night.checked.report.to_dict(),
        DAY_ROWS: day_rows(night.table, night.day),
        **found.judgement.record,
    }
    (folder / STATUS_FILE).write_text(json_text(status, indent=1) + "\n", encoding="utf-8")
    return result.scored.table.num_rows


def _status(
    outcome: Outcome[int], page: AlertPage, night: _Night, found: _Found
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
        rows=night.checked.report.num_rows,
        **asdict(found.rows_of(night)),
        quarantined=_set_aside(night),
        peak_rss_mb=peak_rss_mb(),
    )


def _set_aside(night: _Night) -> dict[str, int]:
    """Rows that were set aside, by reason."""
    return {name: n for name, n in night.checked.report.num_quarantined.items() if n}
