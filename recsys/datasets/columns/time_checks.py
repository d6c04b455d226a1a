"""Checks over all times of a log: the first and last one, and impossible times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.columns.far_times import MAX_FAR_SHARE, is_far_before
from recsys.datasets.columns.text import first_row
from recsys.datasets.columns.wide_times import is_beyond
from recsys.datasets.origin import Origin
from recsys.errors import DataError


def first_and_last(times: pa.ChunkedArray) -> dict[str, datetime]:
    """The first and the last time that a date can have."""
    found: dict[str, datetime] = pc.min_max(times.filter(pc.invert(is_beyond(times)))).as_py()
    return found


def absurd_refusals(times: pa.ChunkedArray, origin: Origin) -> Iterator[DataError]:
    """Refusals of times outside the calendar, and of too many far before all others."""
    is_absurd = is_beyond(times)
    num_absurd = pc.sum(is_absurd).as_py() or 0
    if num_absurd:
        yield origin.refusal(
            expected="times of the years 1 to 9999",
            got=f"{num_absurd:,} others, {first_row(is_absurd)}",
            remedy="check the unit and the zone of the times, or correct the rows",
        )
        return
    num_far = int(np.count_nonzero(is_far_before(times.drop_null().cast(pa.int64()).to_numpy())))
    if num_far > MAX_FAR_SHARE * len(times):
        yield origin.refusal(
            expected=f"at most {MAX_FAR_SHARE:.0%} of the events far before all others",
            got=f"{num_far:,} of {len(times):,} at one moment, as a missing time written as a date",
            remedy="fill in the times or remove the rows",
        )
