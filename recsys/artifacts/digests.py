"""A digest of a table's content that does not depend on how the table lies in memory."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.errors import DataError

_PIECE_ROWS = 1 << 20  # bounds the memory for a column that lies in many chunks
_OFFSET_TYPES = {
    pa.string(): np.int32,
    pa.binary(): np.int32,
    pa.large_string(): np.int64,
    pa.large_binary(): np.int64,
}


def digest_table(table: pa.Table) -> str:
    """SHA-256 of the names, types and values of all columns and of the order of the rows.

    Tables that hold the same rows have the same digest, however they are cut into chunks, sliced
    or dictionary-encoded. Numbers count by their bits: 0.0 and -0.0 differ.

    Args:
        table: Columns of numbers, booleans, times, strings, bytes, and of lists or structs of them.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: A column of another type.
    """
    columns = [[field.name, str(_value_type(field.type))] for field in table.schema]
    digest = hashlib.sha256(json.dumps([table.num_rows, columns]).encode())
    for column in table.columns:
        values = column.cast(_value_type(column.type))
        for start in range(0, len(values), _PIECE_ROWS):
            _update(digest, values.slice(start, _PIECE_ROWS).combine_chunks())
    return digest.hexdigest()


def _value_type(column_type: pa.DataType) -> pa.DataType:
    return column_type.value_type if pa.types.is_dictionary(column_type) else column_type


def _update(digest: hashlib._Hash, array: pa.Array) -> None:
    """Add which entries are null and the values of the others; null slots hold arbitrary bytes."""
    digest.update(np.array([len(array), array.null_count]).tobytes())
    if array.null_count:
        digest.update(np.packbits(_numpy(array.is_valid())).tobytes())
        array = array.drop_null()
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(_numpy(array.value_lengths().cast(pa.int64())).tobytes())
        _update(digest, array.flatten())
    elif pa.types.is_fixed_size_list(kind):
        _update(digest, array.flatten())
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            _update(digest, child)
    else:
        _update_flat(digest, array)


def _update_flat(digest: hashlib._Hash, array: pa.Array) -> None:
    """Add the values of an array that has no nulls and no children."""
    kind = array.type
    if pa.types.is_null(kind) or not len(array):
        return
    buffers, first, last = array.buffers(), array.offset, array.offset + len(array)
    if pa.types.is_boolean(kind):
        digest.update(np.packbits(_numpy(array)).tobytes())
    elif kind in _OFFSET_TYPES:
        offsets = np.frombuffer(buffers[1], dtype=_OFFSET_TYPES[kind])[first : last + 1]
        digest.update(np.diff(offsets).astype(np.int64).tobytes())
        digest.update(memoryview(buffers[2] or b"")[offsets[0] : offsets[-1]])
    elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        width = kind.bit_width // 8
        digest.update(memoryview(buffers[1])[first * width : last * width])
    else:
        raise DataError(
            file="digest",
            expected="numbers, booleans, times, strings, bytes, lists or structs",
            got=str(kind),
            remedy="cast or drop the column",
        )


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    return np.asarray(array.to_numpy(zero_copy_only=False))
