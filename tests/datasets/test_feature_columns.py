"""Feature columns: one type for each kind, values unchanged, other types refused."""

from __future__ import annotations

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.columns.feature_columns import FeatureKind, feature_column
from recsys.datasets.origin import Origin
from recsys.errors import DataError

PARQUET = Origin(file="items.parquet", column="f")
CSV = Origin(file="items.csv", column="f", is_text=True)
VECTORS = pa.list_(pa.float32(), 2)
list_types = st.sampled_from([pa.list_, pa.large_list])


def _feature(
    values: pa.Array, kind: FeatureKind, origin: Origin = PARQUET, separator: str | None = None
) -> pa.ChunkedArray:
    column = feature_column(pa.chunked_array([values]), origin, kind=kind, separator=separator)
    column.validate(full=True)
    return column


def _refusal(values: pa.Array, kind: FeatureKind, origin: Origin = PARQUET) -> str:
    with pytest.raises(DataError) as caught:
        _feature(values, kind, origin)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", None]), pa.array(["a", None])),
        (pa.array(["a", None], pa.large_string()).dictionary_encode(), pa.array(["a", None])),
        (pa.array([1, None], pa.uint8()), pa.array([1, None])),
        (pa.array([True, False, None]), pa.array(["true", "false", None])),
        (pa.nulls(2), pa.nulls(2, pa.string())),
    ],
)
def test_categorical_terms_are_strings_or_int64(values: pa.Array, expected: pa.Array) -> None:
    """Encodings go, booleans get names, nulls stay."""
    assert _feature(values, "categorical").combine_chunks() == expected


@given(list_types, st.lists(st.none() | st.lists(st.none() | st.text("ab"))), st.integers(0, 3))
def test_multi_hot_lists_keep_their_terms(
    list_of: type, values: list[list[str] | None], skipped: int
) -> None:
    """Empty lists, null lists, null terms and sliced columns come out as they went in."""
    array = pa.array(values, list_of(pa.large_string())).slice(skipped)

    column = _feature(array, "multi_hot")

    assert column.type == pa.list_(pa.string())
    assert column.to_pylist() == values[skipped:]


@pytest.mark.parametrize("origin", [CSV, PARQUET])
def test_text_with_a_separator_is_a_list(origin: Origin) -> None:
    """The empty string is the empty list and null is null; a vector can be written so too."""
    terms = _feature(pa.array(["a|b", "", None, "c"]), "multi_hot", origin, "|")
    vectors = _feature(pa.array(["1|2.5", None]), "dense", origin, "|")

    assert terms.to_pylist() == [["a", "b"], [], None, ["c"]]
    assert vectors.to_pylist() == [[1, 2.5], None]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 3], pa.int8()),
        pa.array([1, None, 3], pa.float64()),
        pa.array([decimal.Decimal(1), None, decimal.Decimal(3)]),
    ],
)
def test_numbers_of_any_type_are_float32(values: pa.Array) -> None:
    """Integers, floats and decimals are numeric; nulls stay."""
    column = _feature(values, "numeric")

    assert column.type == pa.float32()
    assert column.to_pylist() == [1, None, 3]


def test_csv_text_is_numeric_where_it_is_a_number() -> None:
    """Empty fields are nulls; other text is refused and shown."""
    assert _feature(pa.array(["1.5", None, "-2e3"]), "numeric", CSV).to_pylist() == [
        1.5,
        None,
        -2e3,
    ]
    assert "got other text, the first in row 1" in _refusal(pa.array(["1,5"]), "numeric", CSV)


def test_large_integers_are_numeric_without_complaint() -> None:
    """A count beyond 2^53 loses digits as a float32, not its place in the run."""
    assert _feature(pa.array([2**60 + 1]), "numeric").to_pylist() == [2.0**60]


@given(
    st.lists(st.none() | st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3)),
    st.sampled_from(
        [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 3)]
    ),
    st.integers(0, 3),
)
def test_vectors_keep_their_values(
    values: list[list[float] | None], found: pa.DataType, skipped: int
) -> None:
    """Lists of equal length become fixed-size lists; null vectors and slices are no matter."""
    values = [*values, [1.0, 2.0, 3.0]]

    column = _feature(pa.array(values, found).slice(skipped), "dense")

    assert column.type in (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 0))
    assert column.to_pylist() == values[skipped:]


def test_tensors_and_chunked_vectors_are_dense() -> None:
    """The tensor extension type and columns in several chunks, or in none, are vectors too."""
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((3, 2), np.float64))
    chunks = pa.chunked_array([[[1.0, 2.0]], [None, [3.0, 4.0]]])
    nothing = pa.chunked_array([], VECTORS)

    assert _feature(tensors, "dense").to_pylist() == [[1, 1]] * 3
    assert feature_column(chunks, PARQUET, kind="dense").to_pylist() == [[1, 2], None, [3, 4]]
    assert feature_column(nothing, PARQUET, kind="dense").type == VECTORS


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (pa.array([1.5]), "categorical", "expected text, integers or booleans, got doub"),
        (pa.array(["a"]), "multi_hot", "expected lists, as the feature is multi_hot, got string"),
        (pa.array([[1.5]]), "multi_hot", "expected text, integers or booleans, got doub"),
        (pa.array(["1"]), "numeric", "expected numbers: integers, floats or decimals, got string"),
        (pa.array([True]), "numeric", "expected numbers: integers, floats or decimals, got bool"),
        (pa.array([1.0]), "dense", "expected lists, as the feature is dense, got double"),
        (pa.array([["1"]]), "dense", "expected numbers: integers, floats or decimals, got string"),
        (pa.array([[1.0], [1.0, 2.0]]), "dense", "vectors of one length, got lengths from 1 to 2"),
        (pa.array([None], pa.list_(pa.float64())), "dense", "expected at least one vector"),
    ],
)
def test_columns_that_do_not_fit_their_kind_are_refused(
    values: pa.Array, kind: FeatureKind, message: str
) -> None:
    """The refusal says what the kind asks for and what the file has."""
    assert message in _refusal(values, kind)
