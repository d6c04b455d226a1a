"""Text to values, for CSV: ambiguous text is refused, never guessed.

A message names the row, counted from 1 without the header, and not the value: the value may be an
id, or from a column that was mapped by mistake, and messages reach logs.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.columns.common_types import is_list, is_text
from recsys.datasets.origin import Origin

_AS_STRINGS = 'read the column as strings (type "string")'
_CANONICAL_INTEGER = r"^(0|-?[1-9][0-9]*)$"


def check_utf8(column: pa.ChunkedArray, origin: Origin) -> None:
    """Refuse text that is not UTF-8, in whatever encoding or list it stands: no reader can show it.

    Raises:
        DataError: Some bytes are not UTF-8.
    """
    start = 0
    for chunk in column.chunks:
        if not _is_utf8(chunk):
            row = start + _first_not_utf8(chunk) + 1
            raise origin.refusal(
                expected="text in UTF-8",
                got=f"bytes that are not, the first in row {row:,}",
                remedy="save the table as UTF-8; names in Latin-1 or Windows-1252 are what most "
                "often is not",
            )
        start += len(chunk)


def _is_utf8(values: pa.Array) -> bool:
    found = values.type
    if isinstance(values, pa.ExtensionArray):
        return _is_utf8(values.storage)
    if pa.types.is_dictionary(found):
        return _is_utf8(values.dictionary)
    if is_list(found):
        return _is_utf8(values.flatten())
    if not is_text(found):
        return True
    try:
        values.cast(pa.large_string()).cast(pa.large_binary()).cast(pa.large_string())
    except (pa.ArrowInvalid, UnicodeError):
        return False
    return True


def _first_not_utf8(values: pa.Array) -> int:
    """Place of the first value with bytes that are not UTF-8, from 0."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        if _is_utf8(values.slice(start, middle - start)):
            start = middle
        else:
            end = middle
    return start


def integers_from_text(
    column: pa.ChunkedArray, origin: Origin, *, what: str = ""
) -> pa.ChunkedArray:
    """Text to int64 where the text is exactly how Python would print the integer; nulls stay.

    Args:
        column: The text.
        origin: Where it comes from.
        what: What the integers are, where they are no ids.

    Raises:
        DataError: Text such as "007", "+5", "1.0" or a number beyond 64 bits.
    """
    plain = pc.match_substring_regex(column, _CANONICAL_INTEGER)
    if not pc.all(plain, min_count=0).as_py():
        strange = column.filter(pc.invert(plain))
        raise origin.refusal(
            expected=what or "integers as int64 prints them",
            got=f"{len(strange)} others, {first_row(pc.invert(plain))}",
            remedy=origin.remapping if what else _AS_STRINGS + ", or write plain integers",
        )
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected="integers of at most 64 bits",
            got=f"a larger one in row {unreadable_row(column, pa.int64()):,}",
            remedy=origin.remapping if what else _AS_STRINGS,
        ) from error


def numbers_from_text(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Decimal text to float64; nulls stay.

    Raises:
        DataError: Text that is not a number.
    """
    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected="numbers with a decimal point",
            got=f"other text, the first in row {unreadable_row(column, pa.float64()):,}",
            remedy="leave a missing value empty and write numbers without units or separators",
        ) from error


def lists_from_text(column: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Text with a separator to list<string>; the empty string is the empty list, nulls stay."""
    lists = pc.split_pattern(column, separator).cast(pa.list_(pa.string()))
    nothing = pa.scalar([], type=lists.type)
    return pc.if_else(pc.equal(column, ""), nothing, lists)


def first_row(is_meant: pa.ChunkedArray) -> str:
    """The first row that is meant, for a message."""
    return f"the first in row {pc.index(is_meant, True).as_py() + 1:,}"


def unreadable_row(column: pa.ChunkedArray, target: pa.DataType) -> int:
    """Number of the first row whose text cannot be cast, from 1; 0 if all can be."""
    start, end = 0, len(column)
    while end - start > 1:
        middle = (start + end) // 2
        if _can_be_cast(column.slice(start, middle - start), target):
            start = middle
        else:
            end = middle
    return 0 if _can_be_cast(column.slice(start, 1), target) else start + 1


def _can_be_cast(column: pa.ChunkedArray, target: pa.DataType) -> bool:
    try:
        column.cast(target)
    except pa.ArrowInvalid:
        return False
    return True
