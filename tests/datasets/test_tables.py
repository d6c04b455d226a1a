"""Reading tables: nothing is guessed, nothing is read wrongly, and refusals name the file."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.reading import csv_files, csv_quotes
from recsys.datasets.reading.tables import read_input, read_table
from recsys.errors import DataError

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def _refusal(path: Path, columns: list[str] | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read_table(path, columns=columns)
    assert "\n" not in str(caught.value)
    return caught.value


@given(st.lists(st.tuples(texts, texts), max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_every_text_in_a_csv_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], end: str
) -> None:
    """Zeros, quotes, line breaks, NA and empty strings survive in quoted fields."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=end)
        writer.writerows([("a", "b"), *rows])

    table = read_table(path)

    assert table.schema.types == [pa.string(), pa.string()]
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows


def test_csv_knows_null_from_empty_and_gives_no_text_a_meaning(tmp_path: Path) -> None:
    """An empty field is null, a quoted one the empty string; 007, NA and nan are texts."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n007,\r\n"",NA\r\n1.0,nan\r\n"x ""y"", z",NULL\r\n')

    assert read_table(path).to_pydict() == {
        "a": ["007", "", "1.0", 'x "y", z'],
        "b": [None, "NA", "nan", "NULL"],
    }


def test_line_breaks_in_fields_survive_the_borders_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of many blocks, cut anywhere, reads like a file of one."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + '"x\n\n,""y",1\n' * 100)
    for block_bytes in range(32, 48):
        monkeypatch.setattr(csv_files, "_BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(csv_quotes, "_BLOCK_BYTES", block_bytes)

        assert read_table(path)["a"].to_pylist() == ['x\n\n,"y'] * 100


def test_a_compressed_csv_and_another_delimiter_are_read(tmp_path: Path) -> None:
    """A .csv.gz file reads like the file in it."""
    path = tmp_path / "T.CSV.gz"
    path.write_bytes(gzip.compress(b"a;b\n01;2\n"))

    assert read_table(path, delimiter=";").to_pydict() == {"a": ["01"], "b": ["2"]}


def test_a_csv_with_only_a_header_has_no_rows(tmp_path: Path) -> None:
    """No rows is for validation to judge; reading gives an empty table."""
    (tmp_path / "t.csv").write_text("a,b\n")

    assert read_table(tmp_path / "t.csv").to_pydict() == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file, without a header"),
        (b"a,b\n1,2\n3\n", "1 fields where the header has 2"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "none for the field that begins in line 3"),
        (b'a,b\n"1', "none for the field that begins in line 2"),
        (b"a,b\n\xff,2\n", "column 'a': expected text in UTF-8, .*in row 1"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, got: str) -> None:
    """Empty files, ragged rows, open quotes and foreign encodings are named."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)

    assert _refusal(path).file == str(path)
    with pytest.raises(DataError, match=got):
        read_table(path)


