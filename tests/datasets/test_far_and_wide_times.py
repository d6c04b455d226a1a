"""Times at the edge: INT96, units that overflow or are another one, times far before all others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.far_times import MAX_FAR_SHARE, is_far_before
from recsys.datasets.columns.times import time_column
from recsys.datasets.columns.wide_times import BEYOND_US, is_beyond, settled_int96
from recsys.datasets.origin import Origin
from recsys.datasets.reading.tables import read_table
from recsys.errors import DataError

ORIGIN = Origin(file="log.parquet", column="at", setting="[columns] event_time")
LOCAL = None  # the zone of times that name none
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
START_S = 1_767_225_600


def _times(values: pa.Array, **settings: object) -> pa.ChunkedArray:
    return time_column(pa.chunked_array([values]), ORIGIN, **settings)


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), max_size=5))  # noqa: DTZ001
def test_times_of_int96_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, values: list[datetime]
) -> None:
    """Over all years that a date can have: none wraps into another year."""
    path = tmp_path_factory.mktemp("int96") / "t.parquet"
    column = pa.array(values, pa.timestamp("us"))
    pq.write_table(pa.table({"t": column}), path, use_deprecated_int96_timestamps=True)

    assert read_table(path)["t"].to_pylist() == values


def test_days_of_int96_that_microseconds_cannot_hold_are_beyond_all_dates() -> None:
    """Where even microseconds wrap, whole seconds tell on which side of 1970 a time lies."""
    wrapped = pa.chunked_array([pa.array([5, 5, 7], pa.timestamp("us"))])
    seconds = pa.chunked_array([pa.array([2**45, -(2**45), 0], pa.timestamp("s"))])

    settled = settled_int96(wrapped, seconds)

    assert settled.cast(pa.int64()).to_pylist() == [BEYOND_US, -BEYOND_US, 7]
    assert is_beyond(settled).to_pylist() == [True, True, False]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("count", [2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_a_time_that_would_overflow_stays_on_its_side(unit: str, count: int) -> None:
    """One absurd row among sound ones is an absurd time, and the others are what they were."""
    sound = [START_S * PER_SECOND[unit]] * 4
    values = pa.array([*sound, count, None], pa.int64())

    for found in (_times(values, unit=unit), _times(values.cast(pa.timestamp(unit, "UTC")))):
        assert is_beyond(found).to_pylist() == [False] * 4 + [True, None]
        assert (found.cast(pa.int64())[4].as_py() > 0) == (count > 0)
        assert found.slice(0, 4).to_pylist() == [datetime(2026, 1, 1, tzinfo=UTC)] * 4


@pytest.mark.parametrize("said", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("meant", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_unit_that_is_not_theirs_is_refused(
    said: TimeUnit, meant: TimeUnit, as_text: bool
) -> None:
    """Whatever the two units, times are read right or the unit that they are in is named."""
    counts = [(START_S + 3600 * hour) * PER_SECOND[meant] for hour in range(24)]
    values = pa.array([str(one) for one in counts] if as_text else counts)

    if said == meant:
        assert pc.min(_times(values, unit=said)).as_py() == datetime(2026, 1, 1, tzinfo=UTC)
    else:
        with pytest.raises(DataError, match=f'set .* event_time_unit = "{meant}"'):
            _times(values, unit=said)


def test_counts_from_a_start_of_their_own_are_read() -> None:
    """Seconds since an unknown day, as published logs have them, lie in 1970 in any unit."""
    assert pc.max(_times(pa.array(range(86_400, 864_000, 3600)), unit="s")).as_py().year == 1970


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_made_of_seconds_taken_for_a_finer_unit_are_refused(unit: str) -> None:
    """All in the first hour of 1970: no log is so."""
    values = pa.array([START_S // 1000 + second for second in range(9)], pa.timestamp(unit, "UTC"))
    with pytest.raises(DataError, match="first hour of 1970"):
        _times(values)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Paris", "UTC", "America/Lima"])
@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.timestamp("ns"), pa.string()])
def test_dates_without_hours_are_those_days_in_every_zone(zone: str, kind: pa.DataType) -> None:
    """East or west of Greenwich, no date moves to the day before."""
    days = [date(2026, 3, 28) + timedelta(days=number) for number in range(4)]
    values = pa.array(days)
    values = values.cast(kind) if kind != pa.string() else pa.array([str(day) for day in days])

    assert [one.date() for one in _times(values, zone=zone).to_pylist()] == days


@pytest.mark.parametrize(("policy", "hour"), [("earlier", 0), ("later", 1)])
def test_a_local_time_that_occurs_twice_is_read_as_the_settings_say(policy: str, hour: int) -> None:
    """The earlier or the later of its moments; one that never occurs is moved to the change."""
    twice, never = datetime(2025, 10, 26, 2, 30), datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001
    found = _times(pa.array([twice, never]), zone="Europe/Berlin", ambiguous=policy).to_pylist()

    assert found[0] == datetime(2025, 10, 26, hour, 30, tzinfo=UTC)
    assert abs(found[1] - datetime(2026, 3, 29, 1, tzinfo=UTC)) <= timedelta(microseconds=1)


DAY = 86_400_000_000


def _log(num_rows: int, num_days: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return START_S * 1_000_000 + rng.integers(0, num_days * DAY, num_rows)


@pytest.mark.parametrize("num_days", [1, 60, 400, 5000])
@pytest.mark.parametrize("share", [0.0004, 0.01, 0.05])
@pytest.mark.parametrize("year", [1, 1900, 1970])
def test_times_that_stand_for_missing_ones_are_found(
    num_days: int, share: float, year: int
) -> None:
    """A few rows at a moment far before a log of any length are set apart, and no other row is."""
    times_N = _log(3000, num_days)
    num_far = max(1, int(share * 3000))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    times_N[:num_far] = (datetime(year, 1, 1, tzinfo=UTC) - epoch) // timedelta(microseconds=1)

    assert np.flatnonzero(is_far_before(times_N)).tolist() == list(range(num_far))


@given(st.lists(st.integers(0, 20 * 365), min_size=2, max_size=200))
def test_few_rows_are_ever_set_apart_and_all_lie_before_the_others(days: list[int]) -> None:
    """Whatever the log, those set apart are earlier than the rest, and few or all at one moment."""
    times_N = np.array(days, dtype=np.int64) * DAY
    far_N = is_far_before(times_N)

    if far_N.any():
        assert times_N[far_N].max() < times_N[~far_N].min() - 365 * DAY
        assert far_N.mean() <= max(MAX_FAR_SHARE, 1 / 20) or len(set(times_N[far_N])) == 1


def test_a_log_that_began_slowly_keeps_its_first_rows() -> None:
    """An early trial before a long log is no missing time: the gap is shorter than the log."""
    times_N = np.concatenate([_log(3000, 1500), [START_S * 1_000_000 - 400 * DAY]])
    assert not is_far_before(times_N).any()
