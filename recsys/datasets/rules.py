"""Tables of ids that jobs read beside the data: deny lists, eligible items, users to score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from recsys.datasets.dataset import ColumnsConfig, CsvConfig
from recsys.datasets.ids import id_column
from recsys.datasets.origin import Origin
from recsys.datasets.tables import TableReader, is_csv, read_table
from recsys.schema import ITEM_ID, USER_ID


def load_ids(
    path: Path,
    names: Sequence[str],
    *,
    columns: ColumnsConfig,
    csv: CsvConfig,
    read: TableReader = read_table,
) -> pa.Table:
    """Read id columns, exact, under their standard names.

    Args:
        path: A Parquet file, a folder of them, or a CSV file.
        names: Standard names of the columns: user_id, item_id.
        columns: The user's names of them.
        csv: How CSV files are read.
        read: How the table is read; from files by default.

    Raises:
        DataError: The file cannot be read, lacks a column, or holds ids of another type.
    """
    types = {USER_ID: csv.user_id_type, ITEM_ID: csv.item_id_type}
    theirs = [getattr(columns, name) for name in names]
    table = read(path, columns=theirs, delimiter=csv.delimiter)
    arrays = [
        id_column(
            table[column],
            Origin(file=str(path), column=column, is_text=is_csv(path)),
            text_type=types[name],
        )
        for name, column in zip(names, theirs, strict=True)
    ]
    return pa.table(arrays, names=list(names))
