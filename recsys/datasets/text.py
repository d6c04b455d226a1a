"""Text to values, for CSV: what is not written plainly is refused, never guessed."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.origin import Origin

_CANONICAL_INTEGER = r"^(0|-?[1-9][0-9]*)$"


def integers_from_text(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Text to int64 where the text is exactly how Python would print the integer; nulls stay.

    Raises:
        DataError: Text such as "007", "+5", "1.0" or a number beyond 64 bits.
    """
    plain = pc.match_substring_regex(column, _CANONICAL_INTEGER)
    if not pc.all(plain, min_count=0).as_py():
        strange = column.filter(pc.invert(plain))
        raise origin.refusal(
            expected="integers as int64 prints them",
            got=f"{len(strange)} values such as {strange[0].as_py()!r}",
            remedy='read the column as strings (type "string"), or write plain integers',
        )
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise origin.refusal(
            expected="integers of at most 64 bits",
            got=offending_text(error),
            remedy='read the column as strings (type "string")',
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
            got=offending_text(error),
            remedy="leave a missing value empty and write numbers without units or separators",
        ) from error


def lists_from_text(column: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Text with a separator to list<string>; the empty string is the empty list, nulls stay."""
    lists = pc.split_pattern(column, separator).cast(pa.list_(pa.string()))
    nothing = pa.scalar([], type=lists.type)
    return pc.if_else(pc.equal(column, ""), nothing, lists)


def offending_text(error: pa.ArrowInvalid) -> str:
    """The value that Arrow could not parse, from its message."""
    found = re.search(r"string: ?('.*?') as a scalar", str(error), re.DOTALL)
    return found.group(1) if found else str(error)
