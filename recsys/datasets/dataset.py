"""The three tables of a recommender: their settings, and their form in memory."""

from __future__ import annotations

import dataclasses
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from recsys.config import config_class
from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.feature_columns import FeatureKind
from recsys.datasets.columns.ids import IdType
from recsys.datasets.columns.times import AmbiguousTimes
from recsys.datasets.origin import Origin
from recsys.datasets.reading.contents import is_csv
from recsys.datasets.reading.row_filters import RowFilters
from recsys.schema import ITEM_ID, TITLE, USER_ID

TableName = Literal["interactions", "users", "items"]
FilteredTable = Literal["interactions", "users", "items", "deny", "eligible"]
"""Tables of a recommender that a row filter may stand for."""


@config_class
class CsvConfig:
    """How CSV files are read; other files carry their types."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """The character between fields."""
    user_id_type: IdType = "string"
    """What user ids are; "int64" refuses text such as "007"."""
    item_id_type: IdType = "string"
    """What item ids are."""


@config_class
class DataConfig:
    """Where the tables are: Parquet files, folders of them, or CSV files."""

    interactions: Path
    """Who did what: one row an event."""
    users: Path | None = None
    """Users and their features, one row each."""
    items: Path | None = None
    """Items and their features, one row each."""
    item_title: str | None = "title"
    """Column of the items table to show to people; need not exist."""
    where: RowFilters[FilteredTable] = Field(default_factory=dict)
    """Rows that count, by table, e.g. `interactions = "quantity > 0"`; others are counted and left
    out."""
    csv: CsvConfig = CsvConfig()
    """How CSV files are read."""


@config_class
class ColumnsConfig:
    """The user's names of the standard columns, and how to read times."""

    user_id: str = "user_id"
    """Who, in every table."""
    item_id: str = "item_id"
    """What, in every table."""
    event_time: str | None = "event_time"
    """When; under its default name the column need not exist."""
    weight: str | None = None
    """Strength of an interaction."""
    event_type: str | None = None
    """What an interaction was; needed for `event_types`."""
    split: str | None = None
    """Part of each interaction (train, valid, test), for a split that the data brings."""
    event_types: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Event types to keep; all when not set."""
    event_time_zone: str | None = None
    """Time zone of times that name none, e.g. "Europe/Paris"."""
    event_time_unit: TimeUnit | None = None
    """Unit of times that are integers since 1970."""
    ambiguous_times: AmbiguousTimes = "refuse"
    """Local times that occur twice or never as clocks change: refused, or read as the "earlier" or
    "later" of their two moments."""

    @field_validator("event_time_zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in zoneinfo.available_timezones():
            raise ValueError(f"expected a time zone such as 'UTC' or 'Europe/Paris', got {zone!r}")
        return zone

    @model_validator(mode="after")
    def _types_have_a_column(self) -> Self:
        if self.event_types is not None and self.event_type is None:
            raise ValueError("expected event_type, the column to look in, beside event_types")
        return self


@config_class
class FeatureConfig:
    """One feature; in TOML its kind alone will do: `genres = "multi_hot"`."""

    kind: FeatureKind
    """categorical (a term), multi_hot (a list of terms), numeric, or dense (a vector)."""
    column: str | None = None
    """Column of the table, where it differs from the feature's name."""
    min_count: int = Field(default=1, ge=1)
    """Terms that occur less often count as one rare term (categorical and multi_hot)."""
    separator: str | None = Field(default=None, min_length=1)
    """What separates the values of a list written as text (multi_hot and dense)."""

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        if self.min_count > 1 and self.kind not in ("categorical", "multi_hot"):
            raise ValueError(f"expected no min_count, as a {self.kind} feature has no terms")
        if self.separator is not None and self.kind not in ("multi_hot", "dense"):
            raise ValueError(f"expected no separator, as a {self.kind} feature is no list")
        return self


@config_class
class FeaturesConfig:
    """Features of users and items by name; columns that are not named here are not read."""

    users: dict[str, FeatureConfig] = Field(default_factory=dict)
    """Features from the users table."""
    items: dict[str, FeatureConfig] = Field(default_factory=dict)
    """Features from the items table."""

    @model_validator(mode="after")
    def _no_reserved_name(self) -> Self:
        taken = sorted({USER_ID} & self.users.keys() | {ITEM_ID, TITLE} & self.items.keys())
        if taken:
            raise ValueError(
                f"expected another name for feature {taken[0]!r}, which is a standard column; "
                f'e.g. my_{taken[0]} = {{ kind = "...", column = "{taken[0]}" }}'
            )
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """The tables under standard names and types, with their origin for messages.

    Args:
        interactions: user_id, item_id and, where configured, event_time, weight, event_type, split.
        users: user_id and a column a feature; None when there is no such table.
        items: item_id, a column a feature and, where present, title.
        data: Where the tables came from.
        columns: The user's names of the standard columns.
        features: The features that `users` and `items` hold.
        num_left_out: Interactions of the file that are not in the table, by reason.
    """

    interactions: pa.Table
    users: pa.Table | None
    items: pa.Table | None
    data: DataConfig
    columns: ColumnsConfig
    features: FeaturesConfig
    num_left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def origin(self, table: TableName, column: str = "") -> Origin:
        """Where a table, or a column by its standard name, came from."""
        return find_origin(table, column, self.data, self.columns, self.features)


def find_origin(
    table: TableName,
    column: str,
    data: DataConfig,
    columns: ColumnsConfig,
    features: FeaturesConfig,
) -> Origin:
    """Where a column of a table comes from, given its standard name or its feature's name."""
    path = {"interactions": data.interactions, "users": data.users, "items": data.items}[table]
    declared = {"interactions": {}, "users": features.users, "items": features.items}[table]
    if column in declared:
        name, setting = declared[column].column or column, f"[features.{table}] {column}"
    elif column == TITLE and table == "items":
        name, setting = data.item_title or column, "[data] item_title"
    else:
        name, setting = getattr(columns, column, None) or column, f"[columns] {column}"
    is_text = path is not None and is_csv(path)
    return Origin(file=str(path), column=name, is_text=is_text, setting=column and setting)
