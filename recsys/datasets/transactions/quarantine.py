"""Rows that cannot be used are set aside with a reason, and every row is accounted for.

A row gets the first reason that applies:

    null_id                no transaction or account id
    null_time              no time
    null_amount            no amount
    not_finite_amount      NaN or infinite
    absurd_amount          beyond `max_abs_amount`
    future_event           later than `max_future_s` after the date of the run
    absurd_time            outside the years 1 to 9999, as a wrong unit makes them
    far_before             long before all others, as a missing time written as 1970 is
    duplicate              repeats an earlier row of the same transaction id in every column
    conflicting_duplicate  has the transaction id of an earlier row, and other content

Of rows that share an id the earliest is used; where times are equal too, the one whose other
columns sort first. So nothing depends on the order of the rows in the file.
"""

# Shape suffixes: N transactions, R rows whose transaction id occurs more than once.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Int8Array
from recsys.datasets.columns.far_times import is_far_before
from recsys.datasets.columns.wide_times import is_beyond
from recsys.datasets.transactions.config import REASON
from recsys.datasets.transactions.loading import TransactionLog
from recsys.datasets.transactions.quarantine_report import (
    REASONS,
    QuarantineConfig,
    QuarantineReport,
    Reason,
    describe,
)
from recsys.schema import ACCOUNT_ID, AMOUNT, EVENT_TIME, EVENT_TIME_TYPE, TRANSACTION_ID

_USED = -1
_CODES: dict[Reason, int] = {reason: code for code, reason in enumerate(REASONS)}


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedTransactions:
    """Transactions divided into those to use and those set aside.

    Args:
        table: Usable rows by event_time, then transaction_id, each id once. Numeric features that
            are not finite are null.
        quarantined: The other rows, with the column `reason`, in an order of their own.
        report: Counts of both, and whether the table may be used.
    """

    table: pa.Table
    quarantined: pa.Table
    report: QuarantineReport


def quarantine(
    log: TransactionLog, *, as_of: datetime | None = None, limits: QuarantineConfig | None = None
) -> CheckedTransactions:
    """Divide a log into usable and quarantined rows.

    Args:
        log: Transactions as `load_transactions` returns them.
        as_of: The date of the run, with a time zone; later events are quarantined. Not looked at
            when None.
        limits: What is still plausible, and how much may be quarantined.
    """
    limits = limits or QuarantineConfig()
    table, num_not_finite = _with_plain_numbers(log)
    codes_N = _first_reasons(table, as_of, limits)
    _mark_far_before(table, codes_N)
    _mark_duplicates(table, codes_N)
    used, quarantined = _divided(table, codes_N)
    num_quarantined = {
        reason: int(np.count_nonzero(codes_N == code)) for reason, code in _CODES.items()
    }
    report = describe(log, used, num_quarantined, num_not_finite, limits)
    return CheckedTransactions(table=used, quarantined=quarantined, report=report)


def _with_plain_numbers(log: TransactionLog) -> tuple[pa.Table, dict[str, int]]:
    """The table with one zero and, among features, no NaN or infinity; their number by feature."""
    # Adding 0 turns -0.0 into 0.0: the two compare as equal, so their order would be undefined.
    table = _with_column(log.table, AMOUNT, pc.add(log.table[AMOUNT], 0.0))
    num_not_finite = {}
    for name, feature in log.features.items():
        if feature.kind == "numeric":
            numbers = table[name]
            finite = pc.is_finite(numbers)
            num_not_finite[name] = pc.sum(pc.invert(finite), min_count=0).as_py()
            zero = pa.scalar(0, numbers.type)
            nothing = pa.scalar(None, numbers.type)
            table = _with_column(table, name, pc.if_else(finite, pc.add(numbers, zero), nothing))
    return table, num_not_finite


def _with_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _first_reasons(table: pa.Table, as_of: datetime | None, limits: QuarantineConfig) -> Int8Array:
    """Code of the first reason that applies to a row alone, or `_USED`; shape (N,)."""
    codes_N = np.full(table.num_rows, _USED, np.int8)
    for reason, applies in _row_reasons(table, as_of, limits):
        applies_N = pc.fill_null(applies, False).to_numpy()
        codes_N[applies_N & (codes_N == _USED)] = _CODES[reason]
    return codes_N


