"""Signs that a stray quote in a CSV file has swallowed rows, in all columns, read or not.

A field that begins with a quote runs to the next quote that ends it, over line breaks if need be.
If a writer did not double the quotes within fields, whole rows become part of one field, and a
reader cannot be sure. There are two signs: text after a closing quote, and a field whose lines look
like the rows around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from recsys.datasets.origin import Origin

_BLOCK_BYTES = 16 * 2**20
_SAMPLE_ROWS = 1000
_MAX_SHAPES = 8
_RUNS = re.compile(rb"[A-Za-z\x80-\xff]+|[0-9]+")
_QUOTED = re.compile(rb'([^"]*+(?:""[^"]*+)*+)"')
_REMEDY = "write the file again with a CSV writer, quotes in fields doubled"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class _Field:
    """A quoted field: its text between the quotes, the byte after them, and where it begins."""

    text: bytes
    next_byte: bytes
    line: int
    is_open: bool = False


def check_quotes(file: IO[bytes], origin: Origin, delimiter: str) -> None:
    """Refuse a CSV file in which a stray quote seems to have swallowed rows.

    Args:
        file: The bytes of the file, uncompressed.
        origin: Its name for the message.
        delimiter: What separates fields.

    Raises:
        DataError: Text after a closing quote, or a field that holds what looks like rows.
    """
    mark = delimiter.encode()
    first = file.read(_BLOCK_BYTES)
    shapes = _Shapes(first, mark)
    ends = {mark, b"\n", b"\r", b""}
    for field in _quoted_fields(first, file, mark):
        if field.is_open:
            raise origin.refusal(
                expected="a closing quote for every opening one",
                got=f"none for the field that begins in line {field.line:,}: such a field runs to "
                "the end of the file, or to the next quote",
                remedy=_REMEDY,
            )
        if field.next_byte not in ends:
            raise origin.refusal(
                expected="nothing between the quote that closes a field and the next delimiter",
                got=f"text there, in the field that begins in line {field.line:,}; what follows a "
                "stray quote is swallowed, rows included",
                remedy=_REMEDY,
            )
        num_rows = shapes.rows_inside(field.text)
        if num_rows:
            raise origin.refusal(
                expected="a closing quote for every opening one",
                got=f"a quoted field from line {field.line:,} on that holds what looks like "
                f"{num_rows:,} rows",
                remedy=f"{_REMEDY}; if the text is meant to hold such "
                "lines, write the table as Parquet",
            )


def _quoted_fields(first: bytes, file: IO[bytes], mark: bytes) -> Iterator[_Field]:
    """Quoted fields that do not end properly in the line where they begin, block by block.

    Most fields do. Taking these out first leaves few to look at, and takes quotes out by pairs, so
    that a stray quote meets the same other stray quote, or none.
    """
    one = re.escape(mark)
    opening = re.compile(rb"[\r\n" + one + rb']"')
    plain = re.compile(
        rb"(?<=[\r\n" + one + rb'])"[^"\r\n]*+(?:""[^"\r\n]*+)*+"(?=[\r\n' + one + rb"])"
    )
    data, line, is_last = b"\n" + first.removeprefix(_BYTE_ORDER_MARK), 0, False
    while not is_last:
        block = file.read(_BLOCK_BYTES)
        data, is_last, done = plain.sub(b"", data + block), not block, 0
        while (start := opening.search(data, done)) is not None:
            field = _QUOTED.match(data, start.end())
            if field is None and (is_last or len(data) > 4 * _BLOCK_BYTES):
                yield _Field(b"", b"", line + data.count(b"\n", done, start.end()), is_open=True)
            if field is None or (field.end() >= len(data) and not is_last):
                break  # the next block says where this field ends
            line += data.count(b"\n", done, start.end())
            yield _Field(field[1], data[field.end() : field.end() + 1], line)
            line += data.count(b"\n", start.end(), field.end())
            done = field.end()
        # What stays begins before a field that is open, or with the last byte, by which the next
        # block is known to begin at the start of a field or not.
        keep = max(done, len(data) - 1) if start is None else start.start()
        line += data.count(b"\n", done, keep)
        data = data[keep:]


class _Shapes:
    """What the fields of each column look like in ordinary rows."""

    def __init__(self, first: bytes, mark: bytes) -> None:
        lines = _LINE_END.split(first.removeprefix(_BYTE_ORDER_MARK), _SAMPLE_ROWS)
        self._mark = mark
        self._width = lines[0].count(mark) + 1
        rows = [line.split(mark) for line in lines[1:-1] if line and b'"' not in line]
        rows = [row for row in rows if len(row) == self._width]
        self._shapes = [{_shape(row[at]) for row in rows} for at in range(self._width)]

    def rows_inside(self, text: bytes) -> int:
        """How many rows a quoted field seems to have swallowed; 0 for a field that is text."""
        lines = _LINE_END.split(text)
        num_breaks = len(lines) - 1
        if (
            not num_breaks
            or self._width < 2
            or text.count(self._mark) != num_breaks * (self._width - 1)
        ):
            return 0
        # The field stands in the column that the marks on its first line leave over.
        head, tail = lines[0].split(self._mark), lines[-1].split(self._mark)
        column = self._width - len(head)
        rows = [line.split(self._mark) for line in lines[1:-1]]
        if len(tail) != column + 1 or any(len(row) != self._width for row in rows):
            return 0
        cells = [(at, tail[at]) for at in range(column)]
        cells += [(column + at, head[at]) for at in range(1, len(head))]
        cells += [(at, cell) for row in rows[:_SAMPLE_ROWS] for at, cell in enumerate(row)]
        scored = [_shape(cell) in self._shapes[at] for at, cell in cells if self._is_regular(at)]
        return num_breaks if all(scored) and (scored or rows) else 0

    def _is_regular(self, column: int) -> bool:
        """Whether the fields of a column all look much alike, as ids, times and numbers do."""
        return 0 < len(self._shapes[column]) <= _MAX_SHAPES


def _shape(field: bytes) -> bytes:
    """A field with every run of letters as one letter and every number as one digit."""
    return _RUNS.sub(lambda run: b"9" if run[0].isdigit() else b"a", field.strip())
