"""Days in UTC, as numbers and moments, and rows by time.

Shapes: N transactions.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array
from recsys.datasets.transactions.loading import TransactionLog
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE
from recsys.time_units import US_PER_DAY

_EPOCH = date(1970, 1, 1)


def day_of(table: pa.Table) -> Float64Array:
    """Times of transactions in days since 1970. Shape (N,)."""
    times_N = np.asarray(table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    return np.asarray(times_N / US_PER_DAY)


def day_number(day: date) -> int:
    """Days from 1970 to a day."""
    return (day - _EPOCH).days


def start_of(day: date) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, time.min, UTC)


def end_of_day(day: date) -> datetime:
    """The first moment of the next day."""
    return start_of(day) + timedelta(days=1)


def rows_before(table: pa.Table, moment: datetime) -> pa.Table:
    """Rows whose event lies before a moment, itself excluded.

    Args:
        table: Transactions, with event_time.
        moment: A time with a time zone.
    """
    return table.filter(pc.less(table[EVENT_TIME], pa.scalar(moment, EVENT_TIME_TYPE)))


def rows_of_day(table: pa.Table, day: date) -> pa.Table:
    """Rows whose event lies on a day, from midnight to midnight in UTC."""
    start = pa.scalar(start_of(day), EVENT_TIME_TYPE)
    end = pa.scalar(end_of_day(day), EVENT_TIME_TYPE)
    times = table[EVENT_TIME]
    return table.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))


def require_day(log: TransactionLog, table: pa.Table, day: date) -> pa.Table:
    """Rows of a day that must not be empty.

    Args:
        log: What the table was read as, for the message.
        table: Usable transactions of the log.
        day: The day to be scored, in UTC.

    Raises:
        DataError: No transaction lies on the day.
    """
    rows = rows_of_day(table, day)
    if rows.num_rows:
        return rows
    last = pc.max(table[EVENT_TIME]).as_py()
    found = f"the last are of {last.date()}" if last else "there are none at all"
    raise log.origin(EVENT_TIME).refusal(
        expected=f"transactions on {day} (UTC)",
        got=f"none, {found}",
        remedy="wait for the export of that day, or run for a day that the file has",
    )
