"""Files to a `Dataset`: read, rename to the standard names, settle the types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.columns.feature_columns import feature_column, number_column, term_column
from recsys.datasets.columns.ids import id_column
from recsys.datasets.columns.text import first_row
from recsys.datasets.columns.times import time_column
from recsys.datasets.dataset import (
    ColumnsConfig,
    DataConfig,
    Dataset,
    FeatureConfig,
    FeaturesConfig,
    TableName,
    find_origin,
)
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_filters import parsed_filters
from recsys.datasets.reading.tables import Note, TableReader, read_input
from recsys.errors import ConfigError
from recsys.schema import EVENT_TIME, EVENT_TYPE, ITEM_ID, SPLIT, TITLE, USER_ID, WEIGHT

Converter = Callable[[pa.ChunkedArray, Origin], pa.ChunkedArray]
"""A column as the file has it, and where it came from, to the column in its standard type."""


def load_dataset(
    data: DataConfig,
    columns: ColumnsConfig | None = None,
    features: FeaturesConfig | None = None,
    *,
    note: Note | None = None,
    read: TableReader | None = None,
) -> Dataset:
    """Read the tables, rename their columns to the standard names and settle their types.

    Ids stay exact. Checks of values (null ids of interactions, numbers that are not finite, times
    in the future) are left to `recsys.datasets.checks.validation`.

    Args:
        data: Where the tables are.
        columns: The user's names of the standard columns; the standard names when None.
        features: The features to read; none when None.
        note: Told of each table that is read.
        read: What reads tables in place of files, such as frames in memory.

    Raises:
        ConfigError: Features of a table that is not given.
        DataError: A file that cannot be read, a missing column, a column of the wrong type, ids
            of different types in two tables, or user or item ids that are null or repeated.
    """
    columns = columns or ColumnsConfig()
    features = features or FeaturesConfig()
    reader = _Reader(data=data, columns=columns, features=features, note=note, read_as=read)
    interactions, num_left_out = _read_interactions(reader)
    dataset = Dataset(
        interactions=interactions,
        users=_read_side("users", data.users, reader),
        items=_read_side("items", data.items, reader),
        data=data,
        columns=columns,
        features=features,
        num_left_out=num_left_out,
    )
    _check_keys(dataset, "users", USER_ID)
    _check_keys(dataset, "items", ITEM_ID)
    return dataset


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What is needed to read any of the tables."""

    data: DataConfig
    columns: ColumnsConfig
    features: FeaturesConfig
    note: Note | None
    read_as: TableReader | None

    def read(
        self,
        table: TableName,
        path: Path,
        converters: dict[str, Converter],
        optional: list[str],
    ) -> tuple[pa.Table, int]:
        """The columns that `converters` names, under these names, each in its standard type.

        Returns:
            The table, and how many rows a row filter left out.
        """
        origins = {
            name: find_origin(table, name, self.data, self.columns, self.features)
            for name in converters
        }
        found = read_input(
            path,
            columns=[origins[name].column for name in converters if name not in optional],
            optional=[origins[name].column for name in optional],
            delimiter=self.data.csv.delimiter,
            where=parsed_filters(self.data.where).get(table),
            read=self.read_as,
        )
        if self.note is not None:
            self.note(table, found)
        return settled(found.table, converters, origins), found.num_filtered


def settled(
    raw: pa.Table, converters: Mapping[str, Converter], origins: Mapping[str, Origin]
) -> pa.Table:
    """Columns of a table as its files, or a program, hold them, in their standard types.

    Args:
        raw: The table, by its own names of columns.
        converters: How to read each column, by its standard name.
        origins: Where each came from; one that `raw` does not have is left out.
    """
    present = {name: origins[name].column for name in converters}
    present = {name: own for name, own in present.items() if own in raw.column_names}
    # Without rows a type says nothing: it is what a writer guessed that saw none.
    empty = None if raw.num_rows else pa.chunked_array([pa.nulls(0)])
    return pa.table(
        {
            name: converters[name](raw[own] if empty is None else empty, origins[name])
            for name, own in present.items()
        }
    )


