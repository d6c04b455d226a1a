"""Folders of two writers: one type where no value changes its meaning, a refusal elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.datasets.reading.tables import read_table
from recsys.errors import DataError

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 123000, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 2)  # noqa: DTZ001  local on purpose


def _read(folder: Path, *columns: pa.Array) -> pa.ChunkedArray:
    for number, column in enumerate(columns):
        pq.write_table(pa.table({"a": column}), folder / f"{number}.parquet")
    return read_table(folder)["a"]


def _at(unit: str, zone: str | None = "UTC") -> pa.Array:
    return pa.array([MOMENT.replace(microsecond=0), None], pa.timestamp(unit, tz=zone))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((pa.array(["x"]), pa.array(["y"], pa.large_string())), ["x", "y"]),
        ((pa.array(["x"]), pa.array(["y", None]).dictionary_encode()), ["x", "y", None]),
        ((pa.array(["x"], pa.string_view()), pa.array(["y"])), ["x", "y"]),
        ((pa.array([1], pa.int8()), pa.array([2], pa.uint32()), pa.array([3])), [1, 2, 3]),
        ((pa.array([1, None]), pa.array([2.5])), [1.0, None, 2.5]),
        (
            (pa.array([Decimal("1.5")]), pa.array([Decimal("20.25")])),
            [Decimal("1.50"), Decimal("20.25")],
        ),
        ((pa.nulls(1), pa.array(["x"]), pa.nulls(1)), [None, "x", None]),
        ((pa.array([["x"]]), pa.array([["y"]], pa.large_list(pa.large_string()))), [["x"], ["y"]]),
        ((pa.array([[1.0]], pa.list_(pa.float32(), 1)), pa.array([[2.0]])), [[1.0], [2.0]]),
        ((pa.array([date(2026, 1, 2)]), pa.array([MIDNIGHT])), [MIDNIGHT, MIDNIGHT]),
    ],
)
def test_values_that_mean_the_same_are_read_as_one_column(
    tmp_path: Path, columns: tuple[pa.Array, ...], expected: list[object]
) -> None:
    """Encodings, widths and lists of any kind go together, in the order of the files."""
    assert _read(tmp_path, *columns).to_pylist() == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Asia/Tokyo"])
def test_times_of_any_unit_and_zone_go_together(tmp_path: Path, unit: str, zone: str) -> None:
    """The instant is the same, whoever wrote it."""
    whole = MOMENT.replace(microsecond=0)

    assert _read(tmp_path, _at("us"), _at(unit, zone)).to_pylist() == [whole, None, whole, None]


@pytest.mark.parametrize(
    "columns",
    [
        (pa.array([1]), pa.array(["1"])),
        (pa.array([True]), pa.array([1])),
        (_at("us"), _at("us", None)),
        (pa.array([1.5]), pa.array([Decimal("1.5")])),
        (pa.array([2**53 + 1]), pa.array([1.5])),
        (pa.array([2**63], pa.uint64()), pa.array([1])),
    ],
    ids=lambda columns: " and ".join(str(one.type) for one in columns),
)
def test_values_that_could_mean_two_things_are_refused(
    tmp_path: Path, columns: tuple[pa.Array, ...]
) -> None:
    """Text and numbers, local times and others, and what the other type cannot hold exactly."""
    with pytest.raises(DataError, match="write every file of the folder with the same type"):
        _read(tmp_path, *columns)


def _lists(path: Path, kind: pa.DataType) -> None:
    values = [[1.0, 2.0], None, [3.0, 4.0]]
    pq.write_table(pa.table({"v": pa.array(values, kind), "k": ["a", "b", None]}), path)


@pytest.mark.parametrize("as_folder", [False, True])
def test_lists_of_one_length_with_nulls_are_read_as_other_lists_are(
    tmp_path: Path, as_folder: bool
) -> None:
    """What Arrow cannot read of its own type is read by that of Parquet, beside other columns."""
    folder = tmp_path / "d" if as_folder else tmp_path
    folder.mkdir(exist_ok=True)
    _lists(folder / "a.parquet", pa.list_(pa.float32(), 2))
    if as_folder:
        _lists(folder / "b.parquet", pa.list_(pa.float32()))

    table = read_table(folder if as_folder else folder / "a.parquet")

    assert table["v"].to_pylist() == [[1.0, 2.0], None, [3.0, 4.0]] * (1 + as_folder)
    assert table["k"].to_pylist() == ["a", "b", None] * (1 + as_folder)


def _shouted(name: str) -> str:
    return name.upper()


@pytest.mark.parametrize("change", [_shouted, str.title, lambda name: f" {name} "])
def test_columns_are_found_whatever_their_case(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    """One column that differs in case or white space alone is the one that is meant."""
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({change("user_id"): [2]}), tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text(f"{change('user_id')},x\n3,4\n")

    assert read_table(tmp_path / "c.csv", columns=["user_id"])["user_id"].to_pylist() == ["3"]
    (tmp_path / "c.csv").unlink()
    assert read_table(tmp_path, columns=["user_id"])["user_id"].to_pylist() == [1, 2]


def test_a_name_that_two_columns_have_is_refused_in_any_file(tmp_path: Path) -> None:
    """A later file with a column twice, or in two cases, is named."""
    pq.write_table(pa.table({"user_id": [1]}), tmp_path / "a.parquet")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["user_id", "user_id"])
    pq.write_table(twice, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: column 'user_id': .* got 2 among"):
        read_table(tmp_path, columns=["user_id"])

    (tmp_path / "b.parquet").unlink()
    pq.write_table(pa.table({"USER_ID": [1], "User_Id": [2]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: column 'user_id'"):
        read_table(tmp_path, columns=["user_id"])
