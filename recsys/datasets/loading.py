"""Files to a `Dataset`: read, rename to the standard names, settle the types."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.dataset import (
    ColumnsConfig,
    DataConfig,
    Dataset,
    FeatureConfig,
    FeaturesConfig,
    TableName,
    find_origin,
)
from recsys.datasets.feature_columns import feature_column, number_column, term_column
from recsys.datasets.ids import id_column
from recsys.datasets.origin import Origin, listing
from recsys.datasets.tables import TableReader, read_table
from recsys.datasets.text import first_row
from recsys.datasets.times import time_column
from recsys.errors import ConfigError
from recsys.schema import EVENT_TIME, EVENT_TYPE, ITEM_ID, SPLIT, TITLE, USER_ID, WEIGHT

Converter = Callable[[pa.ChunkedArray, Origin], pa.ChunkedArray]
"""A column as the file has it, and where it came from, to the column in its standard type."""


def load_dataset(
    data: DataConfig,
    columns: ColumnsConfig | None = None,
    features: FeaturesConfig | None = None,
    *,
    read: TableReader = read_table,
) -> Dataset:
    """Read the tables, rename their columns to the standard names and settle their types.

    Ids stay exact. Checks of values (null ids of interactions, numbers that are not finite, times
    in the future) are left to `recsys.datasets.validation`.

    Args:
        data: Where the tables are.
        columns: The user's names of the standard columns; the standard names when None.
        features: The features to read; none when None.
        read: How a table is read; from files by default.

    Raises:
        ConfigError: Features of a table that is not given.
        DataError: A file that cannot be read, a missing column, a column of the wrong type, ids
            of different types in two tables, or user or item ids that are null or repeated.
    """
    columns = columns or ColumnsConfig()
    features = features or FeaturesConfig()
    dataset = Dataset(
        interactions=_read_interactions(data, columns, features, read),
        users=_read_side("users", data.users, data, columns, features, read=read),
        items=_read_side("items", data.items, data, columns, features, read=read),
        data=data,
        columns=columns,
        features=features,
    )
    _check_keys(dataset, "users", USER_ID)
    _check_keys(dataset, "items", ITEM_ID)
    return dataset


def _read_interactions(
    data: DataConfig, columns: ColumnsConfig, features: FeaturesConfig, read: TableReader
) -> pa.Table:
    converters: dict[str, Converter] = {
        USER_ID: partial(id_column, text_type=data.csv.user_id_type),
        ITEM_ID: partial(id_column, text_type=data.csv.item_id_type),
        EVENT_TIME: partial(
            time_column, zone=columns.event_time_zone, unit=columns.event_time_unit
        ),
        WEIGHT: number_column,
        EVENT_TYPE: _text_column,
        SPLIT: _text_column,
    }
    named = {name: convert for name, convert in converters.items() if getattr(columns, name)}
    optional = [EVENT_TIME] if columns.event_time == EVENT_TIME else []
    origins = {name: find_origin("interactions", name, data, columns, features) for name in named}
    table = _read(data.interactions, named, origins, optional, data.csv.delimiter, read=read)
    if columns.event_types is None:
        return table
    return _with_event_types(table, columns.event_types, origins[EVENT_TYPE])


def _read_side(
    side: TableName,
    path: Path | None,
    data: DataConfig,
    columns: ColumnsConfig,
    features: FeaturesConfig,
    *,
    read: TableReader,
) -> pa.Table | None:
    """The users or the items table, or None when its path is not given."""
    declared: dict[str, FeatureConfig] = getattr(features, side)
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
    origins = {name: find_origin(side, name, data, columns, features) for name in converters}
    return _read(path, converters, origins, optional, data.csv.delimiter, read=read)


def _read(
    path: Path,
    converters: dict[str, Converter],
    origins: dict[str, Origin],
    optional: list[str],
    delimiter: str,
    *,
    read: TableReader,
) -> pa.Table:
    """The columns that `converters` names, under these names, each in its standard type."""
    required = [origins[name].column for name in converters if name not in optional]
    welcome = [origins[name].column for name in optional]
    raw = read(path, columns=required, optional=welcome, delimiter=delimiter)
    present = {name for name in converters if origins[name].column in raw.column_names}
    return pa.table(
        {
            name: convert(raw[origins[name].column], origins[name])
            for name, convert in converters.items()
            if name in present
        }
    )


def _text_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    return term_column(column, origin).cast(pa.string())


def _with_event_types(table: pa.Table, kept: tuple[str, ...], origin: Origin) -> pa.Table:
    """The rows whose event type is one of those to keep."""
    result = table.filter(pc.is_in(table[EVENT_TYPE], pa.array(kept, pa.string())))
    if table.num_rows > 0 and result.num_rows == 0:
        raise origin.refusal(
            expected=f"rows with the event types {', '.join(kept)}",
            got=f"only {listing([str(name) for name in pc.unique(table[EVENT_TYPE])])}",
            remedy="correct [columns] event_types",
        )
    return result


def _check_keys(dataset: Dataset, side: TableName, key: str) -> None:
    """Refuse a users or items table whose ids are of another type, null or repeated."""
    table: pa.Table | None = getattr(dataset, side)
    if table is None:
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
