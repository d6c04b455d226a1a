"""Id columns: int64 or string, exact, never cast from one to the other."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.origin import Origin
from recsys.datasets.text import first_row, integers_from_text
from recsys.errors import DataError

IdType = Literal["string", "int64"]
"""How the ids of a CSV file are read; files of other kinds carry their types."""

_LARGEST = pa.scalar(2**63 - 1, pa.uint64())


def id_column(
    column: pa.ChunkedArray, origin: Origin, *, text_type: IdType = "string"
) -> pa.ChunkedArray:
    """Ids as int64 (from any integer width) or string (from any string encoding); nulls stay.

    Args:
        column: Ids as they are in the file.
        origin: Where they come from.
        text_type: What the text of a CSV file stands for.

    Raises:
        DataError: Ids of another type, integers beyond int64, or CSV text that is no plain integer.
    """
    values = plain_column(column)
    if pa.types.is_integer(values.type):
        return widened(values, origin)
    if not pa.types.is_string(values.type):
        raise _wrong_type(values.type, origin)
    if origin.is_text and text_type == "int64":
        return integers_from_text(values, origin)
    return values


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values without their encoding: dictionary, extension, large and view string types."""
    if isinstance(column.type, pa.BaseExtensionType):
        return plain_column(column.cast(column.type.storage_type))
    if pa.types.is_dictionary(column.type):
        return plain_column(column.cast(column.type.value_type))
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column


def widened(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Integers of any width as int64.

    Raises:
        DataError: An unsigned integer of 2^63 or more.
    """
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected="integers below 2^63",
            got=f"{column.type} beyond that, {first_row(pc.greater(column, _LARGEST))}",
            remedy="write the column as strings",
        ) from error


def _wrong_type(found: pa.DataType, origin: Origin) -> DataError:
    if pa.types.is_floating(found):
        remedy = "a null may have turned the integers into floats: write them as int64 or string"
    elif pa.types.is_decimal(found):
        remedy = "write whole numbers as int64, other keys as string"
    elif pa.types.is_null(found):
        remedy = "the column holds nothing but nulls: fill it or map another column"
    else:
        remedy = "write the column as int64 or string, or map another column in the config"
    return origin.refusal(expected="ids of type int64 or string", got=str(found), remedy=remedy)
