"""Content for pages of alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from recsys.fraud.report import Alert, AlertPage, AlertTransaction, Reason

DAY = date(2020, 7, 1)
MIDNIGHT = datetime(2020, 7, 1, tzinfo=UTC)


def reasons(word: str = "word", *, number: int = 0) -> tuple[Reason, ...]:
    """Two pieces of evidence."""
    return (
        Reason(
            evidence=f"amount {word}",
            text=f"Amount {812 + number}.40 USD, where {word} pays 43.10 (12.00 to 155.00)",
            observed=f"{812 + number}.40 USD {word}",
            expected=f"43.10 (12.00 to 155.00) {word}",
            rarity=1 / 12_345,
            share=0.62,
        ),
        Reason(
            evidence=f"hour {word}",
            text=f"At 03:{number:02}, where {word} pays between 09:00 and 21:00",
            observed=f"03:{number:02} {word}",
            expected=f"09:00 to 21:00 {word}",
            rarity=1 / 310,
            share=0.27,
        ),
    )


def transaction(
    number: int, time: datetime, amount: float, *, word: str = "word", suspicious: bool = False
) -> AlertTransaction:
    """A transaction; a suspicious one has reasons of its own."""
    return AlertTransaction(
        transaction_id=f"t{number} {word}",
        event_time=time,
        amount=amount,
        currency="USD",
        counterparty=f"Shop {number % 7} {word}",
        details={f"category {word}": f"grocery {word}", "distance_km": f"{number % 40}.5"},
        anomaly_score=0.9987 if suspicious else 0.1234,
        is_suspicious=suspicious,
        reasons=reasons(word, number=number) if suspicious else (),
    )


def alert(
    rank: int = 1, *, word: str = "word", num_normal: int = 40, num_suspicious: int = 3
) -> Alert:
    """An account with months of small amounts, and a night of large ones."""
    rng = np.random.default_rng(rank)
    days = np.sort(rng.uniform(-120, 0.1, size=num_normal))
    normal = [
        transaction(number, MIDNIGHT + timedelta(days=float(one)), float(amount), word=word)
        for number, (one, amount) in enumerate(
            zip(days, np.round(rng.lognormal(3.5, 0.7, size=num_normal), 2), strict=True)
        )
    ]
    night = [
        transaction(
            1000 + number,
            MIDNIGHT + timedelta(hours=3, minutes=25 * number + rank),
            round(float(rng.uniform(500, 1200)), 2),
            word=word,
            suspicious=True,
        )
        for number in range(num_suspicious)
    ]
    return Alert(
        account_id=f"ACC-{rank:04} {word}",
        rank=rank,
        account_score=0.9999 - 0.013 * rank,
        sufficient_score=0.8312,
        cold=rank % 3 == 0,
        num_known=num_normal,
        reasons=reasons(word, number=rank),
        transactions=tuple(sorted(normal + night, key=lambda one: one.event_time)),
        nearest_normal=tuple(normal[:3]),
    )


def full_page(word: str = "word", *, num_alerts: int = 3, num_normal: int = 40) -> AlertPage:
    """A page with all its parts, in which every text of the user's holds `word`."""
    return AlertPage(
        day=DAY,
        title=f"Cards {word}",
        num_transactions=48_123,
        num_accounts=812,
        num_cold=57,
        rule=f"The {num_alerts} accounts with the highest score {word}.",
        alerts=tuple(
            alert(rank, word=word, num_normal=num_normal) for rank in range(1, num_alerts + 1)
        ),
        bundle_id=f"bundle {word}",
        data=f"transactions.parquet {word}",
        quarantined={f"amount is missing {word}": 1234},
        notes=(f"Amounts are in the currency of the account {word}.",),
    )


def without_alerts() -> AlertPage:
    """A quiet day."""
    return replace(full_page(), alerts=())
