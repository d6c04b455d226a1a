"""A common type for a column that files of a folder hold in several types, if no value changes.

Two writers, or two versions of one, may write the same column as string and large_string, plain and
as a dictionary, in microseconds and nanoseconds, in UTC and another zone. No value differs in
meaning, so they are read as one. Text and numbers, or times with and without a zone, do differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from recsys.datasets.columns.wide_times import in_microseconds


def common_type(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """The one type that holds the values of all; None where there is none."""
    plain = [_plain(one) for one in dict.fromkeys(types)]
    plain = [one for one in dict.fromkeys(plain) if not pt.is_null(one)]
    if len(plain) <= 1:
        return plain[0] if plain else pa.null()
    if all(pt.is_timestamp(one) or pt.is_date(one) for one in plain):
        return _common_time(plain)
    if all(is_list(one) for one in plain):
        values = common_type([one.value_type for one in plain])
        return None if values is None else pa.list_(values)
    if all(pt.is_integer(one) for one in plain):
        return pa.int64()
    numbers = (pt.is_integer, pt.is_floating, pt.is_decimal)
    if all(any(test(one) for test in numbers) for one in plain):
        return _common_number(plain)
    return None


def cast_exactly(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """A column in its common type.

    Raises:
        pyarrow.ArrowInvalid: A value that the type cannot hold.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pt.is_timestamp(target) and not column.type.equals(target):
        column = in_microseconds(column)
    return column if column.type.equals(target) else column.cast(target)


def is_list(found: pa.DataType) -> bool:
    """Whether a type is a list of any kind."""
    tests = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view,
             pt.is_large_list_view)  # fmt: skip
    return any(test(found) for test in tests)


def is_text(found: pa.DataType) -> bool:
    """Whether a type is text in any encoding but a dictionary."""
    return bool(pt.is_string(found) or pt.is_large_string(found) or pt.is_string_view(found))


def _plain(found: pa.DataType) -> pa.DataType:
    """A type without its encoding."""
    if pt.is_dictionary(found):
        return _plain(found.value_type)
    return pa.string() if is_text(found) else found


def _common_time(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """Microseconds: in UTC where all have a zone, local where none has."""
    zoned = {pt.is_timestamp(one) and one.tz is not None for one in types}
    if len(zoned) > 1:
        return None
    return pa.timestamp("us", tz="UTC" if zoned == {True} else None)


def _common_number(types: Sequence[pa.DataType]) -> pa.DataType | None:
    if any(pt.is_floating(one) for one in types):
        return None if any(pt.is_decimal(one) for one in types) else pa.float64()
    schemas = [pa.schema([("number", one)]) for one in types]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None
