"""Vocabularies: the one mapping between external terms (ids, categories) and dense numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int64Array, IntArray
from recsys.errors import DataError

UNKNOWN = -1
"""The number of a term that is missing (null) or not in the vocabulary."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Distinct terms in a fixed order; the position of a term is its number.

    Terms keep their type: the int64 term `1` and the string term `"1"` never match.

    Args:
        terms: Distinct, non-null terms of type int64 or string. Shape (num_terms,).

    Examples:
        >>> vocabulary = Vocabulary.fit(pa.array(["b", "a", "b", None]))
        >>> vocabulary.numbers(pa.array(["b", "c", None])).tolist()
        [1, -1, -1]
    """

    terms: pa.Array

    def __post_init__(self) -> None:
        if not (pa.types.is_int64(self.terms.type) or pa.types.is_string(self.terms.type)):
            raise DataError(
                file="vocabulary",
                expected="terms of type int64 or string",
                got=str(self.terms.type),
                remedy="convert the column before fitting",
            )

    @classmethod
    def fit(cls, column: pa.Array | pa.ChunkedArray, *, min_count: int = 1) -> Vocabulary:
        """Collect the non-null terms that occur at least `min_count` times, in ascending order."""
        counts = pc.value_counts(pc.drop_null(_as_array(column)))
        terms, occurrences = counts.field("values"), counts.field("counts")
        kept = pc.filter(terms, pc.greater_equal(occurrences, min_count))
        return cls(pc.take(kept, pc.sort_indices(kept)))

    def __len__(self) -> int:
        return len(self.terms)

    def numbers(self, column: pa.Array | pa.ChunkedArray) -> Int64Array:
        """Numbers of the terms in a column; `UNKNOWN` for nulls and for terms of no number.

        Args:
            column: Shape (N,).

        Returns:
            Shape (N,).

        Raises:
            DataError: The column has another type than the terms.
        """
        values = _as_array(column)
        if not len(values):  # nothing to number, whatever its type
            return np.empty(0, np.int64)
        if values.type != self.terms.type:
            raise DataError(
                file="vocabulary",
                expected=f"terms of type {self.terms.type}, as it was fitted on",
                got=str(values.type),
                remedy="use the same id type in every table",
            )
        positions = pc.index_in(values, value_set=self.terms, skip_nulls=True)
        return np.asarray(pc.fill_null(positions, UNKNOWN), dtype=np.int64)

    def lookup(self, numbers: IntArray) -> pa.Array:
        """Terms at the given numbers, each in [0, len(self)). Shape (len(numbers),)."""
        return self.terms.take(pa.array(numbers, type=pa.int64()))


def _as_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array; dictionary-encoded columns are decoded."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        array = pa.array([], type=column.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
