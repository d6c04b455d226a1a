"""Id columns: int64 or string, exact, never cast from one to the other."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.columns.text import first_row, integers_from_text
from recsys.datasets.origin import Origin
from recsys.errors import DataError

IdType = Literal["string", "int64"]
"""How the ids of a CSV file are read; files of other kinds carry their types."""

_LARGEST = pa.scalar(2**63 - 1, pa.uint64())


def id_column(
    column: pa.ChunkedArray, origin: Origin, *, text_type: IdType = "string"
) -> pa.ChunkedArray:
    """Ids as int64 (from any integer width) or string (from any encoding, UUID or whole decimal).

    Nulls stay.

    Args:
        column: Ids as they are in the file.
        origin: Where they come from.
        text_type: What the text of a CSV file stands for.

    Raises:
        DataError: Ids of another type, integers beyond int64, or CSV text that is no plain integer.
    """
    values = _keys_as_text(column)
    if pa.types.is_integer(values.type):
        return widened(values, origin)
    if not len(values):  # whatever the type: a writer that saw no row guessed it
        return pa.chunked_array([], pa.int64() if text_type == "int64" else pa.string())
    if not pa.types.is_string(values.type):
        raise _wrong_type(values.type, origin)
    if not origin.is_text:
        return values
    _check_no_line_break(values, origin)
    return integers_from_text(values, origin) if text_type == "int64" else values


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values without their encoding: dictionary, extension, large and view string types."""
    if isinstance(column.type, pa.BaseExtensionType):
        return plain_column(column.cast(column.type.storage_type))
    if pa.types.is_dictionary(column.type):
        if pa.types.is_string_view(column.type.value_type):  # which Arrow does not decode
            chunks = [one.dictionary.cast(pa.string()).take(one.indices) for one in column.chunks]
            return pa.chunked_array(chunks, pa.string())
        return plain_column(column.cast(column.type.value_type))
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column


def _keys_as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids without their encoding; UUIDs and whole decimals, which have one text each, as text."""
    if column.type == pa.uuid():
        return _uuid_text(column)
    values = plain_column(column)
    if pa.types.is_decimal(values.type) and values.type.scale == 0:
        return values.cast(pa.string())
    return values


def _uuid_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """UUIDs as their usual text of 36 characters."""
    chunks = []
    for chunk in column.chunks:
        stored = chunk.storage
        raw = b"".join(one or bytes(16) for one in stored.to_pylist())
        nibbles = np.frombuffer(raw.hex().encode(), "S1").reshape(-1, 32)
        dashes = np.full((len(nibbles), 1), b"-", "S1")
        parts = [nibbles[:, a:b] for a, b in itertools.pairwise((0, 8, 12, 16, 20, 32))]
        between = [one for part in parts for one in (part, dashes)][:-1]
        texts = np.ascontiguousarray(np.concatenate(between, axis=1)).view("S36").ravel()
        text = pa.array(texts.astype("U36"), pa.string())
        chunks.append(pc.if_else(stored.is_valid(), text, pa.scalar(None, pa.string())))
    return pa.chunked_array(chunks, pa.string())


def _check_no_line_break(ids: pa.ChunkedArray, origin: Origin) -> None:
    """Refuse ids of a CSV file with a line break: a stray quote has swallowed the rows between."""
    breaks = pc.match_substring_regex(ids, r"[\r\n]")
    num_breaks = pc.sum(breaks).as_py() or 0
    if num_breaks:
        raise origin.refusal(
            expected="ids without line breaks",
            got=f"{num_breaks} with one, {first_row(breaks)}; a stray quote swallows the rows up "
            "to the next one",
            remedy="write the file again with a CSV writer, quotes in fields doubled",
        )


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
        remedy = "these have a fraction: write whole numbers as int64, other keys as string"
    elif pa.types.is_null(found):
        remedy = f"the column holds nothing but nulls: fill it or {origin.remapping}"
    else:
        remedy = f"write the column as int64 or string, or {origin.remapping}"
    return origin.refusal(expected="ids of type int64 or string", got=str(found), remedy=remedy)
