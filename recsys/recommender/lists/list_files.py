"""Ranked lists as Parquet: written as a stream, and audited from the disk.

Shapes: B owners (users, or items that have similar items) of a block, K list length, R rows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.arrays import Float32Array, Int64Array
from recsys.errors import PublishError
from recsys.features.vocabulary import Vocabulary
from recsys.files import PRIVATE_FILE
from recsys.recommender.ranking.ranker import NO_ITEM
from recsys.schema import ITEM_ID, RANK, SCORE, recommendations_schema

SIMILAR_ITEM_ID = "similar_item_id"
"""An item that is like the one in `ITEM_ID`."""

_ROW_GROUP_ROWS = 1 << 19
"""Rows collected for a row group; only these and one block are in memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankedLists:
    """Lists of some owners, the best item first."""

    owner_ids: pa.Array
    """Ids of users, or of the items that others are similar to. Shape (B,)."""
    items: Int64Array
    """Item numbers, `NO_ITEM` at the end of a list that is short. Shape (B, K)."""
    scores: Float32Array
    """Their scores. Shape (B, K)."""
    sources: pa.Array | None = None
    """What each list was made from, for lists of users. Strings, shape (B,)."""


@dataclass(frozen=True, kw_only=True)
class ListsSummary:
    """What was written."""

    num_lists: int
    """Owners in all blocks."""
    num_rows: int
    """Rows in the file."""
    num_short_lists: int
    """Owners with fewer than k items, because no more were eligible; the empty ones included."""
    num_empty_lists: int
    """Owners with no item at all; they have no row in the file."""
    lists_by_source: dict[str, int] = field(default_factory=dict)
    """Owners by what their list was made from."""
    duration_s: float
    """Seconds from the first block to the closed file, the making of the lists included."""

    @property
    def lists_per_s(self) -> float:
        """Speed of making and writing the lists."""
        return self.num_lists / self.duration_s


def similar_items_schema(item_id_type: pa.DataType) -> pa.Schema:
    """Schema of similar items, one row an item and rank; no column is nullable."""
    return pa.schema(
        [
            pa.field(ITEM_ID, item_id_type, nullable=False),
            pa.field(SIMILAR_ITEM_ID, item_id_type, nullable=False),
            pa.field(RANK, pa.int32(), nullable=False),
            pa.field(SCORE, pa.float32(), nullable=False),
        ]
    )


def write_recommendations(
    path: Path,
    lists: Iterable[RankedLists],
    *,
    user_id_type: pa.DataType,
    item_ids: Vocabulary,
) -> ListsSummary:
    """Write lists of users: user_id, item_id, rank, score, source.

    Memory holds one block and one row group, whatever the number of users.

    Args:
        path: A new file.
        lists: Blocks of lists with sources, e.g. from `recommend`; each user in one of them.
        user_id_type: Type of the user ids.
        item_ids: Ids of the items.

    Raises:
        PublishError: The file exists or the disk refuses. No part of the file is left, whatever
            the error is.
    """
    return _write(path, lists, recommendations_schema(user_id_type, item_ids.terms.type), item_ids)


def lists_table(
    lists: Iterable[RankedLists], *, user_id_type: pa.DataType, item_ids: Vocabulary
) -> pa.Table:
    """Lists of users as one table in memory: user_id, item_id, rank, score, source."""
    return _table(lists, recommendations_schema(user_id_type, item_ids.terms.type), item_ids)


def similar_items_table(lists: Iterable[RankedLists], *, item_ids: Vocabulary) -> pa.Table:
    """Lists of items as one table in memory: item_id, similar_item_id, rank, score."""
    return _table(lists, similar_items_schema(item_ids.terms.type), item_ids)


def write_similar_items(
    path: Path, lists: Iterable[RankedLists], *, item_ids: Vocabulary
) -> ListsSummary:
    """Write lists of items: item_id, similar_item_id, rank, score. See `write_recommendations`."""
    return _write(path, lists, similar_items_schema(item_ids.terms.type), item_ids)


def _write(
    path: Path, blocks: Iterable[RankedLists], schema: pa.Schema, item_ids: Vocabulary
) -> ListsSummary:
    started = time.perf_counter()
    counts: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    with _new_parquet(path, schema) as writer:
        held: list[pa.Table] = []
        for block in blocks:
            held.append(_rows(block, schema, item_ids))
            _count(block, counts, sources)
            if sum(table.num_rows for table in held) >= _ROW_GROUP_ROWS:
                _write_rows(path, writer, held)
                held = []
        _write_rows(path, writer, held)
    return ListsSummary(
        num_lists=counts["lists"],
        num_rows=counts["rows"],
        num_short_lists=counts["short"],
        num_empty_lists=counts["empty"],
        lists_by_source=dict(sorted(sources.items())),
        duration_s=time.perf_counter() - started,
    )


def _table(blocks: Iterable[RankedLists], schema: pa.Schema, item_ids: Vocabulary) -> pa.Table:
    tables = [_rows(block, schema, item_ids) for block in blocks]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _rows(block: RankedLists, schema: pa.Schema, item_ids: Vocabulary) -> pa.Table:
    """The rows of a block; places without an item have none."""
    filled_BK = block.items != NO_ITEM
    owners, places = np.nonzero(filled_BK)
    owners_R = pa.array(owners)
    columns = [
        block.owner_ids.take(owners_R),
        item_ids.lookup(block.items[filled_BK]),
        pa.array(places + 1, type=pa.int32()),
        pa.array(block.scores[filled_BK], type=pa.float32()),
    ]
    if block.sources is not None:
        columns.append(block.sources.take(owners_R))
    return pa.table(columns, schema=schema)


def _count(block: RankedLists, counts: Counter[str], sources: Counter[str]) -> None:
    num_items_B = (block.items != NO_ITEM).sum(axis=1)
    counts["lists"] += len(num_items_B)
    counts["rows"] += int(num_items_B.sum())
    counts["short"] += int(np.count_nonzero(num_items_B < block.items.shape[1]))
    counts["empty"] += int(np.count_nonzero(num_items_B == 0))
    if block.sources is not None:
        for entry in pc.value_counts(block.sources).to_pylist():
            sources[entry["values"]] += entry["counts"]


def _write_rows(path: Path, writer: pq.ParquetWriter, tables: list[pa.Table]) -> None:
    if tables:
        with _disk_errors(path):
            writer.write_table(pa.concat_tables(tables), row_group_size=_ROW_GROUP_ROWS)


@contextmanager
def _new_parquet(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer of a new file; the file is gone if anything fails, also in the block."""
    with _disk_errors(path):
        path.touch(PRIVATE_FILE, exist_ok=False)
    try:
        with _disk_errors(path):
            writer = pq.ParquetWriter(
                path,
                schema,
                compression="zstd",
                use_dictionary=[name for name in schema.names if name != SCORE],
                write_page_checksum=True,
            )
        try:
            yield writer
        except BaseException:
            with suppress(Exception):  # closing writes a footer, which may fail again
                writer.close()
            raise
        with _disk_errors(path):
            writer.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system into one line that names the path."""
    try:
        yield
    except OSError as error:
        raise PublishError(
            f"{path}: expected to write a new file, got: {error.strerror or error};"
            " make room or choose another place"
        ) from error
