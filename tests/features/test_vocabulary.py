"""Vocabularies: a dictionary as oracle, round trips, and types that never mix."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.features.vocabulary import UNKNOWN, Vocabulary

INTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
COLUMNS = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-3, 3), INTS), max_size=30).map(
        lambda values: pa.array(values, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.sampled_from(["", "1", "01", "é", "a"]), TEXTS)).map(
        lambda values: pa.array(values, pa.string())
    ),
)


@given(column=COLUMNS, min_count=st.integers(1, 3))
def test_terms_are_the_frequent_values_in_ascending_order(column: pa.Array, min_count: int) -> None:
    """Terms are the values that a counter counts often enough, each once, sorted, of one type."""
    counts = Counter(value for value in column.to_pylist() if value is not None)
    frequent = [value for value, count in counts.items() if count >= min_count]
    vocabulary = Vocabulary.fit(column, min_count=min_count)
    # Arrow orders text by its bytes.
    key = str.encode if pa.types.is_string(column.type) else None
    assert vocabulary.terms.to_pylist() == sorted(frequent, key=key)
    assert vocabulary.terms.type == column.type
    assert len(vocabulary) == len(frequent)


@given(column=COLUMNS, others=COLUMNS, min_count=st.integers(1, 3))
def test_numbers_are_positions_and_unknown_is_minus_one(
    column: pa.Array, others: pa.Array, min_count: int
) -> None:
    """A known term has its position as number; nulls and all other terms have -1."""
    vocabulary = Vocabulary.fit(column, min_count=min_count)
    position = {term: number for number, term in enumerate(vocabulary.terms.to_pylist())}
    asked = column if others.type != column.type else pa.concat_arrays([column, others])
    expected = [position.get(term, UNKNOWN) for term in asked.to_pylist()]
    numbers = vocabulary.numbers(asked)
    assert numbers.tolist() == expected
    assert numbers.dtype == np.int64


@given(column=COLUMNS)
def test_looking_up_numbers_gives_the_terms_back(column: pa.Array) -> None:
    """Terms to numbers to terms is the identity for every non-null value of the fitted column."""
    vocabulary = Vocabulary.fit(column)
    values = column.drop_null()
    assert vocabulary.lookup(vocabulary.numbers(values)).equals(values)


@given(column=COLUMNS, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_chunks_and_dictionaries_do_not_matter(column: pa.Array, cuts: list[int]) -> None:
    """However a column is cut or encoded, its terms and numbers are those of the plain array."""
    bounds = sorted({0, len(column), *(min(cut, len(column)) for cut in cuts)})
    pieces = [column[low:high] for low, high in itertools.pairwise(bounds)]
    chunked = pa.chunked_array(pieces, type=column.type)
    plain = Vocabulary.fit(column)
    for variant in (chunked, column.dictionary_encode(), chunked.dictionary_encode()):
        assert Vocabulary.fit(variant).terms.equals(plain.terms)
        assert plain.numbers(variant).tolist() == plain.numbers(column).tolist()


@pytest.mark.parametrize(
    ("fitted", "asked"),
    [
        (pa.array([1, 2]), pa.array(["1", "2"])),
        (pa.array(["1", "2"]), pa.array([1, 2])),
        (pa.array([1, 2]), pa.array([1, 2], pa.int32())),
    ],
    ids=["text for int64", "int64 for text", "int32 for int64"],
)
def test_terms_of_another_type_are_refused(fitted: pa.Array, asked: pa.Array) -> None:
    """`1` and `"1"` never match: asking in another type is an error, not a column of unknowns."""
    with pytest.raises(DataError, match=f"expected terms of type {fitted.type}.*got {asked.type}"):
        Vocabulary.fit(fitted).numbers(asked)


@pytest.mark.parametrize(
    "column", [pa.array([1.0]), pa.array([True]), pa.nulls(2)], ids=lambda column: str(column.type)
)
def test_only_integers_and_text_are_terms(column: pa.Array) -> None:
    """Floats, which would turn ids into roundings of them, are refused, as are other types."""
    with pytest.raises(DataError, match="expected terms of type int64 or string"):
        Vocabulary.fit(column)


def test_leading_zeros_stay() -> None:
    """Text that looks like a number is text: "007" and "7" are two terms."""
    vocabulary = Vocabulary.fit(pa.array(["7", "007"]))
    assert vocabulary.lookup(np.array([1, 0])).to_pylist() == ["7", "007"]
