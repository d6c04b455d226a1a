"""Content of the alert page: the alerts of a day with their explanations.

Shapes: P earlier transactions, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import cast

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Int64Array
from recsys.fraud.embedding.inputs import TransactionInputs
from recsys.fraud.explain.phrases import short_text, value_text
from recsys.fraud.explain.reasons import Explained
from recsys.fraud.explain.scored import AccountRows, ScoredDay
from recsys.fraud.report.content import Alert, AlertTransaction, Reason
from recsys.schema import (
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    TRANSACTION_ID,
)
from recsys.time_units import US_PER_DAY

NUM_NEAREST = 3
"""Normal transactions that are shown beside the suspicious ones."""
NUM_PAST = 60
"""Earlier transactions of an account that are shown."""

_NUM_SEARCHED = 200
_EPISODE_US = 3 * US_PER_DAY  # transactions so shortly before may belong to the fraud


@dataclass(frozen=True, kw_only=True)
class FlaggedAccount:
    """An account that was chosen."""

    account: int
    """Its place in the state."""
    rank: int
    """Its place in the list, from 1."""
    account_score: float
    """Its score."""


def explain_alerts(
    scored: ScoredDay,
    flagged: Sequence[FlaggedAccount],
    *,
    sufficient_score: float,
    cold_transactions: int,
    earlier_alerts: Mapping[object, tuple[date, ...]] | None = None,
) -> tuple[Alert, ...]:
    """Gather what an analyst needs to assess each alert.

    Args:
        scored: The day.
        flagged: The chosen accounts, each with a transaction on the day.
        sufficient_score: The score from which on an account was flagged.
        cold_transactions: Known transactions below which an account is marked cold.
        earlier_alerts: Earlier days on which accounts were flagged, by account id.

    Returns:
        One alert an account, in the order given.
    """
    if not flagged:
        return ()
    explained = Explained.of(scored, np.array([one.account for one in flagged], dtype=np.int64))
    nearest = _nearest(explained)
    return tuple(
        _alert(
            explained,
            one,
            place,
            nearest=nearest[place],
            sufficient_score=sufficient_score,
            cold_transactions=cold_transactions,
            earlier_alerts=earlier_alerts or {},
        )
        for place, one in enumerate(flagged)
    )


def _alert(
    explained: Explained,
    flagged: FlaggedAccount,
    place: int,
    *,
    nearest: Int64Array,
    sufficient_score: float,
    cold_transactions: int,
    earlier_alerts: Mapping[object, tuple[date, ...]],
) -> Alert:
    scored, past = explained.scored, explained.flagged.past
    own, rows = explained.flagged.accounts[place], explained.rows[place]
    num_known = round(float(scored.scores.passed.num_known[own.day[0]]))
    of_row = {
        int(row): explained.reasons(place, np.array([number]))
        for row, number in zip(own.suspicious, rows, strict=True)
    }
    inputs = scored.model.inputs
    account_id = scored.state.account_ids.terms[own.account].as_py()
    return Alert(
        account_id=str(account_id),
        rank=flagged.rank,
        account_score=flagged.account_score,
        sufficient_score=sufficient_score,
        cold=num_known < cold_transactions,
        num_known=num_known,
        flagged_before=earlier_alerts.get(account_id, ()),
        reasons=explained.reasons(place, rows),
        transactions=(
            *_past_transactions(past, own.past[-NUM_PAST:], inputs),
            *_day_transactions(scored, own, of_row),
        ),
        nearest_normal=_past_transactions(past, nearest, inputs),
    )


def _day_transactions(
    scored: ScoredDay, own: AccountRows, of_row: Mapping[int, tuple[Reason, ...]]
) -> tuple[AlertTransaction, ...]:
    """The account's transactions of the day with their scores."""
    score_N = scored.scores.calibrated.anomaly_score
    records = scored.table.take(pa.array(own.day)).to_pylist()
    return tuple(
        _transaction(record, scored.model.inputs, float(score_N[row]), reasons=of_row.get(int(row)))
        for row, record in zip(own.day, records, strict=True)
    )


def _past_transactions(
    past: pa.Table, rows: Int64Array, inputs: TransactionInputs
) -> tuple[AlertTransaction, ...]:
    """Earlier transactions; what they scored on their day is not known here."""
    records = past.take(pa.array(rows, pa.int64())).to_pylist()
    return tuple(_transaction(record, inputs, float("nan"), reasons=None) for record in records)


def _transaction(
    record: Mapping[str, object],
    inputs: TransactionInputs,
    anomaly_score: float,
    *,
    reasons: tuple[Reason, ...] | None,
) -> AlertTransaction:
    """A row of a table; one with reasons is suspicious."""
    details = [inputs.context] if inputs.context else []
    details += [
        name
        for name in inputs.features
        if name not in inputs.account_features and name != inputs.context
    ]
    return AlertTransaction(
        transaction_id=str(record[TRANSACTION_ID]),
        event_time=cast("datetime", record[EVENT_TIME]),
        amount=cast("float", record[AMOUNT]),
        currency=_text(record.get(CURRENCY)),
        counterparty=_text(record.get(COUNTERPARTY_ID)),
        details={
            name: short_text(value_text(record[name]))
            for name in details
            if record[name] is not None
        },
        anomaly_score=anomaly_score,
        is_suspicious=reasons is not None,
        reasons=reasons or (),
    )


def _text(value: object) -> str:
    return "" if value is None else short_text(str(value))


def _nearest(explained: Explained) -> list[Int64Array]:
    """Earlier transactions of each account most like its most suspicious one, of `flagged.past`."""
    scored, past = explained.scored, explained.flagged.past
    searched = [_searched(scored, past, own) for own in explained.flagged.accounts]
    p_value_N = scored.scores.calibrated.p_value
    worst = [
        own.suspicious[np.argmin(p_value_N[own.suspicious])] for own in explained.flagged.accounts
    ]
    worst_AD = scored.model.observe(scored.table.take(pa.array(worst))).embedding
    if not sum(map(len, searched)):
        return searched
    rows = pa.array(np.concatenate(searched))
    embedding_PD = scored.model.observe(past.take(rows)).embedding
    ends = np.cumsum([len(one) for one in searched])[:-1]
    return [
        own[_order(embedding_D, part_PD)]
        for own, embedding_D, part_PD in zip(
            searched, worst_AD, np.split(embedding_PD, ends), strict=True
        )
    ]


def _searched(scored: ScoredDay, past: pa.Table, own: AccountRows) -> Int64Array:
    """The latest transactions of an account, but for what may belong to the same fraud."""
    first = scored.table[EVENT_TIME][int(own.day[0])].cast(pa.int64()).as_py()
    latest = own.past[-_NUM_SEARCHED:]
    times = np.asarray(past[EVENT_TIME].take(pa.array(latest, pa.int64())).cast(pa.int64()))
    early = latest[times < first - _EPISODE_US]
    return early if len(early) >= NUM_NEAREST else latest


def _order(embedding_D: Float32Array, others_PD: Float32Array) -> Int64Array:
    """The nearest few, by Euclidean distance."""
    distance_P = ((others_PD - embedding_D) ** 2).sum(1)
    return np.argsort(distance_P, kind="stable")[:NUM_NEAREST]