def test_columns_are_picked_and_optional_ones_may_be_absent(tmp_path: Path) -> None:
    """Only what is asked for is read, in that order, from Parquet and CSV alike."""
    pq.write_table(pa.table({"a": [1], "b": [2], "c.d": [3]}), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b,c.d\n1,2,3\n")

    for name in ("t.parquet", "t.csv"):
        table = read_table(tmp_path / name, columns=["c.d", "a"], optional=["a", "x"])
        assert table.column_names == ["c.d", "a"]


def test_a_missing_or_repeated_column_is_refused(tmp_path: Path) -> None:
    """The refusal lists the columns there are and names the nearest."""
    pq.write_table(pa.table({"userId": [1], "item": [2]}), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,a\n1,2\n")

    refusal = _refusal(tmp_path / "t.parquet", ["user_id"])

    assert refusal.column == "user_id"
    assert refusal.got == "none among userId, item"
    assert refusal.remedy.startswith("did you mean 'userId'?")
    assert _refusal(tmp_path / "t.csv", ["a"]).got == "2 among a, a"


def test_a_csv_with_another_delimiter_is_recognised_by_its_refusal(tmp_path: Path) -> None:
    """A header that is one name with a semicolon in it brings the setting, as it must be."""
    (tmp_path / "t.csv").write_text("a;b\n1;2,5\n")

    assert _refusal(tmp_path / "t.csv", ["a"]).remedy == 'set [data.csv] delimiter = ";"'


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    """Hidden files and notes are no data; they are named and counted."""
    pq.write_table(pa.table({"a": [2]}), tmp_path / "part-1.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "part-0.snappy.parquet")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.parquet").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "part-2.parquet").touch()

    found = read_input(tmp_path)

    assert found.table["a"].to_pylist() == [1, 2]
    assert found.entries.to_dict() == {
        "found": 6,
        "read": 2,
        "passed_over": 4,
        "such_as": [".part-0.parquet", "README.md", "_SUCCESS", "_temporary"],
    }


def test_hive_keys_are_columns_of_text(tmp_path: Path) -> None:
    """Leading zeros of a partition key survive, and so do nulls and escaped characters."""
    for folder, value in (("day=01/r=a%20b", 1), ("day=__HIVE_DEFAULT_PARTITION__/r=c", 2)):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(pa.table({"a": [value]}), tmp_path / folder / "0.parquet")

    table = read_table(tmp_path, columns=["a", "day", "r"])

    assert table.to_pydict() == {"a": [1, 2], "day": ["01", None], "r": ["a b", "c"]}
    assert table.schema.field("day").type == pa.string()


def test_a_hive_key_that_the_files_hold_too_is_read_from_them(tmp_path: Path) -> None:
    """Writers that keep the key in the files give it its own type."""
    (tmp_path / "day=1").mkdir()
    pq.write_table(pa.table({"a": [5], "day": [1]}), tmp_path / "day=1" / "0.parquet")

    assert read_table(tmp_path).to_pydict() == {"a": [5], "day": [1]}


def test_files_of_different_partition_depth_are_refused(tmp_path: Path) -> None:
    """A stray file beside the partitions is not taken for data without a key."""
    (tmp_path / "day=1").mkdir()
    for name in ("0.parquet", "day=1/0.parquet"):
        pq.write_table(pa.table({"a": [5]}), tmp_path / name)

    assert "() and (day)" in str(_refusal(tmp_path))


def test_a_folder_of_files_whose_types_differ_is_refused(tmp_path: Path) -> None:
    """No value changes its meaning to fit another file; a file of nulls fits any."""
    pq.write_table(pa.table({"a": pa.nulls(1)}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    assert read_table(tmp_path)["a"].to_pylist() == [None, 1]

    pq.write_table(pa.table({"a": ["1"]}), tmp_path / "2.parquet")
    refusal = _refusal(tmp_path)

    assert refusal.file.endswith("2.parquet")
    assert (refusal.expected, refusal.got) == ("int64, as in the files before it", "string")


def test_a_folder_with_a_file_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    """A column that one file lacks does not turn into nulls."""
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")

    assert read_table(tmp_path, columns=["a"])["a"].to_pylist() == [1, 1]
    assert _refusal(tmp_path, ["b"]).file.endswith("1.parquet")


def test_paths_without_data_are_refused(tmp_path: Path) -> None:
    """A missing path and a folder without Parquet files are told apart."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "t.csv").write_text("a\n1\n")

    assert _refusal(tmp_path / "nowhere").got == "no such path"
    assert _refusal(tmp_path / "empty").got == "none among 0 entries"
    assert "'t.csv'" in _refusal(tmp_path / "csv").got


def test_a_file_that_is_no_parquet_or_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Text, an empty file and every truncation of a good file raise, and nothing else happens."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(100))}), path)
    whole = path.read_bytes()

    for content in (b"", b"a,b\n1,2\n", *(whole[:size] for size in range(0, len(whole), 7))):
        path.write_bytes(content)
        assert _refusal(path).file == str(path)


def test_a_flipped_bit_under_a_page_checksum_is_refused(tmp_path: Path) -> None:
    """Where pages carry checksums these are read, so that damage does not pass for data."""
    path = tmp_path / "t.parquet"
    column = pa.array(range(1000))
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"a": column}), path, **options)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert pq.read_table(path)["a"].to_pylist() != column.to_pylist()  # silently wrong otherwise
    assert "crc" in str(_refusal(path)).lower()
