"""Event times: all forms become microseconds in UTC, or are refused as ambiguous.

A date is that day: it becomes midnight in UTC, whatever the zone, as days are those of UTC in all
jobs. Local times that are nothing but midnights are dates too.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recsys.datasets.columns.epochs import (
    TimeUnit,
    check_not_first_hour,
    check_unit,
    epoch_integers,
)
from recsys.datasets.columns.ids import plain_column, widened
from recsys.datasets.columns.text import first_row, unreadable_row
from recsys.datasets.columns.wide_times import from_epoch, in_microseconds, is_beyond
from recsys.datasets.origin import Origin
from recsys.errors import DataError
from recsys.schema import EVENT_TIME_TYPE
from recsys.time_units import US_PER_DAY

AmbiguousTimes = Literal["refuse", "earlier", "later"]
"""What becomes of a local time that occurs twice, or never, as clocks are changed."""

_SET_ZONE = 'set [columns] event_time_zone = "UTC" (or the zone they were written in)'
_SET_UNIT = 'set [columns] event_time_unit = "s" (or "ms", "us", "ns")'
_DATE = r"^\d{4}-\d{2}-\d{2}$"


def time_column(
    column: pa.ChunkedArray,
    origin: Origin,
    *,
    zone: str | None = None,
    unit: TimeUnit | None = None,
    ambiguous: AmbiguousTimes = "refuse",
) -> pa.ChunkedArray:
    """Times as `EVENT_TIME_TYPE`; nulls stay, fractions of a microsecond are cut off.

    Times outside of the years 1 to 9999 keep their side of 1970 and are for checks to count.

    Args:
        column: Timestamps, dates, whole numbers since 1970, or ISO 8601 text.
        origin: Where they come from.
        zone: Time zone of timestamps, dates and text that name none.
        unit: Unit of numbers.
        ambiguous: What becomes of local times that occur twice or never.

    Raises:
        DataError: Times that cannot be understood, or not without `zone` or `unit`; numbers whose
            unit is another one.
    """
    values = plain_column(column)
    if unit is not None and (pt.is_string(values.type) or pt.is_floating(values.type)):
        values = epoch_integers(values, origin, unit)
    if pt.is_string(values.type):
        values = _from_text(values, origin)
    if pt.is_integer(values.type):
        return _from_epoch(values, origin, unit).cast(EVENT_TIME_TYPE)
    if not (pt.is_timestamp(values.type) or pt.is_date(values.type)):
        if pt.is_null(values.type):
            return values.cast(EVENT_TIME_TYPE)
        raise origin.refusal(
            expected="times: timestamps, dates, ISO 8601 text or whole numbers since 1970",
            got=str(values.type),
            remedy=_SET_UNIT
            if pt.is_floating(values.type)
            else f"{origin.remapping}, or write the column as timestamps with a time zone",
        )
    is_date = pt.is_date(values.type)
    values = in_microseconds(values)
    if not is_date:
        check_not_first_hour(values, origin)
    if values.type.tz:
        return values.cast(EVENT_TIME_TYPE)
    if zone is None:
        raise origin.refusal(
            expected="times with a time zone", got="times without one", remedy=_SET_ZONE
        )
    if is_date or _are_midnights(values):
        return values.cast(EVENT_TIME_TYPE)
    return _in_zone(values, origin, zone, ambiguous)


def _from_text(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """ISO 8601 text to dates, or to timestamps."""
    if len(column) > column.null_count and pc.all(pc.match_substring_regex(column, _DATE)).as_py():
        try:
            return column.cast(pa.date32())
        except pa.ArrowInvalid as error:
            raise _no_time(origin, unreadable_row(column, pa.date32())) from error
    # Microseconds have a wider range than nanoseconds; only text with more digits needs the latter.
    for resolution in ("us", "ns"):
        for tz in ("UTC", None):
            try:
                return column.cast(pa.timestamp(resolution, tz=tz))
            except pa.ArrowInvalid as error:
                failure = error
    row = max(unreadable_row(column, pa.timestamp("ns", tz=tz)) for tz in ("UTC", None))
    raise _no_time(origin, row) from failure


def _no_time(origin: Origin, row: int) -> DataError:
    return origin.refusal(
        expected="ISO 8601 times such as 2024-05-31T18:00:00Z, all with a zone or all without",
        got=f"text that is none, or is unlike those before it, in row {row:,}",
        remedy=f"rewrite the column; for integers since 1970 {_SET_UNIT}",
    )


def _from_epoch(column: pa.ChunkedArray, origin: Origin, unit: TimeUnit | None) -> pa.ChunkedArray:
    """Whole numbers since 1970, if their unit is stated and can be the one."""
    if unit is None:
        digits = len(str(pc.max(pc.abs(column.cast(pa.decimal128(20)))) or ""))
        raise origin.refusal(
            expected="timestamps",
            got=f"{column.type}, of up to {digits} digits",
            remedy=f"for integers since 1970 {_SET_UNIT}; else {origin.remapping}",
        )
    counts = widened(column, origin)
    check_unit(counts, unit, origin)
    return from_epoch(counts, unit)


def _are_midnights(local: pa.ChunkedArray) -> bool:
    """Whether local times are dates: all of them the first moment of a day."""
    counts = local.drop_null().cast(pa.int64())
    if not len(counts):
        return False
    days = pc.multiply(pc.divide(counts, US_PER_DAY), US_PER_DAY)
    return bool(pc.all(pc.equal(counts, days)).as_py())


def _in_zone(
    column: pa.ChunkedArray, origin: Origin, zone: str, ambiguous: AmbiguousTimes
) -> pa.ChunkedArray:
    """Local times as times of their zone."""
    is_far = is_beyond(column)
    near = pc.if_else(is_far, pa.scalar(None, column.type), column)
    earlier = pc.assume_timezone(near, zone, ambiguous="earliest", nonexistent="earliest")
    later = pc.assume_timezone(near, zone, ambiguous="latest", nonexistent="latest")
    is_unsure = pc.not_equal(earlier, later)
    num_unsure = pc.sum(is_unsure).as_py() or 0
    if num_unsure and ambiguous == "refuse":
        raise origin.refusal(
            expected=f"times that occur exactly once in {zone}",
            got=f"{num_unsure:,} that occur twice or never as clocks change, "
            f"{first_row(is_unsure)}",
            remedy="write the times in UTC or with their offset, or set [columns] ambiguous_times "
            '= "earlier" or "later"',
        )
    chosen = (later if ambiguous == "later" else earlier).cast(EVENT_TIME_TYPE)
    return pc.if_else(is_far, column.cast(EVENT_TIME_TYPE), chosen)
