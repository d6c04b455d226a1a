"""Scores days one after the other, as the nightly job does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from recsys.compiled import num_threads
from recsys.datasets.transactions.days import day_number, rows_before, rows_of_day, start_of
from recsys.fraud.alerts.daily import result_of_day
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.schema import BUNDLE_ID, EVENT_TIME, TRANSACTION_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredNight:
    """The result of one day."""

    day: date
    """The day, in UTC."""
    transaction_ids: pa.ChunkedArray
    """Its transactions."""
    anomaly_scores: pa.Array
    """Their scores."""
    accounts: pa.Table
    """Its accounts as they are published, without the model's fingerprint."""
    state: ProfileState
    """What is known of the accounts after it."""


def nights_of(
    model: FraudModel,
    state: ProfileState,
    table: pa.Table,
    history: pa.Table,
    *,
    labels: pa.Table | None,
    alerts: AlertConfig,
) -> Iterator[ScoredNight]:
    """Go through the days of transactions that come after a state.

    Args:
        model: The model.
        state: What is known of the accounts before them.
        table: Transactions in the order of time, none before the state.
        history: Transactions before them, for reasons.
        labels: Confirmed labels of all times; the model's delay decides which are known.
        alerts: How accounts are flagged.
    """
    for day in _days(table):
        rows = rows_of_day(table, day)
        scores, state = model.score(rows, state, num_threads=num_threads(), labels=labels)
        # As the job has it: the day is over, and what comes of it later comes too late.
        state = replace(state, until=float(day_number(day) + 1))
        before = rows_before(table, start_of(day))
        result = result_of_day(
            model, state, rows, scores, pa.concat_tables([history, before]),
            day=day, config=alerts, with_labels=labels is not None,
        )  # fmt: skip
        state = result.scored.state
        yield ScoredNight(
            day=day,
            transaction_ids=rows[TRANSACTION_ID],
            anomaly_scores=pa.array(scores.calibrated.anomaly_score),
            accounts=result.account_scores(bundle_id="").drop_columns([BUNDLE_ID]),
            state=state,
        )


def _days(table: pa.Table) -> Iterator[date]:
    """The days that have transactions, in UTC."""
    if not table.num_rows:
        return
    bounds = pc.min_max(table[EVENT_TIME]).as_py()
    first = bounds["min"].date()
    for number in range((bounds["max"].date() - first).days + 1):
        day = first + timedelta(days=number)
        if rows_of_day(table, day).num_rows:
            yield day
