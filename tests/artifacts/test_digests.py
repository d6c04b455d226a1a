"""Laws of table digests: the content counts, and only the content."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recsys.artifacts.digests
from recsys.artifacts import digest_table
from recsys.errors import DataError

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "score": pa.float32(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "name": pa.string(),
        "key": pa.large_binary(),
        "price": pa.decimal128(6, 2),
        "genres": pa.list_(pa.string()),
        "vector": pa.list_(pa.float32(), 2),
        "nested": pa.struct({"x": pa.int8(), "y": pa.large_string()}),
        "nothing": pa.null(),
    }
)
ROWS = st.fixed_dictionaries(
    {
        "id": st.none() | st.integers(-(2**63), 2**63 - 1),
        "score": st.none() | st.floats(width=32, allow_nan=False),
        "flag": st.none() | st.booleans(),
        "time": st.none() | st.integers(0, 2**40),
        "name": st.none() | st.text("ab", max_size=3),
        "key": st.none() | st.binary(max_size=3),
        "price": st.none() | st.decimals(0, 99, places=2),
        "genres": st.none() | st.lists(st.none() | st.text("ab", max_size=2), max_size=2),
        "vector": st.none() | st.lists(st.none() | st.just(0.5), min_size=2, max_size=2),
        "nested": st.none()
        | st.fixed_dictionaries({"x": st.none() | st.just(1), "y": st.text("a")}),
        "nothing": st.none(),
    }
)


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    """A table of every supported sort of column."""
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def recut(table: pa.Table, cuts: list[int]) -> pa.Table:
    """The same rows in other chunks, each a slice of a longer array."""
    bounds = [0, *sorted(cut % (table.num_rows + 1) for cut in cuts), table.num_rows]
    around = pa.concat_tables([table, table, table]).combine_chunks()
    pieces = [around.slice(table.num_rows + start, end - start) for start, end in pairwise(bounds)]
    return pa.concat_tables(pieces)


@given(rows=st.lists(ROWS, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_chunks_and_slices_do_not_count(rows: list[dict[str, object]], cuts: list[int]) -> None:
    """The same rows have the same digest, however they lie in memory."""
    table = table_of(rows)

    assert digest_table(table) == digest_table(recut(table, cuts))


@given(first=st.lists(ROWS, max_size=5), second=st.lists(ROWS, max_size=5))
def test_digests_agree_exactly_when_the_rows_do(
    first: list[dict[str, object]], second: list[dict[str, object]]
) -> None:
    """Digests are equal for equal tables and differ for others."""
    tables = table_of(first), table_of(second)
    equal = first == second and repr(first) == repr(second)  # 0.0 and -0.0 differ by their bits

    assert equal == (digest_table(tables[0]) == digest_table(tables[1]))


def test_windows_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of a column longer than a window is that of its rows, chunked or not."""
    monkeypatch.setattr(recsys.artifacts.digests, "_PIECE_ROWS", 4)
    table = pa.table({"id": pa.array([*range(10), None], pa.int64())})
    changed = pa.table({"id": pa.array([*range(9), 0, None], pa.int64())})

    assert digest_table(table) == digest_table(recut(table, [1, 5, 6]))
    assert digest_table(table) != digest_table(changed)


def test_bytes_in_null_slots_do_not_count() -> None:
    """What lies in memory where a value is missing is chance."""
    valid = pa.py_buffer(b"\x01")
    first, second = (
        pa.Array.from_buffers(
            pa.int32(), 2, [valid, pa.array([7, hidden], pa.int32()).buffers()[1]]
        )
        for hidden in (1, 2)
    )

    assert digest_table(pa.table({"a": first})) == digest_table(pa.table({"a": second}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1]}, {"a": ["1"]}),
        ({"a": ["ab", "c"]}, {"a": ["a", "bc"]}),
        ({"a": [None, ""]}, {"a": ["", None]}),
        ({"a": [0.0]}, {"a": [-0.0]}),
        ({"a": [[1], [2]]}, {"a": [[1, 2], []]}),
        ({"a": ["x"], "b": ["x"]}, {"b": ["x"], "a": ["x"]}),
        ({"a": pa.array([1], pa.int32())}, {"a": pa.array([1], pa.int64())}),
        ({"a": pa.array([], pa.int64())}, {"a": pa.array([], pa.string())}),
    ],
    ids=[
        "order of rows",
        "names",
        "integers and texts",
        "ends of texts",
        "nulls and empty texts",
        "signs of zeros",
        "ends of lists",
        "order of columns",
        "widths of integers",
        "types of empty columns",
    ],
)
def test_tables_that_look_alike_differ(first: dict[str, object], second: dict[str, object]) -> None:
    """Order, names, types, borders of strings and lists, and places of nulls count."""
    assert digest_table(pa.table(first)) != digest_table(pa.table(second))


def test_dictionary_encoding_does_not_count() -> None:
    """A dictionary-encoded column has the digest of its values, whatever its dictionaries."""
    plain = pa.chunked_array([["b", None, "a"], ["c", "a"]])
    encoded = pa.chunked_array([chunk.dictionary_encode() for chunk in plain.chunks])

    assert digest_table(pa.table({"a": plain})) == digest_table(pa.table({"a": encoded}))


def test_unsupported_types_are_refused() -> None:
    """A type whose content is not understood is named instead of being digested by chance."""
    column = pa.array([[("key", 1)]], pa.map_(pa.string(), pa.int64()))

    with pytest.raises(DataError, match="got map"):
        digest_table(pa.table({"a": column}))
