"""An alert as the page shows it: texts, links and positions, computed in advance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.fraud.report import wording
from recsys.fraud.report.content import Alert, AlertPage, AlertTransaction
from recsys.fraud.report.rows import (
    Columns,
    Explained,
    ReasonRow,
    TransactionRow,
    columns_of,
    percent_of,
    reason_rows,
    transaction_row,
)
from recsys.fraud.report.timeline import Timeline, timeline
from recsys.reporting import formats

_MOST_KNOWN = 1000
MAX_TIME_LINE = 200
"""Normal transactions of an account that are shown, the latest ones; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class AlertView:
    """An alert, ready to be set."""

    anchor: str
    """Its name in links."""
    rank: int
    """Its place."""
    account: str
    """The account id."""
    cold: bool
    """Whether it was compared with its peers for lack of history."""
    known: str
    """How much was known before."""
    flagged_before: str
    """When it was flagged before; empty if it never was."""
    score: str
    """Its score."""
    sufficient: str
    """What would have sufficed."""
    score_width: float
    """The score as the length of a bar."""
    sufficient_width: float
    """What would have sufficed, on the same scale."""
    suspicious_total: str
    """Sum of the suspicious amounts."""
    first_reason: str
    """The strongest reason."""
    reasons: tuple[ReasonRow, ...]
    """All of them."""
    explained: tuple[Explained, ...]
    """Evidence of each suspicious transaction, where it says more than that of the account."""
    columns: Columns
    """Columns of the tables of transactions."""
    suspicious: tuple[TransactionRow, ...]
    """What it is flagged for."""
    nearest: tuple[TransactionRow, ...]
    """Normal ones beside them."""
    line: tuple[TransactionRow, ...]
    """Its time line."""
    num_left_out: int
    """Earlier transactions that are not shown."""
    drawing: Timeline | None
    """The time line as a drawing; None without transactions."""

    @property
    def num_suspicious(self) -> str:
        """How many transactions it is flagged for."""
        return wording.counted(len(self.suspicious), "suspicious transaction")


def alert_views(page: AlertPage) -> tuple[AlertView, ...]:
    """The alerts of a page, all on one scale of scores."""
    scores = [value for one in page.alerts for value in (one.account_score, one.sufficient_score)]
    top = max([1.0, *scores])
    return tuple(
        _view(alert, page, anchor=f"alert-{place}", top=top)
        for place, alert in enumerate(page.alerts, start=1)
    )


def _view(alert: Alert, page: AlertPage, *, anchor: str, top: float) -> AlertView:
    near = frozenset(one.transaction_id for one in alert.nearest_normal)
    shown, num_left_out = _latest(alert.transactions, near)
    suspicious = [one for one in shown if one.is_suspicious]
    numbers = {one.transaction_id: str(row) for row, one in enumerate(suspicious, start=1)}
    columns = columns_of([*shown, *alert.nearest_normal])

    def rows(transactions: Sequence[AlertTransaction]) -> tuple[TransactionRow, ...]:
        return tuple(transaction_row(one, columns, numbers) for one in transactions)

    return AlertView(
        anchor=anchor,
        rank=alert.rank,
        account=alert.account_id,
        cold=alert.cold,
        known=wording.counted(alert.num_known, "transaction")
        + (" or more" if alert.num_known >= _MOST_KNOWN else ""),
        flagged_before=wording.flagged_before(alert),
        score=wording.score(alert.account_score),
        sufficient=wording.score(alert.sufficient_score),
        score_width=percent_of(alert.account_score, top),
        sufficient_width=percent_of(alert.sufficient_score, top),
        suspicious_total=wording.total(suspicious),
        first_reason=alert.reasons[0].text if alert.reasons else formats.NOTHING,
        reasons=reason_rows(alert.reasons),
        explained=_explained(alert, suspicious, anchor),
        columns=columns,
        suspicious=rows(suspicious),
        nearest=rows(alert.nearest_normal),
        line=rows(shown),
        num_left_out=num_left_out,
        drawing=timeline(shown, day=page.day, numbers=numbers, near=near) if shown else None,
    )


def _latest(
    transactions: Sequence[AlertTransaction], near: frozenset[str]
) -> tuple[list[AlertTransaction], int]:
    """The transactions to show, and the number of early normal ones that are left out."""
    normal = [place for place, one in enumerate(transactions) if not one.is_suspicious]
    early = normal[:-MAX_TIME_LINE]
    dropped = {place for place in early if transactions[place].transaction_id not in near}
    shown = [one for place, one in enumerate(transactions) if place not in dropped]
    return shown, len(dropped)


def _explained(
    alert: Alert, suspicious: Sequence[AlertTransaction], anchor: str
) -> tuple[Explained, ...]:
    """Evidence of each transaction; empty if the only transaction has its account's reasons."""
    explained = [
        Explained(number=str(row), anchor=f"{anchor}-{row}", reasons=reason_rows(one.reasons))
        for row, one in enumerate(suspicious, start=1)
        if one.reasons
    ]
    is_said = [one.reasons for one in suspicious if one.reasons] == [alert.reasons]
    return () if is_said else tuple(explained)
