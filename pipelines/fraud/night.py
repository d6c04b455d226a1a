"""A night of the fraud scorer: what a day is scored with, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import (
    check_inputs,
    follow_from,
    load_checked_transactions,
)
from pipelines.fraud.labels import labels_of
from pipelines.fraud.late_rows import Start, check_late, find_start, report_late
from pipelines.fraud.night_states import (
    Evening,
    LiveModel,
    caught_up,
    evening_before,
    load_evening,
    open_live,
)
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.compiled import num_threads
from recsys.datasets.transactions.days import (
    day_number,
    end_of_day,
    require_day,
    rows_before,
    start_of,
)
from recsys.datasets.transactions.loading import TransactionLog
from recsys.datasets.transactions.quarantine import CheckedTransactions
from recsys.fraud.alerts.daily import DayResult, result_of_day
from recsys.fraud.alerts.history import earlier_alerts
from recsys.schema import EVENT_TIME


@dataclass(frozen=True, kw_only=True, eq=False)
class Night:
    """A day to be scored, and all that it is scored with."""

    day: date
    """The day."""
    live: LiveModel
    """The model that scores."""
    log: TransactionLog
    """The file as it was read."""
    checked: CheckedTransactions
    """Its usable rows, and those that were set aside."""
    labels: pa.Table | None
    """Confirmed labels, if there are any."""
    table: pa.Table
    """Usable transactions up to the end of the day."""
    rows: pa.Table
    """Those of the day."""
    history: pa.Table
    """Those before it."""
    evening: Evening
    """The latest evening before it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredNight:
    """What came of a day."""

    result: DayResult
    """Its scores and alerts."""
    start: Start
    """Where the night started."""
    num_missed: int
    """Transactions between the evening that the night started from and the day."""


def load_night(
    config: FraudJobConfig, day: date, as_of: date | None, reporter: Reporter, inputs: Inputs
) -> Night:
    """Read and check everything, and write down what the night follows from.

    Args:
        config: Settings.
        day: The day to score.
        as_of: The same, where the run was told which.
        reporter: Whom to tell.
        inputs: The door to all that is read.
    """
    live, end = open_live(config), end_of_day(day)
    log, checked = load_checked_transactions(inputs, config, reporter)
    labels = labels_of(inputs, config, log, reporter, at=end)
    table = rows_before(checked.table, end)
    follow_from(inputs, table, checked, end)
    check_inputs(config, log, table, as_of)
    night = Night(
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
    inputs.run("model", live.run)
    inputs.run("state", night.evening.folder)
    return night


def score_night(
    config: FraudJobConfig, night: Night, reporter: Reporter, *, is_for_a_day: bool
) -> ScoredNight:
    """Bring the state up to the day, score it and choose alerts.

    Args:
        config: Settings.
        night: The day.
        reporter: Whom to tell.
        is_for_a_day: Whether the run was told its day; only then too many late rows hold it.
    """
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
    report_late(start, reporter)
    if labels is not None and model.supervised is None:
        reporter.warn("labels: not used for scores, the live model has not learnt from any")
    scores, after = model.score(night.rows, state, num_threads=num_threads(), labels=labels)
    after = replace(after, until=float(day_number(day) + 1))
    result = result_of_day(
        model, after, night.rows, scores, night.history,
        day=day, config=config.alerts, with_labels=labels is not None,
    )  # fmt: skip
    result = replace(result, earlier_alerts=earlier_alerts(config.alert_history, day))
    return ScoredNight(result=result, start=start, num_missed=num_missed)