def _read_interactions(reader: _Reader) -> tuple[pa.Table, dict[str, int]]:
    """Interactions, and how many rows of the file are left out by reason."""
    data, columns = reader.data, reader.columns
    converters: dict[str, Converter] = {
        USER_ID: partial(id_column, text_type=data.csv.user_id_type),
        ITEM_ID: partial(id_column, text_type=data.csv.item_id_type),
        EVENT_TIME: partial(
            time_column,
            zone=columns.event_time_zone,
            unit=columns.event_time_unit,
            ambiguous=columns.ambiguous_times,
        ),
        WEIGHT: number_column,
        EVENT_TYPE: _text_column,
        SPLIT: _text_column,
    }
    named = {name: convert for name, convert in converters.items() if getattr(columns, name)}
    optional = [EVENT_TIME] if columns.event_time == EVENT_TIME else []
    table, num_filtered = reader.read("interactions", data.interactions, named, optional)
    num_left_out = {"filtered": num_filtered} if data.where.get("interactions") else {}
    if columns.event_types is not None:
        origin = find_origin("interactions", EVENT_TYPE, data, columns, reader.features)
        kept = _with_event_types(table, columns.event_types, origin)
        num_left_out["other_event_type"] = table.num_rows - kept.num_rows
        table = kept
    return table, num_left_out


def _read_side(side: TableName, path: Path | None, reader: _Reader) -> pa.Table | None:
    """The users or the items table, or None when its path is not given."""
    data = reader.data
    declared: dict[str, FeatureConfig] = getattr(reader.features, side)
    if path is None:
        if declared:
            raise ConfigError(
                f"features.{side}: expected the path data.{side} beside it, got none; "
                "add the path or remove the features"
            )
        return None
    key = USER_ID if side == "users" else ITEM_ID
    text_type = data.csv.user_id_type if side == "users" else data.csv.item_id_type
    converters: dict[str, Converter] = {key: partial(id_column, text_type=text_type)}
    for name, feature in declared.items():
        converters[name] = partial(feature_column, kind=feature.kind, separator=feature.separator)
    optional = [TITLE] if side == "items" and data.item_title else []
    converters.update(dict.fromkeys(optional, _text_column))
    return reader.read(side, path, converters, optional)[0]


def _text_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    return term_column(column, origin).cast(pa.string())


def _with_event_types(table: pa.Table, kept: tuple[str, ...], origin: Origin) -> pa.Table:
    """The rows whose event type is one of those to keep."""
    result = table.filter(pc.is_in(table[EVENT_TYPE], pa.array(kept, pa.string())))
    if table.num_rows > 0 and result.num_rows == 0:
        raise origin.refusal(
            expected=f"rows with the event types {', '.join(kept)}",
            got=f"none of them among {pc.count_distinct(table[EVENT_TYPE]).as_py():,} others in "
            f"{table.num_rows:,} rows",
            remedy="correct [columns] event_types, which is compared letter by letter",
        )
    return result


def _check_keys(dataset: Dataset, side: TableName, key: str) -> None:
    """Refuse a users or items table whose ids are of another type, null or repeated."""
    table: pa.Table | None = getattr(dataset, side)
    if table is None:
        return
    if not table.num_rows or not dataset.interactions.num_rows:
        return
    ids, origin = table[key], dataset.origin(side, key)
    expected_type = dataset.interactions.schema.field(key).type
    if ids.type != expected_type:
        raise origin.refusal(
            expected=f"{expected_type} ids, as in {dataset.origin('interactions', key).file}",
            got=str(ids.type),
            remedy='1 and "1" do not match: write both columns with the same type',
        )
    if ids.null_count:
        raise origin.refusal(
            expected="an id in every row",
            got=f"{ids.null_count} nulls in {len(ids)} rows",
            remedy="remove the rows or fill in their ids",
        )
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise origin.refusal(
            expected="one row an id",
            got=f"{len(repeated)} ids in several rows, "
            f"{first_row(pc.is_in(ids, repeated.field('values')))}",
            remedy="keep one row of each",
        )
