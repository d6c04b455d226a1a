"""Files to Arrow tables: Parquet (file, folder, Hive partitions) and CSV, without guessing.

A CSV file holds text, so all of its columns are strings here; code that knows what a column means
converts it. The same holds for the keys of Hive partitions: `region=01` stays `"01"`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from recsys.datasets.columns.text import check_utf8
from recsys.datasets.origin import Origin
from recsys.datasets.reading.contents import is_csv
from recsys.datasets.reading.csv_files import read_csv
from recsys.datasets.reading.folders import Entries
from recsys.datasets.reading.parquet_files import read_parquet
from recsys.datasets.reading.row_filters import RowFilter

__all__ = ["InputTable", "Note", "TableReader", "is_csv", "read_input", "read_table"]


@dataclass(frozen=True, kw_only=True, eq=False)
class InputTable:
    """A table as its files hold it, with what became of their entries and rows.

    Args:
        table: The columns under the names that were asked for.
        entries: What the path held.
        num_filtered: Rows that a row filter left out.
        has_filter: Whether there was one.
    """

    table: pa.Table
    entries: Entries = field(default_factory=Entries)
    num_filtered: int = 0
    has_filter: bool = False


class TableReader(Protocol):
    """Reads columns of a table that lies elsewhere than in files."""

    def __call__(
        self,
        path: Path,
        *,
        columns: Sequence[str] | None = None,
        optional: Sequence[str] = (),
        delimiter: str = ",",
    ) -> pa.Table:
        """The columns of the table that a path names."""


Note = Callable[[str, InputTable], None]
"""Told of every table that is read: its role, and what was found."""


def read_table(
    path: Path | str,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    delimiter: str = ",",
) -> pa.Table:
    """Read a Parquet file, a folder of Parquet files (Hive partitions included) or a CSV file.

    Rows keep the order of the file, files the order of their names. In CSV an empty field is null
    and a quoted empty field the empty string; no other text (NA, null, nan) is special.

    Args:
        path: The file or folder.
        columns: Columns to read; all when None.
        optional: Columns to read as well where they are present.
        delimiter: Separator of a CSV file.

    Raises:
        DataError: No such path, no data files, a file that cannot be read, an entry of a folder
            that is neither data nor named as none, a column that is missing, types of the files of
            a folder that do not go together, or text that is not UTF-8.
    """
    return read_input(path, columns=columns, optional=optional, delimiter=delimiter).table


def read_input(
    path: Path | str,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    delimiter: str = ",",
    where: RowFilter | None = None,
    read: TableReader | None = None,
) -> InputTable:
    """Read a table as `read_table` does, keep the rows of a filter, and report what was found.

    Args:
        path: The file or folder.
        columns: Columns to read; all when None.
        optional: Columns to read as well where they are present.
        delimiter: Separator of a CSV file.
        where: Which rows to keep; all when None.
        read: What reads the table in place of files, such as frames in memory.

    Raises:
        DataError: As `read_table`; also a filter that does not fit the columns.
    """
    location = Path(path)
    origin = Origin(file=str(path), is_text=is_csv(location))
    asked = columns
    if where is not None and columns is not None:
        asked = list(dict.fromkeys([*columns, *where.columns]))
    if read is None:
        table, entries = _read_files(location, origin, asked, optional, delimiter)
    else:
        table = read(location, columns=asked, optional=optional, delimiter=delimiter)
        entries = Entries()
    for name in table.column_names:
        check_utf8(table[name], replace(origin, column=name))
    if where is None:
        return InputTable(table=table, entries=entries)
    kept = where.apply(table, origin)
    if columns is not None:
        extra = [name for name in where.columns if name not in (*columns, *optional)]
        kept = kept.drop_columns(extra)
    filtered = table.num_rows - kept.num_rows
    return InputTable(table=kept, entries=entries, num_filtered=filtered, has_filter=True)


def _read_files(
    location: Path,
    origin: Origin,
    columns: Sequence[str] | None,
    optional: Sequence[str],
    delimiter: str,
) -> tuple[pa.Table, Entries]:
    """The columns of a file or folder, and what the path held."""
    if not (location.is_file() or location.is_dir()):
        raise origin.refusal(
            expected="a Parquet file or folder, or a CSV file",
            got="neither a file nor a folder" if location.exists() else "no such path",
            remedy="check the path",
        )
    if location.is_file() and origin.is_text:
        return read_csv(location, origin, columns, optional, delimiter), Entries()
    return read_parquet(location, origin, columns, optional)
