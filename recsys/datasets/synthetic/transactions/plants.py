"""Plants: what fraud to put into a log, where it was put, and by what it ought to be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PlantKind = Literal["takeover", "card_testing", "bust_out", "bad_merchant", "slow_drift"]
"""What kind of fraud is planted."""
EvidenceFamily = Literal["amount", "hour", "velocity", "counterparty", "category"]
"""What a reason for suspicion speaks of; category is any unusual combination of features."""

_RIGHT_REASONS: Mapping[PlantKind, frozenset[EvidenceFamily]] = {
    # Rare categories are part of it, and so is the sum of a burst of large purchases.
    "takeover": frozenset({"amount", "hour", "counterparty", "category", "velocity"}),
    "card_testing": frozenset({"velocity"}),
    "bust_out": frozenset({"amount", "velocity"}),
    "bad_merchant": frozenset({"counterparty", "amount"}),
    # A purchase more each day, each larger than the last: a day's sum grows faster than an amount.
    "slow_drift": frozenset({"amount", "velocity"}),
}


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Fraud to put into a log.

    Args:
        kind: What kind.
        day: The day on which it begins; the first day of the log is 0.
        target: Number of the account, or of the merchant for "bad_merchant". When not given, one
            with a history before the day is drawn, which no other plant has.
        intensity: Above 0 and at most 10; 1 is plain fraud. It multiplies the amounts ("takeover",
            "bust_out", "bad_merchant"), the number of transactions ("card_testing") or the growth
            a day ("slow_drift").
    """

    kind: PlantKind
    day: int
    target: int | None = None
    intensity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Fraud that was put into a log.

    Args:
        kind: What kind.
        account_id: The account; None for "bad_merchant", which has many.
        counterparty_id: The merchant of "bad_merchant"; None for other kinds.
        first_day: The day of the first transaction; the first day of the log is 0.
        num_days: Days from the first to the last transaction, both counted; each has one.
        transaction_ids: The transactions that were added, in order of time. The early ones of
            "slow_drift" are not fraud yet.
    """

    kind: PlantKind
    account_id: str | None
    counterparty_id: str | None
    first_day: int
    num_days: int
    transaction_ids: tuple[str, ...]


def right_reasons(kind: PlantKind) -> frozenset[EvidenceFamily]:
    """Families of evidence that are a right reason to suspect a kind of fraud.

    Examples:
        >>> sorted(right_reasons("bust_out"))
        ['amount', 'velocity']
    """
    return _RIGHT_REASONS[kind]
