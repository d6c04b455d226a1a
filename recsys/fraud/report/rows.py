"""Rows of the tables of the alert page, as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recsys.fraud.report import wording
from recsys.fraud.report.content import AlertTransaction, Reason
from recsys.reporting import formats


@dataclass(frozen=True, kw_only=True)
class ReasonRow:
    """One piece of evidence."""

    evidence: str
    """What it is about."""
    text: str
    """The sentence."""
    observed: str
    """What was observed."""
    expected: str
    """What is usual."""
    odds: str
    """How rare it is."""
    share: str
    """Its share of the score in percent."""
    width: float
    """The same from 0 to 100, for a bar."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A suspicious transaction with all its evidence."""

    number: str
    """Its number in the tables."""
    anchor: str
    """Name of its row in links."""
    reasons: tuple[ReasonRow, ...]
    """The evidence."""


@dataclass(frozen=True, kw_only=True)
class TransactionRow:
    """A transaction."""

    number: str
    """Its number, of a suspicious one."""
    transaction_id: str
    """External key."""
    time: str
    """When."""
    amount: str
    """How much."""
    counterparty: str
    """The other side."""
    details: tuple[str, ...]
    """Other values, one a column."""
    score: str
    """How unusual."""
    why: str
    """What its evidence is about."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Optional columns of the tables of one account."""

    counterparty: bool
    """Whether anybody is on the other side."""
    why: bool
    """Whether there is evidence of single transactions."""
    details: tuple[str, ...]
    """Names of the other values."""

    @property
    def number(self) -> int:
        """Columns of a table in all."""
        return 4 + self.counterparty + self.why + len(self.details)


def columns_of(transactions: Iterable[AlertTransaction]) -> Columns:
    """The columns that have a value in some transaction, in the order of their appearance."""
    shown = list(transactions)
    return Columns(
        counterparty=any(one.counterparty for one in shown),
        why=any(one.reasons for one in shown),
        details=tuple(dict.fromkeys(name for one in shown for name in one.details)),
    )


def transaction_row(
    one: AlertTransaction, columns: Columns, numbers: Mapping[str, str]
) -> TransactionRow:
    """A transaction as text; what it lacks is a dash."""
    return TransactionRow(
        number=numbers.get(one.transaction_id, ""),
        transaction_id=one.transaction_id,
        time=wording.instant(one.event_time),
        amount=wording.money(one.amount, one.currency),
        counterparty=one.counterparty or formats.NOTHING,
        details=tuple(one.details.get(name, formats.NOTHING) for name in columns.details),
        score=wording.score(one.anomaly_score),
        why=", ".join(reason.evidence for reason in one.reasons) or formats.NOTHING,
    )


def reason_rows(reasons: Sequence[Reason]) -> tuple[ReasonRow, ...]:
    """Evidence as text."""
    return tuple(
        ReasonRow(
            evidence=one.evidence,
            text=one.text,
            observed=one.observed,
            expected=one.expected,
            odds=wording.how_rare(one),
            share=formats.NOTHING if math.isnan(one.share) else f"{one.share:.0%}",
            width=percent_of(one.share, 1.0),
        )
        for one in reasons
    )


def percent_of(value: float, whole: float) -> float:
    """A part of a whole as the length of a bar, from 0 to 100; 0 where it is not known."""
    part = 0.0 if math.isnan(value) else value / whole
    return round(100 * min(max(part, 0.0), 1.0), 1)
