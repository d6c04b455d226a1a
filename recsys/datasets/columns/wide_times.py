"""Times of any unit as microseconds that no later code can overflow.

Times outside the years that a date can have are moved to a moment far outside of them, on the same
side of 1970, and never into plausible years. Checks count such times as absurd.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BEYOND_US = 2**61
"""Microseconds from 1970 to a moment 73,000 years away: beyond every date, and safe to add to."""
FIRST_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""The first moment that a date can have."""
LAST_TIME = datetime.max.replace(tzinfo=UTC)
"""The last one."""

_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


def in_microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps and dates in microseconds, with their zone or none; digits below are cut off.

    Args:
        column: Timestamps of any unit, or dates, which become midnights.
    """
    if pa.types.is_date(column.type):
        days = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        return _scaled(days, 86_400_000_000).cast(pa.timestamp("us"))
    target = pa.timestamp("us", tz=column.type.tz)
    if column.type.unit == "ns":
        return column.cast(target, safe=False)
    return _scaled(column.cast(pa.int64()), _PER_UNIT[column.type.unit]).cast(target)


def from_epoch(counts: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Integers since 1970 in a unit as times in UTC."""
    target = pa.timestamp("us", tz="UTC")
    if unit == "ns":
        return counts.cast(pa.timestamp("ns", tz="UTC")).cast(target, safe=False)
    return _scaled(counts, _PER_UNIT[unit]).cast(target)


def is_beyond(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each time, in microseconds, lies outside of the years 1 to 9999; null for null."""
    counts = times.cast(pa.int64())
    first, last = (pa.scalar(one, pa.timestamp("us", tz="UTC")).cast(pa.int64())
                   for one in (FIRST_TIME, LAST_TIME))  # fmt: skip
    return pc.or_(pc.less(counts, first), pc.greater(counts, last))


def settled_int96(times: pa.ChunkedArray, seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times of INT96, which wrap where they are far away, by the same times in whole seconds.

    Args:
        times: As microseconds.
        seconds: The same column read as seconds, which reach further.
    """
    counts, whole = times.cast(pa.int64()), seconds.cast(pa.int64())
    limit = BEYOND_US // 1_000_000
    beyond = pc.if_else(pc.greater(whole, 0), BEYOND_US, -BEYOND_US)
    is_far = pc.or_(pc.greater(whole, limit), pc.less(whole, -limit))
    return pc.if_else(is_far, beyond, counts).cast(times.type)


def _scaled(counts: pa.ChunkedArray, factor: int) -> pa.ChunkedArray:
    """Counts times a factor, those that would go too far kept at a moment beyond all dates."""
    limit = BEYOND_US // factor
    return pc.multiply(
        pc.max_element_wise(pc.min_element_wise(counts, limit, skip_nulls=False), -limit,
                            skip_nulls=False),
        np.int64(factor),
    )  # fmt: skip
