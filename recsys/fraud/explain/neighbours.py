"""Facts beyond the transaction itself: earlier days, other accounts, labels that are known."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int64Array
from recsys.fraud.explain.facts import Fact
from recsys.fraud.explain.past import Past
from recsys.fraud.explain.phrases import short_text, value_text
from recsys.fraud.explain.scored import ScoredDay
from recsys.fraud.labels.label_evidence import FRAUD, UNLABELLED
from recsys.fraud.labels.memory import MEMORY_DAYS, RecentTransactions
from recsys.fraud.report.wording import counted
from recsys.fraud.scoring.tails import TAIL_SHARE
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID, EVENT_TIME


def days_before(past: Past, account_id: object) -> Fact | None:
    """That an account carries what was unusual about it on earlier days.

    Args:
        past: Transactions before the day.
        account_id: The account, of which something piled up.
    """
    num_known = len(past.account(account_id))
    if not num_known:
        return None
    number = counted(num_known, "transaction")
    return Fact(observed=f"something unusual among its {number} before the day, still remembered")


def unusual_others(scored: ScoredDay, past: Past, row: int) -> Fact | None:
    """That other accounts had unusual transactions at the same counterparty before.

    Args:
        scored: The day.
        past: Transactions before it.
        row: Which transaction of the day.
    """
    if COUNTERPARTY_ID not in scored.table.column_names:
        return None
    place = scored.model.scorer.kinds.index("counterparty_excess")
    surprise = float(scored.scores.calibrated.surprise[row, place])
    record = scored.table.slice(row, 1).select([ACCOUNT_ID, COUNTERPARTY_ID]).to_pylist()[0]
    name = record[COUNTERPARTY_ID]
    if surprise < -math.log(TAIL_SHARE) or name is None:
        return None
    earlier = _others(past.table, record)
    before = scored.table.slice(0, row + 1)
    num_others = earlier + _others(before, record)
    if not num_others:
        return None
    number = counted(num_others, "transaction")
    return Fact(
        observed=f"{short_text(value_text(name))}, where something was unusual among the {number} "
        "of other accounts before",
        odds=math.exp(-surprise),
    )


def _others(table: pa.Table, record: dict[str, object]) -> int:
    at = pc.equal(table[COUNTERPARTY_ID], record[COUNTERPARTY_ID])
    other = pc.not_equal(table[ACCOUNT_ID], record[ACCOUNT_ID])
    return int(pc.sum(pc.and_(at, other)).as_py() or 0)


def confirmed_frauds(scored: ScoredDay, row: int) -> Fact | None:
    """Frauds among the labels that were known when a transaction happened.

    Args:
        scored: The day, scored with labels.
        row: Which transaction of the day.
    """
    supervised, recent = scored.model.supervised, scored.state.recent
    if supervised is None or recent is None:
        return None
    known = RecentTransactions(table=recent)
    at = np.asarray(scored.table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)[row] / 86_400_000_000
    is_known = (known.label != UNLABELLED) & (known.day + supervised.delay_days <= at)
    is_known &= (known.day < at) & (known.day > at - MEMORY_DAYS)
    account = int(scored.scores.account[row])
    places = {"of this account": is_known & (known.account == account)}
    if COUNTERPARTY_ID in scored.table.column_names:
        name = scored.table[COUNTERPARTY_ID][row]
        number = int(
            scored.state.counterparty_ids.numbers(pa.chunked_array([[name.as_py()]], name.type))[0]
        )
        if number >= 0:
            called = f"at {short_text(value_text(name.as_py()))}"
            places[called] = is_known & (known.counterparty == number)
    counts = {name: _frauds(known, chosen) for name, chosen in places.items()}
    name, (frauds, labels) = max(counts.items(), key=lambda one: one[1][0] / max(one[1][1], 1))
    if not frauds:
        return None
    return Fact(
        observed=f"{frauds:,} of the {counted(labels, 'label')} known {name} in the "
        f"{MEMORY_DAYS:g} days before say fraud"
    )


def _frauds(known: RecentTransactions, chosen: Int64Array) -> tuple[int, int]:
    labels = known.label[chosen]
    return int(np.sum(labels == FRAUD)), len(labels)
