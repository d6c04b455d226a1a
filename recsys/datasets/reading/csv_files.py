"""CSV files to Arrow tables of text."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as pa_csv

from recsys.datasets.origin import Origin
from recsys.datasets.reading.contents import check_is_csv
from recsys.datasets.reading.csv_quotes import check_quotes
from recsys.datasets.reading.selecting import select_columns
from recsys.errors import DataError

_CSV_END = "\x1fend of file\x1f"  # no text of a real file
_BLOCK_BYTES = 16 * 2**20  # a row must fit into one block
_HEAD_BYTES = 4096
_OTHER_DELIMITERS = ";\t|,"
_LINE_END = re.compile(rb"[\r\n]+")
_ROW_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
_KIND = "a readable CSV file in UTF-8, with a header and as many fields in every row"


def read_csv(
    path: Path,
    origin: Origin,
    columns: Sequence[str] | None,
    optional: Sequence[str],
    delimiter: str,
) -> pa.Table:
    """The columns of a CSV file as text, under the requested names.

    An empty field is null and a quoted empty field the empty string.

    Raises:
        DataError: A file that is not CSV, whose quotes have swallowed rows, or that lacks a column.
    """
    reading = pa_csv.ReadOptions(block_size=_BLOCK_BYTES)
    parsing = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        _check_bytes(path, origin, delimiter)
        with _opened(path) as file, pa_csv.open_csv(file, reading, parsing) as reader:
            names = reader.schema.names
        wanted = select_columns(names, columns, optional, origin)
        conversion = pa_csv.ConvertOptions(
            include_columns=list(dict.fromkeys(wanted.values())),
            column_types=dict.fromkeys(wanted.values(), pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,  # done for all tables alike, where the row can be named
        )
        last_row = "\n" + delimiter.join([_CSV_END] * len(names))
        with _opened(path, then=last_row.encode()) as file:
            table = pa_csv.read_csv(file, reading, parsing, conversion)
    except (pa.ArrowException, OSError, UnicodeError, EOFError, zlib.error) as error:
        raise _unreadable(error, origin) from error
    table = _without_last_row(table, origin)
    return pa.table([table[name] for name in wanted.values()], names=list(wanted))


def _check_bytes(path: Path, origin: Origin, delimiter: str) -> None:
    """Refuse other formats, and quotes that have swallowed rows."""
    with _raw(path) as file:
        head = file.read(_HEAD_BYTES)
    check_is_csv(path, head, origin)
    _check_delimiter(_LINE_END.split(head, maxsplit=1)[0], delimiter, origin)
    with _raw(path) as file:
        check_quotes(file, origin, delimiter)


def _raw(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _opened(path: Path, then: bytes = b"") -> pa.TransformInputStream:
    """The uncompressed bytes of a file, followed by the bytes `then`."""
    compression = "gzip" if path.name.lower().endswith(".gz") else None
    rest = iter([then])
    return pa.TransformInputStream(
        pa.input_stream(str(path), compression=compression),
        lambda block: block if len(block) else next(rest, b""),
    )


def _check_delimiter(header: bytes, delimiter: str, origin: Origin) -> None:
    """Refuse a header of one name that contains a usual delimiter."""
    others = [mark for mark in _OTHER_DELIMITERS if mark.encode() in header]
    if others and delimiter.encode() not in header:
        shown = others[0].replace("\t", "\\t")
        raise origin.refusal(
            expected=f"fields separated by {delimiter!r}, as [data.csv] delimiter says",
            got=f"a header without it and with {others[0]!r}",
            remedy=f'set [data.csv] delimiter = "{shown}"',
        )


def _without_last_row(table: pa.Table, origin: Origin) -> pa.Table:
    """The table without the marker row at the end, which an unclosed quote would swallow."""
    num_rows = table.num_rows - 1
    if num_rows < 0 or table.column(0)[num_rows].as_py() != _CSV_END:
        raise origin.refusal(
            expected="a closing quote for every opening one",
            got="a quoted field that runs to the end of the file",
            remedy="write the file again with a CSV writer, quotes in fields doubled",
        )
    return table.slice(0, num_rows)


def _unreadable(error: Exception, origin: Origin) -> DataError:
    """What is wrong with a CSV file, without the row that a parser may quote."""
    text, remedy = str(error), "write it again, or check its format and permissions"
    widths = _ROW_WIDTH.search(text)
    if widths is not None:
        row = f" in row {int(widths[1]):,}, the header counted" if widths[1] else ""
        got = f"{widths[3]} fields where the header has {widths[2]}{row}"
        remedy = "write it again, or set [data.csv] delimiter if the fields are separated otherwise"
    elif isinstance(error, UnicodeError):
        got, remedy = "a header that is not UTF-8", "save the file as UTF-8"
    elif isinstance(error, OSError) and error.strerror:
        got = error.strerror
    elif "Empty CSV file" in text:
        got = "an empty file, without a header"
    elif "straddling" in text:
        got = f"a row longer than {_BLOCK_BYTES // 2**20} MiB"
    else:
        got = "a file that cannot be parsed or unpacked"
    return origin.refusal(expected=_KIND, got=got, remedy=remedy)
