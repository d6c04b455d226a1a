"""Frames of every kind are read as what they say, or refused in one line that names the column."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recsys.datasets.checks.validation import ValidationConfig
from recsys.datasets.dataset import ColumnsConfig
from recsys.datasets.frames.frames import Frame, as_kind, named_frame, values_of
from recsys.errors import DataError
from recsys.recommender.frontend.tables_in import Names, dataset_of_frames

TIMES = [dt.datetime(2026, 3, 1, hour, tzinfo=dt.UTC) for hour in (6, 7, 8)]
NAIVE = [moment.replace(tzinfo=None) for moment in TIMES]
PARIS = dt.timezone(dt.timedelta(hours=1))


def read(frame: Frame, **columns: Frame) -> pa.Table:
    """Interactions of a frame, as the recommender reads them."""
    names = Names(columns=ColumnsConfig(**columns), is_given=frozenset(columns))
    found = dataset_of_frames(
        {"interactions": frame, "users": None, "items": None},
        names=names, features=None, limits=ValidationConfig(),
    )  # fmt: skip
    return found.dataset.interactions


def log(when: Frame, who: Frame = (1, 1, 2), what: Frame = ("a", "b", "a")) -> pd.DataFrame:
    """A log of three rows."""
    return pd.DataFrame({"user_id": who, "item_id": what, "event_time": when})


def seconds(moments: list[dt.datetime]) -> list[int]:
    """Times as integers since 1970."""
    return [int(moment.timestamp()) for moment in moments]


TIME_COLUMNS: dict[str, Callable[[], Frame]] = {
    "nanoseconds": lambda: pd.Series(NAIVE).astype("datetime64[ns]"),
    "seconds": lambda: pd.Series(NAIVE).astype("datetime64[s]"),
    "nanoseconds in UTC": lambda: pd.Series(TIMES).astype("datetime64[ns, UTC]"),
    "another zone": lambda: pd.Series(TIMES).dt.tz_convert("Asia/Tokyo"),
    "naive objects": lambda: pd.Series(NAIVE, dtype=object),
    "objects with an offset": lambda: pd.Series(
        [moment.astimezone(PARIS) for moment in TIMES], dtype=object
    ),
    "categories": lambda: pd.Series(TIMES).astype("category"),
    "pyarrow": lambda: pd.Series(TIMES).astype(pd.ArrowDtype(pa.timestamp("ns", "Europe/Paris"))),
    "integers of seconds": lambda: seconds(TIMES),
    "integers of milliseconds": lambda: [value * 10**3 for value in seconds(TIMES)],
    "integers of microseconds": lambda: [value * 10**6 for value in seconds(TIMES)],
    "integers of nanoseconds": lambda: [value * 10**9 for value in seconds(TIMES)],
    "nullable integers": lambda: pd.array(seconds(TIMES), dtype="Int64"),
    "text with a zone": lambda: [moment.isoformat() for moment in TIMES],
    "text without a zone": lambda: [moment.isoformat() for moment in NAIVE],
}


@pytest.mark.parametrize("kind", TIME_COLUMNS)
def test_times_of_pandas_are_those_moments(kind: str) -> None:
    """Whatever holds the times of a pandas frame, the moments are the same, never other ones."""
    assert read(log(TIME_COLUMNS[kind]()))["event_time"].to_pylist() == TIMES


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(NAIVE, dtype=pl.Datetime("ns")),
        pl.Series(NAIVE, dtype=pl.Datetime("ms")),
        pl.Series(TIMES, dtype=pl.Datetime("us", "UTC")),
        pl.Series(TIMES, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
        pl.Series(seconds(TIMES), dtype=pl.UInt32),
        pl.Series([moment.isoformat() for moment in TIMES]),
        pl.Series([moment.isoformat() for moment in NAIVE]).cast(pl.Categorical),
    ],
    ids=lambda column: str(column.dtype),
)
def test_times_of_polars_and_arrow_are_those_moments(column: pl.Series) -> None:
    """The same of polars, and of the Arrow table that it makes."""
    frame = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "event_time": column})

    assert read(frame)["event_time"].to_pylist() == TIMES
    assert read(frame.to_arrow())["event_time"].to_pylist() == TIMES


def test_dates_are_midnights() -> None:
    """Python dates, and those of Arrow, are midnights in UTC."""
    days = [dt.date(2026, 3, day) for day in (1, 2, 3)]
    midnights = [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3)]

    for when in (days, pd.Series(days).astype(pd.ArrowDtype(pa.date32())), pl.Series(days)):
        frame = pl.DataFrame({"event_time": when}) if isinstance(when, pl.Series) else log(when)
        if isinstance(frame, pl.DataFrame):
            frame = frame.with_columns(user_id=pl.Series([1, 1, 2]), item_id=pl.lit("a"))
        assert read(frame)["event_time"].to_pylist() == midnights


def test_a_zone_that_is_given_is_taken() -> None:
    """Naive times are those of the zone that the caller names."""
    found = read(log(pd.Series(NAIVE)), event_time_zone="Asia/Tokyo")["event_time"].to_pylist()

    assert found == [moment - dt.timedelta(hours=9) for moment in TIMES]


ID_COLUMNS: dict[str, tuple[Frame, pa.DataType]] = {
    "numpy integers": (np.array([1, 1, 2], np.int32), pa.int64()),
    "nullable integers": (pd.array([1, 1, 2], dtype="Int64"), pa.int64()),
    "pyarrow integers": (pd.array([1, 1, 2], dtype=pd.ArrowDtype(pa.uint8())), pa.int64()),
    "objects of integers": (pd.Series([1, 1, 2], dtype=object), pa.int64()),
    "categories of integers": (pd.Series([1, 1, 2]).astype("category"), pa.int64()),
    "text": (["01", "01", "2"], pa.string()),
    "objects of text": (pd.Series(["01", "01", "2"], dtype=object), pa.string()),
    "pyarrow text": (pd.array(["01", "01", "2"], dtype="string[pyarrow]"), pa.string()),
    "categories of text": (pd.Series(["01", "01", "2"]).astype("category"), pa.string()),
}


@pytest.mark.parametrize("kind", ID_COLUMNS)
def test_ids_stay_as_they_are(kind: str) -> None:
    """Ids are integers or text, exact, whatever holds them."""
    values, expected = ID_COLUMNS[kind]
    found = read(log(TIMES, who=values))["user_id"]

    assert found.type == expected
    assert found.to_pylist() == list(pd.Series(values).astype(object))


REFUSED_IDS: dict[str, Frame] = {
    "floats": [1.0, 1.0, 2.0],
    "floats for a null": [1, None, 2],
    "integers and text": pd.Series([1, "1", 2], dtype=object),
    "decimals": [decimal.Decimal("1.5"), decimal.Decimal("1.5"), decimal.Decimal("2.5")],
    "a null": ["a", None, "b"],
    "times": TIMES,
    "lists": [[1], [1], [2]],
    "periods": pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    "booleans": [True, True, False],
    "categories of intervals": pd.cut(pd.Series([1, 2, 3]), 3),
    "complex numbers": [1j, 1j, 2j],
}


@pytest.mark.parametrize("kind", REFUSED_IDS)
def test_what_are_no_ids_is_refused_in_one_line(kind: str) -> None:
    """A refusal names the argument and the column, and is one line."""
    with pytest.raises(DataError) as refusal:
        read(log(TIMES, who=REFUSED_IDS[kind]))

    message = str(refusal.value)
    assert message.startswith("interactions: column 'user_id': expected ")
    assert "\n" not in message
    assert "[columns]" not in message


REFUSED_TIMES: dict[str, Frame] = {
    "periods": pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    "durations": pd.Series([dt.timedelta(hours=one) for one in (1, 2, 3)]),
    "times of day": [moment.time() for moment in TIMES],
    "times and text": pd.Series([TIMES[0], "yesterday", TIMES[1]], dtype=object),
    "prose": ["yesterday", "today", "tomorrow"],
    "a null": [TIMES[0], None, TIMES[1]],
    "booleans": [True, True, False],
    "numbers of rows": [0, 1, 2],
    "floats": [1.7e9, 1.7e9, None],
}


@pytest.mark.parametrize("kind", REFUSED_TIMES)
def test_what_are_no_times_is_refused_in_one_line(kind: str) -> None:
    """Nothing else is read as a time, neither by its number nor by its text."""
    with pytest.raises(DataError) as refusal:
        read(log(REFUSED_TIMES[kind]), event_time="event_time")

    message = str(refusal.value)
    assert message.startswith("interactions: column 'event_time': expected ")
    assert "\n" not in message


@pytest.mark.parametrize(
    "frame",
    [{"user_id": [1]}, [1, 2], np.ones((2, 2)), pl.DataFrame({"a": [1]}).lazy(), None, "log.csv"],
    ids=lambda frame: type(frame).__name__,
)
def test_what_is_no_frame_is_refused(frame: Frame) -> None:
    """Anything else than a table is refused with what to do."""
    with pytest.raises(DataError, match=r"^interactions: expected a table of pandas, polars"):
        named_frame(frame, "interactions")


def test_columns_without_sound_names_are_refused() -> None:
    """Numbers as names, and names of two columns, cannot be meant."""
    with pytest.raises(DataError, match="whose names are text, got int 0"):
        named_frame(pd.DataFrame([[1, 2]]), "interactions")
    with pytest.raises(DataError, match="each name of a column once, got a several times"):
        named_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]), "interactions")


def test_named_levels_of_an_index_are_columns() -> None:
    """A frame that was grouped or indexed by its users and times is read like the flat one."""
    flat = log(TIMES)
    indexed = flat.set_index(["user_id", "event_time"])

    assert read(indexed).equals(read(flat))
    assert read(flat.set_index(pd.Index([7, 3, 5]))).equals(read(flat))


def test_columns_that_nobody_asked_for_may_hold_anything() -> None:
    """A column of objects beside the ones that are read is no obstacle."""
    odd = log(TIMES).assign(odd=[object(), 1, "x"], period=pd.period_range("2026", periods=3))

    assert read(odd).equals(read(log(TIMES)))


def test_guesses_are_said_aloud_and_names_that_are_given_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says what is read from what, and how to settle it; a given name needs none."""
    frame = log(TIMES).rename(columns={"user_id": "Customer", "item_id": "SKU"})
    read(frame)
    (reported,) = [record.getMessage() for record in caplog.records]
    caplog.clear()
    read(frame, user_id="Customer", item_id="SKU", event_time="event_time")

    assert "user_id is read from 'Customer'" in reported
    assert 'pass user_id="Customer", item_id="SKU"' in reported
    assert not caplog.records


def test_a_column_that_is_not_there_is_refused_with_the_nearest() -> None:
    """A misspelt keyword names the column that was probably meant."""
    with pytest.raises(DataError, match="did you mean 'user_id'"):
        read(log(TIMES), user_id="userid")
    with pytest.raises(DataError, match=r'holds item_id, got .*; name it, item_id="..."'):
        read(log(TIMES).rename(columns={"item_id": "x"}))


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_results_are_the_kind_that_came_in(kind: Frame) -> None:
    """A table goes out as it came in, with its values and types."""
    table = pa.table({"a": pa.array([1, 2]), "b": pa.array(["x", None])})
    frame = as_kind(table, kind)

    assert named_frame(frame, "frame").kind == kind
    assert pa.table(frame).to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    "values",
    [[3, 1], (3, 1), np.array([3, 1]), pd.Series([3, 1]), pl.Series([3, 1]), pa.array([3, 1]),
     pa.chunked_array([[3], [1]]), pd.Index([3, 1])],
    ids=lambda values: type(values).__module__ + type(values).__name__,
)  # fmt: skip
def test_ids_may_come_in_any_list(values: Frame) -> None:
    """Lists, arrays and columns of ids are the same."""
    assert values_of(values, "users").to_pylist() == [3, 1]
