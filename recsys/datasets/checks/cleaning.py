"""Interactions that must not count: too late, far before all others, told twice, or too many.

Everything left out is counted, so that rows used and rows left out add up to all rows.
"""

from __future__ import annotations

from datetime import datetime
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Int64Array
from recsys.datasets.checks.daily import repeated
from recsys.datasets.checks.validation import ValidationConfig
from recsys.datasets.columns.far_times import is_far_before
from recsys.datasets.dataset import Dataset
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, USER_ID
from recsys.time_units import US_PER_DAY

_LEAST_CAP, _CAP_FACTOR, _TAIL_SHARES = 1000, 5, (0.75, 0.9)


def clean_interactions(
    dataset: Dataset, *, until: datetime | None, limits: ValidationConfig
) -> tuple[pa.Table, dict[str, int]]:
    """Interactions that count, in their order, and how many others there are by reason.

    Args:
        dataset: Checked tables.
        until: Events from this moment on are `later`; None for none.
        limits: The cap of events of one user.

    Returns:
        The rows, and counts of `later`, `far_before`, `duplicate` and `capped`.
    """
    log = dataset.interactions
    kept = log if until is None else rows_until(log, until)
    counts = {"later": log.num_rows - kept.num_rows, "far_before": 0, "duplicate": 0, "capped": 0}
    if EVENT_TIME in kept.column_names:
        is_far_N = is_far_before(kept[EVENT_TIME].cast(pa.int64()).to_numpy())
        counts["far_before"] = int(np.count_nonzero(is_far_N))
        kept = kept.filter(pa.array(~is_far_N)) if counts["far_before"] else kept
    zone = dataset.columns.event_time_zone or "UTC"
    if EVENT_TIME in kept.column_names and has_times_of_day(kept, zone):
        is_repeated_N = repeated(kept)
        counts["duplicate"] = int(is_repeated_N.sum())
        if counts["duplicate"]:
            kept = kept.filter(pa.array(~is_repeated_N))
    is_within_N = _within_cap(kept, limits.max_events_per_user)
    counts["capped"] = int(np.count_nonzero(~is_within_N))
    return (kept.filter(pa.array(is_within_N)) if counts["capped"] else kept), counts


def rows_until(log: pa.Table, moment: datetime) -> pa.Table:
    """Rows before a moment; all of a log without times."""
    if EVENT_TIME not in log.column_names:
        return log
    return log.filter(pc.less(log[EVENT_TIME], pa.scalar(moment, EVENT_TIME_TYPE)))


def has_times_of_day(log: pa.Table, zone: str) -> bool:
    """Whether times are more than dates: then equal rows are one event told twice.

    Dates are midnights in UTC, or where they were written, which in UTC may be any hour.
    """
    if not np.any(log[EVENT_TIME].cast(pa.int64()).to_numpy() % US_PER_DAY):
        return False
    local = pc.local_timestamp(log[EVENT_TIME].cast(pa.timestamp("us", tz=zone)))
    return bool(np.any(local.cast(pa.int64()).to_numpy() % US_PER_DAY))


def _within_cap(log: pa.Table, cap: int | None) -> BoolArray:
    """Whether each event is among the latest of its user that count, by `default_cap` if not set.

    Among events at the same time, those whose other columns sort first come first, so that nothing
    depends on the order of rows. In a log without times the order of rows decides.
    """
    codes = log[USER_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    counts = np.bincount(codes)
    if cap is None:
        cap = default_cap(counts)
    within = np.ones(log.num_rows, dtype=np.bool_)
    has_times = EVENT_TIME in log.column_names
    others = [name for name in log.column_names if name != EVENT_TIME]
    keys = [(name, "ascending") for name in ([EVENT_TIME, *others] if has_times else [])]
    for user in np.flatnonzero(counts > cap):
        rows = np.flatnonzero(codes == user)
        if keys:
            rows = rows[pc.sort_indices(log.take(pa.array(rows)), sort_keys=keys).to_numpy()]
        within[rows[: counts[user] - cap]] = False
    return within


def default_cap(counts: Int64Array) -> int:
    """Default cap: the most events that one person can have; beyond it only the latest count.

    The number of events of a person is roughly lognormal, so that the busiest of N people is
    expected at the median times exp(s z), where z is the normal quantile of 1/N and s the spread of
    the logs. Both are estimated from quantiles that a few accounts cannot move: the median, and the
    distances of the upper quartile and the upper decile from it. The highest counts, up to one in a
    thousand, are often those of bots. Five times the expectation does not affect people: on
    Gowalla, MovieLens 1M, MovieTweetings and Complete Journey the busiest user has 0.2 to 1.5 times
    the expectation. The cap is never below 1000.

    Args:
        counts: Events of each user, one or more.
    """
    if not len(counts):
        return _LEAST_CAP
    normal = NormalDist()
    logs = np.log(np.maximum(counts, 1))
    middle = float(np.quantile(logs, 0.5, method="lower"))
    spread = max(
        (float(np.quantile(logs, share, method="lower")) - middle) / normal.inv_cdf(share)
        for share in _TAIL_SHARES
    )
    busiest = middle + max(spread, 0.0) * normal.inv_cdf(1 - 1 / max(len(counts), 2))
    return max(_LEAST_CAP, int(_CAP_FACTOR * np.exp(min(busiest, 40.0))))
