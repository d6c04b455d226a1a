"""Feature columns by kind: one Arrow type in memory for each, whatever the file holds.

    categorical   string or int64
    multi_hot     list<string> or list<int64>
    numeric       float32
    dense         fixed_size_list<float32, num_dims>

Types are settled here; validation checks whether values are finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.columns.common_types import is_list
from recsys.datasets.columns.ids import plain_column, widened
from recsys.datasets.columns.text import lists_from_text, numbers_from_text
from recsys.datasets.origin import Origin

FeatureKind = Literal["categorical", "multi_hot", "numeric", "dense"]
"""What a feature column means to a model."""


def feature_column(
    column: pa.ChunkedArray, origin: Origin, *, kind: FeatureKind, separator: str | None = None
) -> pa.ChunkedArray:
    """A column in the one type of its kind; nulls stay.

    Args:
        column: Values as they are in the file.
        origin: Where they come from.
        kind: What the column means.
        separator: What separates the terms or numbers of a list, if it is written as text.

    Raises:
        DataError: A column whose type does not fit the kind, or vectors of different lengths.
    """
    values = plain_column(column)
    if kind == "categorical":
        return term_column(values, origin)
    if kind == "numeric":
        return number_column(values, origin)
    if separator is not None and pa.types.is_string(values.type):
        values, origin = lists_from_text(values, separator), replace(origin, is_text=True)
    if pa.types.is_null(values.type):
        values = values.cast(pa.list_(pa.string() if kind == "multi_hot" else pa.float32()))
    if not is_list(values.type):
        raise origin.refusal(
            expected=f"lists, as the feature is {kind}",
            got=str(values.type),
            remedy='write a list column, or set separator = "|" if the text is separated so',
        )
    return _multi_hot(values, origin) if kind == "multi_hot" else _dense(values, origin)


def term_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Terms as string or int64; booleans become "true" and "false".

    Raises:
        DataError: Values of another type.
    """
    values = plain_column(column)
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.string())
    if pa.types.is_integer(values.type):
        return widened(values, origin)
    if not pa.types.is_string(values.type):
        other_kind = " or give the feature another kind," if "features" in origin.setting else ""
        raise origin.refusal(
            expected="text, integers or booleans",
            got=str(values.type),
            remedy=f"write the column as one of these,{other_kind} or {origin.remapping}",
        )
    return values


def number_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Numbers as float32; what float32 cannot hold becomes infinite.

    Raises:
        DataError: Values of another type, or CSV text that is no number.
    """
    column = plain_column(column)
    if pa.types.is_string(column.type) and origin.is_text:
        column = numbers_from_text(column, origin)
    if not _is_number(column.type):
        other_kind = " or make the feature categorical," if "features" in origin.setting else ""
        raise origin.refusal(
            expected="numbers: integers, floats or decimals",
            got=str(column.type),
            remedy=f"write the column as one of these,{other_kind} or {origin.remapping}",
        )
    # Integers beyond 2^24 lose digits in float32, which for a feature is no fault.
    return column.cast(pa.float64(), safe=False).cast(pa.float32())


def _multi_hot(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    return _map_lists(column, lambda terms: term_column(terms, origin))


def _dense(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    vectors = _map_lists(column, lambda numbers: number_column(plain_column(numbers), origin))
    lengths = pc.min_max(pc.list_value_length(vectors)).as_py()
    if lengths["min"] != lengths["max"]:
        raise origin.refusal(
            expected="vectors of one length",
            got=f"lengths from {lengths['min']} to {lengths['max']}",
            remedy="write every vector with the same number of values, or null",
        )
    num_dims = lengths["max"] or _declared_size(column.type)
    if not num_dims and len(column) > 0:
        raise origin.refusal(
            expected="at least one vector",
            got="only nulls or empty lists",
            remedy="fill the column or drop the feature",
        )
    return vectors.cast(pa.list_(pa.float32(), num_dims))


def _map_lists(
    column: pa.ChunkedArray, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> pa.ChunkedArray:
    """A column of list<T> made by converting the values of all lists to T, chunk by chunk."""
    chunks = column.chunks or [pa.array([], column.type)]
    return pa.chunked_array([_map_chunk(chunk, convert) for chunk in chunks])


def _map_chunk(
    lists: pa.Array, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> pa.ListArray:
    values = convert(pa.chunked_array([lists.flatten()]))  # the values of null lists left out
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    return pa.ListArray.from_arrays(
        pa.array(offsets), values.combine_chunks(), mask=lists.is_null()
    )


def _declared_size(found: pa.DataType) -> int:
    return int(found.list_size) if pa.types.is_fixed_size_list(found) else 0


def _is_number(found: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(found) for test in tests)
