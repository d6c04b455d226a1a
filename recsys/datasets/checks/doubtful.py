"""What is accepted and may still be a mistake: ids that look the same, rows that may be told twice.

Nothing is changed: only a person knows whether `a1` and `a1 ` are one customer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.checks.cleaning import has_times_of_day
from recsys.datasets.dataset import Dataset, TableName
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

_WHITE_SPACE = r"[\s\p{Z}]+"


def doubts(dataset: Dataset, *, num_repeated_rows: int) -> Iterator[str]:
    """Warnings, each one line that names the file and no value.

    Args:
        dataset: Checked tables.
        num_repeated_rows: Interactions that repeat an earlier one in every column.
    """
    columns: dict[TableName, tuple[str, ...]] = {
        "interactions": (USER_ID, ITEM_ID), "users": (USER_ID,), "items": (ITEM_ID,)
    }  # fmt: skip
    tables = {
        "interactions": dataset.interactions, "users": dataset.users, "items": dataset.items
    }  # fmt: skip
    for name, ids in columns.items():
        table = tables[name]
        for column in ids if table is not None else ():
            count = num_look_alikes(table[column])
            if count:
                origin = dataset.origin(name, column)
                yield (
                    f"{origin.file}: column {origin.column!r}: {count:,} ids differ from another "
                    "one by white space alone, and count as others; trim them where they are meant "
                    "to be one"
                )
    zone = dataset.columns.event_time_zone or "UTC"
    log = dataset.interactions
    if not num_repeated_rows or EVENT_TIME not in log.column_names:
        return
    if not has_times_of_day(log, zone):
        yield (
            f"{dataset.origin('interactions', '').file}: {num_repeated_rows:,} rows repeat an "
            "earlier one in every column; since times have no time of day, they count as events of "
            "their own; remove them if the export holds rows twice"
        )


def num_look_alikes(ids: pa.ChunkedArray) -> int:
    """How many distinct ids are left over once white space is taken out."""
    if not (pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        return 0
    distinct = pc.unique(ids.drop_null())
    bare = pc.replace_substring_regex(distinct, pattern=_WHITE_SPACE, replacement="")
    return len(distinct) - int(pc.count_distinct(bare).as_py())
