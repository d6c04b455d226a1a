"""Times that are counts since 1970, and their possible units.

A wrong unit moves times to 1970 or to the far future, and this would not be noticed. So a unit is
refused if another one gives times from 1990 to 2100 and this one does not.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recsys.datasets.columns.text import first_row, integers_from_text
from recsys.datasets.origin import Origin

TimeUnit = Literal["s", "ms", "us", "ns"]
"""Unit of times that are written as whole numbers since 1970-01-01 UTC."""

_PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FROM_S, _TO_S = 631_152_000, 4_102_444_800  # 1990 to 2100
_EXACT = 2.0**53
_NOUNS: dict[TimeUnit, str] = {
    "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"
}  # fmt: skip


def epoch_integers(column: pa.ChunkedArray, origin: Origin, unit: TimeUnit) -> pa.ChunkedArray:
    """Text or floats as whole numbers, where they are whole: `1767227652.0` is `1767227652`.

    Raises:
        DataError: A fraction, a number that a float does not hold exactly, or other text.
    """
    if pt.is_string(column.type):
        whole = pc.replace_substring_regex(column, r"^(-?\d+)\.0+$", r"\1")
        has_fraction = pc.match_substring_regex(whole, r"^-?\d+\.\d+$")
        _check_whole(has_fraction, origin, unit)
        return integers_from_text(whole, origin, what=f"whole {_NOUNS[unit]} since 1970")
    values = column.cast(pa.float64())
    is_strange = pc.or_(
        pc.not_equal(values, pc.round(values)), pc.invert(pc.less(pc.abs(values), _EXACT))
    )
    _check_whole(is_strange, origin, unit)
    return values.cast(pa.int64())


def check_unit(counts: pa.ChunkedArray, unit: TimeUnit, origin: Origin) -> None:
    """Refuse a unit that gives no times from 1990 to 2100 if another unit does.

    Raises:
        DataError: There is such a unit.
    """
    values = counts.drop_null().to_numpy()
    if not len(values):
        return
    middle = float(np.median(values))
    likely = [one for one, n in _PER_SECOND.items() if _FROM_S <= middle / n <= _TO_S]
    if likely and unit not in likely:
        raise origin.refusal(
            expected=f"{_NOUNS[unit]} since 1970, as [columns] event_time_unit says",
            got=f"numbers that are {_NOUNS[likely[0]]} by their size: read as {_NOUNS[unit]} most "
            "are not of the years 1990 to 2100",
            remedy=f'set [columns] event_time_unit = "{likely[0]}"',
        )


def check_not_first_hour(times: pa.ChunkedArray, origin: Origin) -> None:
    """Refuse timestamps that all lie in the first hour of 1970: counts taken for a finer unit.

    Raises:
        DataError: They do.
    """
    counts = times.drop_null().cast(pa.int64())
    if len(counts) > 1:
        ends = pc.min_max(counts).as_py()
        if ends["min"] > 0 and ends["max"] < 3600 * _PER_SECOND["us"]:
            raise origin.refusal(
                expected="times of events",
                got="times that all lie in the first hour of 1970, as when seconds or milliseconds "
                "are read as a finer unit",
                remedy="write the column again with its unit",
            )


def _check_whole(is_strange: pa.ChunkedArray, origin: Origin, unit: TimeUnit) -> None:
    num_strange = pc.sum(is_strange).as_py() or 0
    if num_strange:
        raise origin.refusal(
            expected=f"whole {_NOUNS[unit]} since 1970",
            got=f"{num_strange:,} with a fraction or too large to be exact, "
            f"{first_row(is_strange)}",
            remedy="write whole numbers, of a finer unit if need be, and set [columns] "
            "event_time_unit to it",
        )
