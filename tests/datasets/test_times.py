"""Event times: one instant in, the same instant out, ambiguity refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.times import time_column
from recsys.datasets.origin import Origin
from recsys.errors import DataError
from recsys.schema import EVENT_TIME_TYPE

ORIGIN = Origin(file="log.csv", column="at", is_text=True)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
LOCAL = None  # the zone of times that name none
instants = st.datetimes(
    datetime(1700, 1, 1, tzinfo=LOCAL), datetime(2200, 1, 1, tzinfo=LOCAL), timezones=zones
)


def _times(values: pa.Array, zone: str | None = None, unit: TimeUnit | None = None) -> list:
    column = time_column(pa.chunked_array([values]), ORIGIN, zone=zone, unit=unit)
    assert column.type == EVENT_TIME_TYPE
    return column.to_pylist()


def _refusal(values: pa.Array, zone: str | None = None, unit: TimeUnit | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        _times(values, zone, unit)
    assert "\n" not in str(caught.value)
    return caught.value


@given(st.lists(st.none() | instants), st.sampled_from(["us", "ns"]))
def test_zoned_timestamps_keep_their_instant(values: list[datetime | None], unit: str) -> None:
    """Unit and zone change, the instant does not."""
    assert _times(pa.array(values, pa.timestamp(unit, "Asia/Tokyo"))) == values


@given(st.lists(instants, min_size=1), st.sampled_from("T "))
def test_iso_text_keeps_its_instant(values: list[datetime], between: str) -> None:
    """Text with offsets, with or without fractions, is read as the instant it names."""
    assert _times(pa.array([value.isoformat(between) for value in values])) == values


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("as_text", [False, True])
def test_integers_count_from_1970_in_the_unit_given(unit: TimeUnit, as_text: bool) -> None:
    """Epoch times of any unit are read where the unit is stated, from numbers and from text."""
    scale = {"s": 1, "ms": 1000, "us": 10**6}[unit]
    values = [978_300_760 * scale, None, -scale]
    array = pa.array([value and str(value) for value in values] if as_text else values)

    assert _times(array, unit=unit) == [
        datetime(2000, 12, 31, 22, 12, 40, tzinfo=UTC),
        None,
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]


def test_local_times_and_dates_are_read_in_the_zone_given() -> None:
    """A naive timestamp and text without offset are local; a date is that day in any zone."""
    evening, day = datetime(2023, 12, 31, 23, 30, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)

    for local in (datetime(2024, 1, 1, 0, 30, tzinfo=LOCAL), "2024-01-01T00:30:00"):
        assert _times(pa.array([local]), zone="Europe/Paris") == [evening]

    for local in (
        datetime(2024, 1, 1, tzinfo=LOCAL),
        date(2024, 1, 1),
        "2024-01-01",
        "2024-01-01T00:00:00",
    ):
        for zone in ("Europe/Paris", "Asia/Tokyo", "America/Lima"):
            assert _times(pa.array([local]), zone=zone) == [day]


def test_digits_below_a_microsecond_are_cut_off() -> None:
    """Nanoseconds in a column or in text do not fail the reader."""
    expected = [datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)]

    assert _times(pa.array(["2024-01-01T00:00:00.123456789Z"])) == expected
    assert _times(pa.array(["2024-01-01T00:00:00.123456789"]), zone="UTC") == expected


@pytest.mark.parametrize(
    ("values", "zone", "message"),
    [
        (pa.array([datetime(2024, 1, 1, tzinfo=LOCAL)]), None, "event_time_zone"),
        (pa.array([date(2024, 1, 1)]), None, "event_time_zone"),
        (pa.array(["2024-01-01"]), None, "event_time_zone"),
        (pa.array([978300760]), "UTC", "event_time_unit"),
        (pa.array(["978300760"]), "UTC", "event_time_unit"),
        (pa.array(["2024-01-01T00:00:00Z", "2024-01-01"]), "UTC", "all with a zone or all without"),
        (pa.array(["yesterday"]), "UTC", "unlike those before it, in row 1"),
        (pa.array([1.5]), "UTC", "got double"),
        (pa.array([datetime(2024, 10, 27, 2, 30, tzinfo=LOCAL)]), "Europe/Paris", "occur twice"),
        (pa.array([datetime(2024, 3, 31, 2, 30, tzinfo=LOCAL)]), "Europe/Paris", "or never"),
    ],
)
def test_times_that_could_mean_two_things_are_refused(
    values: pa.Array, zone: str | None, message: str
) -> None:
    """No zone, no unit, no ISO 8601 and clock changes each have their own remedy."""
    assert message in str(_refusal(values, zone))


def test_an_ambiguous_time_is_named_by_its_row() -> None:
    """The message names the row and the cure, and not the time itself."""
    said = str(_refusal(pa.array([datetime(2024, 10, 27, 2, 30, tzinfo=LOCAL)]), "Europe/Paris"))
    assert "1 that occur twice or never as clocks change, the first in row 1" in said
    assert "write the times in UTC" in said
    assert "02:30" not in said


def test_epoch_text_must_be_plain_integers() -> None:
    """With a unit, text is read as strictly as ids are, but for a fraction of nothing."""
    assert "the first in row 1" in str(_refusal(pa.array(["1.5e9"]), unit="s"))
    assert "1 with a fraction" in str(_refusal(pa.array(["1767227652.5"]), unit="s"))
    assert _times(pa.array(["1767227652.0"]), unit="s") == _times(pa.array([1767227652]), unit="s")
