"""The contract of written lists, checked on the file itself, row group by row group.

Shapes: R rows of some lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.arrays import BoolArray, Int64Array
from recsys.errors import ArtifactError
from recsys.recommender.lists.list_files import ListsSummary, similar_items_schema
from recsys.schema import ID_TYPES, RANK, SCORE, recommendations_schema


def audit_recommendations(path: Path, *, k: int, summary: ListsSummary) -> None:
    """Read recommendations back and check the contract of the output.

    Each user has one list of consecutive rows with ranks 1, 2, ...; its items are distinct, its
    scores finite and not increasing. Lists have k items, except for the number that the summary
    declares short. Memory holds one row group and the id of each user.

    Args:
        path: The file.
        k: Length of the lists.
        summary: What was declared when the file was written.

    Raises:
        ArtifactError: The first violation, with its row.
    """
    with _read_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        types = _id_types(path, file.schema_arrow)
        _audit(path, file, recommendations_schema(*types), k, summary)


def audit_similar_items(path: Path, *, k: int, summary: ListsSummary) -> None:
    """Read similar items back and check them as `audit_recommendations` does.

    Raises:
        ArtifactError: The first violation, with its row.
    """
    with _read_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        item_type, _ = _id_types(path, file.schema_arrow)
        _audit(path, file, similar_items_schema(item_type), k, summary)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Whole lists: the rows from the first one of a list to the last one of another."""

    rows: pa.Table
    first_row: int
    """Where they start in the file."""


def _audit(
    path: Path, file: pq.ParquetFile, schema: pa.Schema, k: int, summary: ListsSummary
) -> None:
    if not file.schema_arrow.equals(schema):
        raise ArtifactError(
            f"{path}: expected the columns {_columns(schema)}, got {_columns(file.schema_arrow)}"
        )
    owners: list[pa.Array] = []
    lengths: list[Int64Array] = []
    for group in _whole_lists(path, file, k):
        starts_L = _check_rows(path, group, k)
        owners.append(group.rows.column(0).take(pa.array(starts_L)).combine_chunks())
        lengths.append(np.diff(np.append(starts_L, group.rows.num_rows)))
    _check_owners(path, pa.chunked_array(owners, type=schema.field(0).type))
    _check_counts(path, np.concatenate([np.empty(0, np.int64), *lengths]), k, summary)


def _whole_lists(path: Path, file: pq.ParquetFile, k: int) -> Iterator[_Group]:
    """Rows of each row group; a list that continues in the next one is moved there."""
    first_row, carried = 0, file.schema_arrow.empty_table()
    for number in range(file.num_row_groups):
        rows = pa.concat_tables([carried, file.read_row_group(number)])
        starts = np.flatnonzero(rows.column(RANK).to_numpy() == 1)
        cut = int(starts[-1]) if len(starts) else 0
        if rows.num_rows - cut > k:
            raise _offence(path, first_row + cut, f"rank 1 after {k} rows", "a longer list")
        if cut:
            yield _Group(rows=rows.slice(0, cut), first_row=first_row)
        first_row, carried = first_row + cut, rows.slice(cut)
    if carried.num_rows:
        yield _Group(rows=carried, first_row=first_row)


def _check_rows(path: Path, group: _Group, k: int) -> Int64Array:
    """Check each list of a group by itself; returns where the lists start.

    There are no nulls to check: a required column of Parquet cannot hold one.
    """
    rows, first_row = group.rows, group.first_row

    def check(fine_R: BoolArray, expected: str, got: str) -> None:
        if not fine_R.all():
            raise _offence(path, first_row + int(np.argmin(fine_R)), expected, got)

    ranks_R = rows.column(RANK).to_numpy().astype(np.int64)
    scores_R = rows.column(SCORE).to_numpy()
    owners_R, members_R = _codes(rows.column(0)), _codes(rows.column(1))

    starts_R = np.append(True, owners_R[1:] != owners_R[:-1])
    starts_L = np.flatnonzero(starts_R)
    lists_R = np.cumsum(starts_R) - 1
    expected_R = np.arange(len(ranks_R)) - starts_L[lists_R] + 1
    check(ranks_R == expected_R, "ranks 1, 2, ... of each owner", "another rank")
    check(ranks_R <= k, f"ranks up to {k}", "a longer list")
    check(np.isfinite(scores_R), "a finite score", "NaN or infinity")
    falling_R = np.append(True, scores_R[1:] <= scores_R[:-1])
    check(starts_R | falling_R, "scores that do not increase", "a higher one")
    check(_first_occurrence(lists_R, members_R), "distinct items in a list", "an item again")
    return starts_L


def _first_occurrence(lists_R: Int64Array, members_R: Int64Array) -> BoolArray:
    """Which rows hold an item that no earlier row of the list holds."""
    _, firsts = np.unique(lists_R * (members_R.max() + 1) + members_R, return_index=True)
    first_R = np.zeros(len(lists_R), dtype=np.bool_)
    first_R[firsts] = True
    return first_R


def _check_owners(path: Path, owners: pa.ChunkedArray) -> None:
    repeated = len(owners) - pc.count_distinct(owners).as_py()
    if repeated:
        raise ArtifactError(f"{path}: expected one list an owner, got {repeated} further ones")


def _check_counts(path: Path, lengths: Int64Array, k: int, summary: ListsSummary) -> None:
    counts = {
        "rows": (summary.num_rows, int(lengths.sum())),
        "lists": (summary.num_lists - summary.num_empty_lists, len(lengths)),
        f"lists of fewer than {k} items": (
            summary.num_short_lists - summary.num_empty_lists,
            int(np.count_nonzero(lengths < k)),
        ),
    }
    for what, (expected, got) in counts.items():
        if got != expected:
            raise ArtifactError(f"{path}: expected {expected} {what}, got {got}; write it again")


def _codes(column: pa.ChunkedArray) -> Int64Array:
    """Equal numbers for equal ids."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices, dtype=np.int64)


def _id_types(path: Path, schema: pa.Schema) -> tuple[pa.DataType, pa.DataType]:
    types = tuple(schema.types[:2])
    if len(types) != 2 or not set(types) <= set(ID_TYPES):
        raise ArtifactError(f"{path}: expected two id columns first, got {_columns(schema)}")
    return types[0], types[1]


def _columns(schema: pa.Schema) -> str:
    required = ("", " not null")
    return ", ".join(f"{one.name} {one.type}{required[not one.nullable]}" for one in schema)


def _offence(path: Path, row: int, expected: str, got: str) -> ArtifactError:
    return ArtifactError(f"{path}: row {row}: expected {expected}, got {got}; write it again")


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Turn Parquet's errors about missing or damaged files into one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path}: expected readable lists, got: {reason}") from error
