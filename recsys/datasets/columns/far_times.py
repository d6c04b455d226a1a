"""Times far before all others: a missing time written as 1970, a clock that was not set.

One such row would shift a split by time, so they are set aside and counted. They must be few, or
all at one moment, as a stand-in for a missing time is; and the gap after them must be longer than a
year and longer than all the time after it. A log that began slowly keeps its first rows.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import BoolArray, Int64Array

MAX_FAR_SHARE = 0.05
"""Largest share of rows that may be set aside for this."""

_MIN_ROWS = 20
_MIN_GAP_US = 365 * 86_400_000_000


def is_far_before(times_N: Int64Array) -> BoolArray:
    """Whether each time lies far before all others.

    Args:
        times_N: Microseconds since 1970. Shape (N,).

    Returns:
        Flags of shape (N,).
    """
    num_rows = len(times_N)
    if num_rows < _MIN_ROWS:
        return np.zeros(num_rows, dtype=np.bool_)
    ordered = np.sort(times_N)
    gaps, spans = np.diff(ordered), ordered[-1] - ordered[1:]
    few = max(1, int(MAX_FAR_SHARE * num_rows))
    wide = np.flatnonzero(gaps > np.maximum(spans, _MIN_GAP_US)) + 1  # rows before each gap
    chosen = [
        int(n) for n in wide if n <= few or (2 * n < num_rows and ordered[0] == ordered[n - 1])
    ]
    if not chosen:
        return np.zeros(num_rows, dtype=np.bool_)
    return np.asarray(times_N < ordered[max(chosen)])
