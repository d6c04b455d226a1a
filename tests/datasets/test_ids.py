"""Ids: exact from end to end, or refused."""

from __future__ import annotations

import decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.columns.ids import id_column
from recsys.datasets.origin import Origin
from recsys.errors import DataError

PARQUET = Origin(file="log.parquet", column="user")
CSV = Origin(file="log.csv", column="user", is_text=True)

integer_types = st.sampled_from(
    [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]
)
string_types = st.sampled_from([pa.string(), pa.large_string(), pa.string_view()])
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(integer_types, st.lists(st.none() | st.integers(-100, 100)))
def test_integers_of_any_width_keep_their_value(
    width: pa.DataType, values: list[int | None]
) -> None:
    """Ids widen to int64; a null stays a null and makes no float of the others."""
    signed = pa.types.is_signed_integer(width)
    values = [value if value is None or signed else abs(value) for value in values]

    ids = id_column(pa.chunked_array([pa.array(values, width)]), PARQUET)

    assert ids.type == pa.int64()
    assert ids.to_pylist() == values


@given(string_types, st.lists(st.none() | texts), st.booleans())
def test_text_in_any_encoding_keeps_its_characters(
    encoding: pa.DataType, values: list[str | None], dictionary: bool
) -> None:
    """Ids come out as string, whether large, viewed or dictionary-encoded in the file."""
    array = pa.array(values, pa.string() if dictionary else encoding)

    ids = id_column(pa.chunked_array([array.dictionary_encode() if dictionary else array]), PARQUET)

    assert ids.type == pa.string()
    assert ids.to_pylist() == values


def test_integers_beyond_int64_are_refused() -> None:
    """An unsigned id of 2^63 does not wrap around."""
    assert id_column(pa.chunked_array([pa.array([2**63 - 1], pa.uint64())]), PARQUET).to_pylist()
    with pytest.raises(DataError, match="got uint64 beyond that, the first in row 1; write"):
        id_column(pa.chunked_array([pa.array([2**63], pa.uint64())]), PARQUET)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (pa.array([1.0, None]), "a null may have turned the integers into floats"),
        (pa.array([True]), "write the column as int64 or string"),
        (pa.array([decimal.Decimal("1.5")]), "these have a fraction"),
        (pa.array([b"a"]), "write the column as int64 or string"),
        (pa.nulls(2), "the column holds nothing but nulls"),
    ],
)
def test_ids_of_other_types_are_refused(values: pa.Array, remedy: str) -> None:
    """The refusal names the user's file and column, the type found and what to do."""
    with pytest.raises(DataError) as caught:
        id_column(pa.chunked_array([values]), PARQUET)

    assert str(caught.value).startswith("log.parquet: column 'user': expected ids of type int64 or")
    assert caught.value.got == str(values.type)
    assert caught.value.remedy.startswith(remedy)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_csv_text_that_is_a_plain_integer_becomes_it(values: list[int | None]) -> None:
    """Reading as int64 and printing again gives the text of the file."""
    text = [None if value is None else str(value) for value in values]

    ids = id_column(pa.chunked_array([pa.array(text, pa.string())]), CSV, text_type="int64")

    assert ids.type == pa.int64()
    assert ids.to_pylist() == values


@pytest.mark.parametrize("text", ["007", "+5", "1.0", "-0", " 1", "1e3", "", "x", "\uff11"])
def test_csv_text_that_is_no_plain_integer_is_refused(text: str) -> None:
    """Text that int64 would not give back is not read as int64, but well as a string."""
    column = pa.chunked_array([pa.array(["1", text])])

    assert id_column(column, CSV).to_pylist() == ["1", text]
    with pytest.raises(DataError) as caught:
        id_column(column, CSV, text_type="int64")
    assert caught.value.got == "1 others, the first in row 2"


def test_csv_integers_of_more_than_64_bits_are_refused() -> None:
    """Overflow is named, not wrapped."""
    with pytest.raises(DataError, match="at most 64 bits, got a larger one in row 1"):
        id_column(pa.chunked_array([["9223372036854775808"]]), CSV, text_type="int64")


def test_parquet_text_stays_text_whatever_csv_is_read_as() -> None:
    """The setting for CSV does not touch files that carry their types."""
    column = pa.chunked_array([["1"]])

    assert id_column(column, PARQUET, text_type="int64").to_pylist() == ["1"]
