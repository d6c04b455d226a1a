"""The result of a quarantine: counts that add up, and whether the other rows may be used."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from recsys.config import config_class, config_to_dict
from recsys.datasets.transactions.loading import TransactionLog
from recsys.errors import DataError
from recsys.schema import ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, EVENT_TIME, TRANSACTION_ID

Reason = Literal[
    "null_id",
    "null_time",
    "null_amount",
    "not_finite_amount",
    "absurd_amount",
    "future_event",
    "absurd_time",
    "far_before",
    "duplicate",
    "conflicting_duplicate",
]
"""Why a row is not used."""

REASONS: tuple[Reason, ...] = typing.get_args(Reason)
"""All reasons, in the order in which they are checked."""

_FILL_IN = "fill them in or remove the rows"
_CHECK_TIMES = "check the zone and the unit of the times"
_CURES: dict[Reason, tuple[str, str]] = {
    "null_id": ("", _FILL_IN),
    "null_time": (EVENT_TIME, _FILL_IN),
    "null_amount": (AMOUNT, _FILL_IN),
    "not_finite_amount": (AMOUNT, "correct the amounts"),
    "absurd_amount": (AMOUNT, "check the unit of the amounts, raise [quarantine] max_abs_amount"),
    "future_event": (EVENT_TIME, f"{_CHECK_TIMES}, and the date of the run"),
    "absurd_time": (EVENT_TIME, _CHECK_TIMES),
    "far_before": (EVENT_TIME, "correct times that stand for missing ones, such as 1970-01-01"),
    "duplicate": (TRANSACTION_ID, "check whether the export has rows twice"),
    "conflicting_duplicate": (TRANSACTION_ID, "map a column that names each transaction once"),
}
"""The column to look at, by its standard name, and what to do."""


@config_class
class QuarantineConfig:
    """Limits beyond which a row is set aside, and beyond which the whole table is refused."""

    max_abs_amount: float = Field(default=1e9, gt=0)
    """Amounts further from 0 are absurd."""
    max_future_s: int = Field(default=300, ge=0, le=3_155_760_000)
    """Seconds by which an event may lie after the date of the run, for clocks that differ."""
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Share of rows that may be set aside."""


@dataclass(frozen=True, kw_only=True)
class QuarantineReport:
    """What was found. `num_rows` is `num_used` and the sum of `num_quarantined`.

    Args:
        num_rows: Rows of the file.
        num_used: Rows that can be used.
        num_quarantined: Rows set aside by reason, each reason named.
        quarantined_share: Share of rows set aside.
        num_not_finite: Values by numeric feature that were NaN or infinite and became null, among
            all rows.
        nulls: Nulls of each column of the usable rows.
        num_accounts: Distinct accounts of the usable rows.
        num_counterparties: Distinct counterparties of the usable rows; None without that column.
        first_event: Time of the first usable row; None when there is none.
        last_event: Time of the last usable row; None when there is none.
        refusals: Why the table may not be used; empty when it may.
    """

    num_rows: int
    num_used: int
    num_quarantined: dict[Reason, int]
    quarantined_share: float
    num_not_finite: dict[str, int]
    nulls: dict[str, int]
    num_accounts: int
    num_counterparties: int | None
    first_event: datetime | None
    last_event: datetime | None
    refusals: tuple[DataError, ...]

    def raise_if_refused(self) -> None:
        """Raise the first refusal, if there is one."""
        if self.refusals:
            raise self.refusals[0]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON values: times in ISO 8601, refusals as their messages."""
        values = config_to_dict(replace(self, refusals=()))
        return {**values, "refusals": [str(refusal) for refusal in self.refusals]}


def describe(
    log: TransactionLog,
    used: pa.Table,
    num_quarantined: Mapping[Reason, int],
    num_not_finite: Mapping[str, int],
    limits: QuarantineConfig,
) -> QuarantineReport:
    """The report of a quarantine.

    Args:
        log: All rows.
        used: The usable ones.
        num_quarantined: Rows set aside by reason.
        num_not_finite: Values that were not finite by numeric feature.
        limits: How much may be set aside.
    """
    times = pc.min_max(used[EVENT_TIME]).as_py()
    names = used.column_names
    return QuarantineReport(
        num_rows=log.table.num_rows,
        num_used=used.num_rows,
        num_quarantined=dict(num_quarantined),
        quarantined_share=sum(num_quarantined.values()) / max(log.table.num_rows, 1),
        num_not_finite=dict(num_not_finite),
        nulls={name: used[name].null_count for name in names},
        num_accounts=_num_distinct(used[ACCOUNT_ID]),
        num_counterparties=_num_distinct(used[COUNTERPARTY_ID])
        if COUNTERPARTY_ID in names
        else None,
        first_event=times["min"],
        last_event=times["max"],
        refusals=tuple(_refusals(log, num_quarantined, limits)),
    )


def _num_distinct(column: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(column).as_py())


def _refusals(
    log: TransactionLog, num_quarantined: Mapping[Reason, int], limits: QuarantineConfig
) -> Iterator[DataError]:
    """The reason to refuse the table, if there is one."""
    num_rows, num_wrong = log.table.num_rows, sum(num_quarantined.values())
    if num_rows == 0:
        yield log.origin().refusal(
            expected="at least one transaction",
            got="an empty table",
            remedy="check the export that wrote it",
        )
        return
    share, largest = num_wrong / num_rows, max(REASONS, key=lambda reason: num_quarantined[reason])
    column, remedy = _CURES[largest]
    origin = log.origin(column or _id_with_more_nulls(log.table))
    reasons = f"{num_wrong} of {num_rows}, most for {largest} ({num_quarantined[largest]})"
    if num_wrong == num_rows:
        yield origin.refusal(
            expected="at least one usable transaction",
            got=f"none: quarantined are {reasons}",
            remedy=remedy,
        )
    elif share > limits.max_quarantined_share:
        yield origin.refusal(
            expected=f"at most {limits.max_quarantined_share:.2%} of rows quarantined",
            got=f"{share:.2%}: {reasons}",
            remedy=f"{remedy}, or raise [quarantine] max_quarantined_share",
        )


def _id_with_more_nulls(table: pa.Table) -> str:
    return max((TRANSACTION_ID, ACCOUNT_ID), key=lambda name: int(table[name].null_count))