def _row_reasons(
    table: pa.Table, as_of: datetime | None, limits: QuarantineConfig
) -> Iterator[tuple[Reason, pa.ChunkedArray]]:
    """Each reason that concerns a row alone, and the rows it applies to."""
    times, amounts = table[EVENT_TIME], table[AMOUNT]
    ids, accounts = table[TRANSACTION_ID], table[ACCOUNT_ID]
    yield "null_id", pc.or_(pc.is_null(ids), pc.is_null(accounts))
    yield "null_time", pc.is_null(times)
    yield "null_amount", pc.is_null(amounts)
    yield "not_finite_amount", pc.invert(pc.is_finite(amounts))
    yield "absurd_amount", pc.greater(pc.abs(amounts), limits.max_abs_amount)
    if as_of is not None:
        yield "future_event", pc.greater(times, _time(as_of + timedelta(0, limits.max_future_s)))
    yield "absurd_time", is_beyond(times)


def _time(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, EVENT_TIME_TYPE)


def _mark_far_before(table: pa.Table, codes_N: Int8Array) -> None:
    """Write the code of times far before all others into `codes_N`, among the rows still used."""
    rows_R = np.flatnonzero(codes_N == _USED)
    times_R = table[EVENT_TIME].cast(pa.int64()).take(pa.array(rows_R)).to_numpy()
    codes_N[rows_R[is_far_before(times_R)]] = _CODES["far_before"]


def _mark_duplicates(table: pa.Table, codes_N: Int8Array) -> None:
    """Write the codes of both kinds of duplicates into `codes_N`, among the rows still used."""
    is_used = pa.array(codes_N == _USED)
    counts = pc.value_counts(table[TRANSACTION_ID].filter(is_used))
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(repeated) == 0:
        return
    is_repeated = pc.and_(pc.is_in(table[TRANSACTION_ID], repeated), is_used)
    rows_R = np.flatnonzero(is_repeated.to_numpy())
    rest = [name for name in table.column_names if name not in (TRANSACTION_ID, EVENT_TIME)]
    shared = table.take(rows_R)
    order_R = _order(shared, [TRANSACTION_ID, EVENT_TIME, *rest]).to_numpy()
    shared = shared.take(order_R)
    later = rows_R[order_R][1:]
    same_id = _equals_row_before(shared[TRANSACTION_ID])
    same_row = np.logical_and.reduce([_equals_row_before(column) for column in shared.columns])
    codes_N[later[same_id]] = _CODES["conflicting_duplicate"]
    codes_N[later[same_row]] = _CODES["duplicate"]


def _equals_row_before(column: pa.ChunkedArray) -> BoolArray:
    """Whether each value but the first equals the one before it; nulls equal each other."""
    here, before = column.slice(1), column.slice(0, len(column) - 1)
    both_null = pc.and_(pc.is_null(here), pc.is_null(before))
    equal: BoolArray = pc.fill_null(pc.equal(here, before), both_null).to_numpy()
    return equal


def _divided(table: pa.Table, codes_N: Int8Array) -> tuple[pa.Table, pa.Table]:
    """Usable and quarantined rows, each sorted."""
    used = table.filter(pa.array(codes_N == _USED))
    used = used.take(_order(used, [EVENT_TIME, TRANSACTION_ID]))
    wrong = table.filter(pa.array(codes_N != _USED))
    reasons = pa.array(REASONS, pa.string()).take(pa.array(codes_N[codes_N != _USED]))
    wrong = wrong.append_column(REASON, reasons)
    return used, wrong.take(_order(wrong, [EVENT_TIME, TRANSACTION_ID, *wrong.column_names]))


def _order(table: pa.Table, names: list[str]) -> pa.Array:
    keys = [(name, "ascending") for name in dict.fromkeys(names)]
    return pc.sort_indices(table, sort_keys=keys)
