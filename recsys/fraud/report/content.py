"""The content of the alert page as plain data, so that it can be drawn without the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from recsys.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One piece of evidence, as a person can check it."""

    evidence: str
    """The column or behaviour that it is about, e.g. "amount"."""
    text: str
    """A sentence that says what is unusual."""
    observed: str
    """What was observed."""
    expected: str
    """What is usual, and for whom: the account, the account under the same circumstances, or all
    accounts; empty where nothing was counted."""
    rarity: float
    """Share of transactions that are at least as unusual; NaN if unknown."""
    alike: str = ""
    """What was counted, such as "as high"."""
    num_alike: int = 0
    """Transactions that have it."""
    num_known: int | None = None
    """Transactions that were counted; None where the rarity is that of the model."""
    share: float
    """Its share of the score, from 0 to 1; NaN if unknown."""
    transaction_id: str = ""
    """The transaction that shows it."""


@dataclass(frozen=True, kw_only=True)
class AlertTransaction:
    """A transaction of an account that is shown to an analyst.

    Raises:
        DataError: The amount is not finite.
    """

    transaction_id: str
    """External key."""
    event_time: datetime
    """When it happened; a time without zone is taken as UTC."""
    amount: float
    """What it moved; negative where money came back."""
    currency: str = ""
    """Unit of the amount; empty where the data has none."""
    counterparty: str = ""
    """The merchant, terminal or account on the other side; empty where the data has none."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Other values as text, by the name of their column."""
    anomaly_score: float
    """How unusual it is, from 0 to 1; NaN where it was not scored."""
    is_suspicious: bool
    """Whether it is one of those that the account is flagged for."""
    reasons: tuple[Reason, ...] = ()
    """Why it is suspicious, the strongest reason first."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.amount):
            raise DataError(
                file="the transactions of an alert",
                column="amount",
                expected="a finite number",
                got="one that is not",
                remedy="correct the amount or leave the transaction out",
            )


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An account to look into, with the reasons."""

    account_id: str
    """External key of the account."""
    rank: int
    """Place in the list, from 1."""
    account_score: float
    """The aggregated score of the account."""
    sufficient_score: float
    """The score from which on an account was flagged."""
    cold: bool
    """Whether it has so little history that it was compared with its peers."""
    num_known: int
    """Transactions of the account that were known before the day; a state remembers the last
    thousand, so that more count as a thousand."""
    reasons: tuple[Reason, ...]
    """Why the account is flagged, the strongest reason first."""
    transactions: tuple[AlertTransaction, ...]
    """Its time line, the oldest first, suspicious ones among the others."""
    flagged_before: tuple[date, ...] = ()
    """Earlier days on which the account was flagged, ascending."""
    nearest_normal: tuple[AlertTransaction, ...] = ()
    """Its normal transactions that resemble the suspicious ones most, the most similar first."""


@dataclass(frozen=True, kw_only=True)
class AlertPage:
    """A day's alerts and how they came about."""

    day: date
    """The day in UTC whose transactions were scored."""
    title: str
    """Name of the page, e.g. that of the portfolio."""
    num_transactions: int
    """Transactions scored."""
    num_accounts: int
    """Accounts scored."""
    num_cold: int
    """Those of them that have little history."""
    rule: str
    """A sentence that says how the alerts were chosen."""
    alerts: tuple[Alert, ...]
    """The alerts in the order of their rank."""
    bundle_id: str = ""
    """Which model scored."""
    data: str = ""
    """Where the transactions came from, for people to read."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows that were set aside unscored, by the reason."""
    notes: tuple[str, ...] = ()
    """What else the reader should know, e.g. about currencies."""
