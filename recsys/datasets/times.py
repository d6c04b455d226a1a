"""Event times: all forms become microseconds in UTC, or are refused as ambiguous."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.ids import plain_column, widened
from recsys.datasets.origin import Origin
from recsys.datasets.text import integers_from_text, unreadable_row
from recsys.schema import EVENT_TIME_TYPE

TimeUnit = Literal["s", "ms", "us", "ns"]
"""Unit of times that are written as integers since 1970-01-01 UTC."""

_SET_ZONE = 'set [columns] event_time_zone = "UTC" (or the zone they were written in)'
_SET_UNIT = 'set [columns] event_time_unit = "s" (or "ms", "us", "ns")'


def time_column(
    column: pa.ChunkedArray,
    origin: Origin,
    *,
    zone: str | None = None,
    unit: TimeUnit | None = None,
) -> pa.ChunkedArray:
    """Times as `EVENT_TIME_TYPE`; nulls stay, fractions of a microsecond are cut off.

    Args:
        column: Timestamps, dates (midnight), integers since 1970, or ISO 8601 text.
        origin: Where they come from.
        zone: Time zone of timestamps, dates and text that name none.
        unit: Unit of integers.

    Raises:
        DataError: Times that cannot be understood, or not without `zone` or `unit`.
    """
    values = plain_column(column)
    if pa.types.is_string(values.type):
        values = _from_text(values, origin, unit)
    if pa.types.is_integer(values.type):
        values = _from_epoch(values, origin, unit)
    if pa.types.is_date(values.type):
        values = _microseconds(values, origin)
    if not pa.types.is_timestamp(values.type):
        raise origin.refusal(
            expected="times: timestamps, dates, ISO 8601 text or integers",
            got=str(values.type),
            remedy="write the column as timestamps with a time zone",
        )
    values = _microseconds(values, origin)
    if not values.type.tz:
        values = _in_zone(values, origin, zone)
    return values.cast(EVENT_TIME_TYPE)


def _from_text(column: pa.ChunkedArray, origin: Origin, unit: TimeUnit | None) -> pa.ChunkedArray:
    """ISO 8601 text to timestamps, or epoch text to integers where a unit says so."""
    if unit is not None:
        return integers_from_text(column, origin)
    # Microseconds have a wider range than nanoseconds; only text with more digits needs the latter.
    for resolution in ("us", "ns"):
        for zone in ("UTC", None):
            try:
                return column.cast(pa.timestamp(resolution, tz=zone))
            except pa.ArrowInvalid as error:
                failure = error
    row = max(unreadable_row(column, pa.timestamp("ns", tz=zone)) for zone in ("UTC", None))
    raise origin.refusal(
        expected="ISO 8601 times such as 2024-05-31T18:00:00Z, all with a zone or all without",
        got=f"text that is none, or is unlike those before it, in row {row:,}",
        remedy=f"rewrite the column; for integers since 1970 {_SET_UNIT}",
    ) from failure


def _from_epoch(column: pa.ChunkedArray, origin: Origin, unit: TimeUnit | None) -> pa.ChunkedArray:
    if unit is None:
        raise origin.refusal(
            expected="timestamps",
            got=f"{column.type}, the largest being {pc.max(column)}",
            remedy=f"for integers since 1970 {_SET_UNIT}",
        )
    return widened(column, origin).cast(pa.timestamp(unit, tz="UTC"))


def _microseconds(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """The same times, with the same zone or none, in microseconds."""
    found = column.type
    target = pa.timestamp("us", tz=found.tz if pa.types.is_timestamp(found) else None)
    cuts_digits = pa.types.is_timestamp(found) and found.unit == "ns"
    try:
        return column.cast(target, safe=not cuts_digits)
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected="times within 290,000 years of 1970",
            got=str(error),
            remedy="check the column and its unit",
        ) from error


def _in_zone(column: pa.ChunkedArray, origin: Origin, zone: str | None) -> pa.ChunkedArray:
    """Local times as times of their zone."""
    if zone is None:
        raise origin.refusal(
            expected="times with a time zone",
            got="times without one",
            remedy=_SET_ZONE,
        )
    try:
        return pc.assume_timezone(column, zone, ambiguous="raise", nonexistent="raise")
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected=f"times that occur exactly once in {zone}",
            got=str(error).partition("It could")[0].strip(" .\n"),
            remedy="write the times in UTC or with their offset; clock changes make local times "
            "ambiguous",
        ) from error
