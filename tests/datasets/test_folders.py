"""Folders of files: every entry is read, or passed over by name and counted, or refused."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.reading.tables import read_input
from recsys.errors import DataError


def _data(path: Path, value: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": [value]}), path)
    return path


def _values(folder: Path) -> list[int]:
    values: list[int] = read_input(folder, columns=["a"]).table["a"].to_pylist()
    return values


@pytest.mark.parametrize(
    "name",
    ["b.PARQUET", "b.parq", "b.pq", "b.snappy.parquet", "000001_0", "x/y/b.parquet", "k=1/b.pq"],
)
def test_parquet_is_read_by_whatever_name_it_has(tmp_path: Path, name: str) -> None:
    """Other spellings of the suffix, none at all, and folders within are data."""
    _data(tmp_path / name, 2)
    if "=" not in name:
        _data(tmp_path / "a.parquet")

    assert sorted(_values(tmp_path)) == ([2] if "=" in name else [1, 2])


def test_links_are_followed_and_never_read_twice(tmp_path: Path) -> None:
    """A linked file or folder is data; a link to what is read already would count rows twice."""
    folder, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    _data(folder / "a.parquet", 1)
    _data(elsewhere / "b.parquet", 2)
    (folder / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert _values(folder) == [1, 2]

    (folder / "latest.parquet").symlink_to(folder / "a.parquet")
    with pytest.raises(DataError, match=r"same file as 'a.parquet'.*count twice"):
        _values(folder)
    (folder / "latest.parquet").unlink()
    os.link(folder / "a.parquet", folder / "hard.parquet")
    with pytest.raises(DataError, match="the same file"):
        _values(folder)


def _broken_link(folder: Path) -> None:
    (folder / "b.parquet").symlink_to(folder / "nowhere")


def _circle(folder: Path) -> None:
    (folder / "again").symlink_to(folder, target_is_directory=True)


def _renamed(name: str) -> Callable[[Path], None]:
    return lambda folder: _data(folder / "b.parquet").rename(folder / name) and None


def _file(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


@pytest.mark.parametrize(
    ("spoil", "got"),
    [
        (_broken_link, "'b.parquet', a link that leads nowhere"),
        (_circle, "'again', a link to a folder above it"),
        (lambda folder: os.mkfifo(folder / "b.parquet"), "neither a file nor a folder"),
        (_file("b.csv", b"a\n2\n"), "'b.csv', which holds text"),
        (_file("b.parquet", b""), "'b.parquet', which holds an empty file"),
        (_file("b.parquet", b"a,b\n1,2\n"), "'b.parquet', which holds text"),
        (_file("b.parquet.gz", b"\x1f\x8b\x08"), "'b.parquet.gz', which holds gzip"),
        (_file("b.orc", b"ORC\x00\x01"), "which holds ORC"),
        (_file("b.json", b"{}"), "'b.json', which holds text"),
        (_renamed("b.parquet.tmp"), "'b.parquet.tmp', which holds Parquet"),
        (_renamed("b.bak"), "'b.bak', which holds Parquet"),
    ],
)
def test_what_is_no_data_under_the_name_of_data_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], got: str
) -> None:
    """Nothing visible is left out: the entry is named, with what it holds and what to do."""
    _data(tmp_path / "a.parquet")
    spoil(tmp_path)

    with pytest.raises(DataError) as caught:
        _values(tmp_path)
    assert got in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


_MARKERS = {
    "Delta Lake": "_delta_log/00000000000000000000.json",
    "Apache Hudi": ".hoodie/hoodie.properties",
    "Spark structured streaming": "_spark_metadata/0",
    "Apache Iceberg": "metadata/v1.metadata.json",
    "Lance": "_versions/1.manifest",
    "Hive ACID": "delta_0000001_0000001_0000/bucket_00000",
    "Databricks commits": "_started_4711",
}


@pytest.mark.parametrize("kind", _MARKERS)
def test_a_folder_with_the_log_of_a_table_format_is_refused(tmp_path: Path, kind: str) -> None:
    """Files that the log has removed must not count: the format is named, at any depth."""
    table = tmp_path / "lake" / "table"
    data = _data(table / "data" / "day=1" / "a.parquet")
    marker = table / _MARKERS[kind]
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text("{}")

    for path in (table, tmp_path / "lake"):
        with pytest.raises(DataError, match=f"a table of {kind}"):
            read_input(path)
    if kind in ("Delta Lake", "Apache Hudi", "Spark structured streaming", "Apache Iceberg"):
        for path in (table / "data", data):
            with pytest.raises(DataError, match=f"a table of {kind}"):
                read_input(path)


@given(st.integers(0, 2**32))
def test_entries_found_are_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """In any folder that is accepted, the counts reconcile and every visible row is there."""
    rng, folder = random.Random(seed), tmp_path_factory.mktemp("folder")  # noqa: S311  no secrets
    expected, passed_over = [], 0
    for number in range(rng.randint(1, 6)):
        name = rng.choice(("{}.parquet", "{}.PQ", "_{}.parquet", ".{}.crc", "README{}.md", "d/{}"))
        path = _data(folder / name.format(number), number)
        is_data = not path.name.startswith(("_", ".")) and path.suffix != ".md"
        expected += [number] if is_data else []
        passed_over += not is_data
    if not expected:
        expected = [99]
        _data(folder / "z.parquet", 99)

    found = read_input(folder)

    assert sorted(found.table["a"].to_pylist()) == sorted(expected)
    entries = found.entries
    assert (entries.num_read, entries.num_passed_over) == (len(expected), passed_over)
    assert entries.num_found == entries.num_read + entries.num_passed_over
