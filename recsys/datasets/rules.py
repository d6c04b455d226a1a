"""Tables of ids that jobs read beside the data: deny lists, eligible items, users to score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from recsys.datasets.columns.ids import id_column
from recsys.datasets.dataset import ColumnsConfig, CsvConfig
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_filters import parsed_filters
from recsys.datasets.reading.tables import Note, TableReader, is_csv, read_input
from recsys.schema import ITEM_ID, USER_ID


def load_ids(
    path: Path,
    names: Sequence[str],
    *,
    columns: ColumnsConfig,
    csv: CsvConfig,
    role: str = "",
    where: Mapping[str, str] | None = None,
    note: Note | None = None,
    read: TableReader | None = None,
) -> pa.Table:
    """Read id columns, exact, under their standard names.

    Args:
        path: A Parquet file, a folder of them, or a CSV file.
        names: Standard names of the columns: user_id, item_id.
        columns: The user's names of them.
        csv: How CSV files are read.
        role: What the table is: `deny` or `eligible`.
        where: Row filters by role.
        note: Told of the table that is read.
        read: What reads the table in place of files, such as frames in memory.

    Raises:
        DataError: The file cannot be read, lacks a column, or holds ids of another type.
    """
    types = {USER_ID: csv.user_id_type, ITEM_ID: csv.item_id_type}
    theirs = [getattr(columns, name) for name in names]
    row_filter = parsed_filters(where or {}).get(role)
    found = read_input(path, columns=theirs, delimiter=csv.delimiter, where=row_filter, read=read)
    if note is not None:
        note(role, found)
    table = found.table
    arrays = [
        id_column(
            table[column],
            Origin(
                file=str(path), column=column, is_text=is_csv(path), setting=f"[columns] {name}"
            ),
            text_type=types[name],
        )
        for name, column in zip(names, theirs, strict=True)
    ]
    return pa.table(arrays, names=list(names))
