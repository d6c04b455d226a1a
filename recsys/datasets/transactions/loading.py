"""Files to a `TransactionLog`: read, rename to the standard names, settle the types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from recsys.datasets.columns.feature_columns import feature_column, term_column
from recsys.datasets.columns.ids import id_column, plain_column
from recsys.datasets.columns.text import numbers_from_text
from recsys.datasets.columns.times import time_column
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.loading import Converter, settled
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_filters import parsed_filters
from recsys.datasets.reading.tables import Note, TableReader, is_csv, read_input
from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionsDataConfig,
    check_transaction_features,
)
from recsys.errors import ConfigError
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    AMOUNT_TYPE,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    TRANSACTION_ID,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TransactionLog:
    """Transactions under standard names and types, with their origin for messages.

    Args:
        table: transaction_id, account_id, event_time, amount; counterparty_id and currency where
            configured; a column a feature. No label.
        data: Where the table came from.
        columns: The user's names of the standard columns.
        features: The features that `table` holds.
        num_filtered: Rows of the file that a row filter left out.
    """

    table: pa.Table
    data: TransactionsDataConfig
    columns: TransactionColumnsConfig
    features: Mapping[str, FeatureConfig]
    num_filtered: int = 0

    @property
    def num_rows(self) -> int:
        """Rows of the file, those that a row filter left out included."""
        return int(self.table.num_rows) + self.num_filtered

    def origin(self, column: str = "") -> Origin:
        """Where the table, or a column by its standard name, came from."""
        return _find_origin(column, self.data, self.columns, self.features)


def load_transactions(
    data: TransactionsDataConfig,
    columns: TransactionColumnsConfig | None = None,
    features: Mapping[str, FeatureConfig] | None = None,
    *,
    note: Note | None = None,
    read: TableReader | None = None,
) -> TransactionLog:
    """Read transactions, rename their columns to the standard names and settle their types.

    Ids stay exact. Checks of values (nulls, amounts that are not finite, repeated ids) are left to
    `recsys.datasets.transactions.quarantine`.

    Args:
        data: Where the table is.
        columns: The user's names of the standard columns; the standard names when None.
        features: The features to read; none when None.
        note: Told of the table that is read.
        read: What reads the table in place of files, such as frames in memory.

    Raises:
        ConfigError: A feature that transactions cannot have, or that is the label.
        DataError: A file that cannot be read, a missing column, or a column of the wrong type.
    """
    columns = columns or TransactionColumnsConfig()
    features = features or {}
    check_transaction_features(features)
    converters = _converters(data, columns, features)
    origins = {name: _find_origin(name, data, columns, features) for name in converters}
    _check_no_label_is_read(origins, columns, features)
    found = read_input(
        data.transactions,
        columns=[origin.column for origin in origins.values()],
        delimiter=data.csv.delimiter,
        where=parsed_filters(data.where).get("transactions"),
        read=read,
    )
    if note is not None:
        note("transactions", found)
    return TransactionLog(
        table=settled(found.table, converters, origins),
        data=data,
        columns=columns,
        features=features,
        num_filtered=found.num_filtered,
    )


def amount_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Amounts as float64, each the nearest to what the file holds; nulls stay.

    Args:
        column: Integers, floats, decimals, or the text of a CSV file.
        origin: Where they come from.

    Raises:
        DataError: Values of another type, or CSV text that is no number.
    """
    values = plain_column(column)
    if origin.is_text and pa.types.is_string(values.type):
        return numbers_from_text(values, origin)
    if pa.types.is_decimal(values.type):
        # Arrow multiplies decimals by an inexact power of ten: 161206716.89 would lose its cents.
        values = values.cast(pa.string())
    elif not _is_number(values.type):
        raise origin.refusal(
            expected="amounts: integers, floats or decimals",
            got=str(values.type),
            remedy="write the column as one of these, without currency signs or separators, or "
            f"{origin.remapping}",
        )
    return values.cast(AMOUNT_TYPE, safe=False)


def _converters(
    data: TransactionsDataConfig,
    columns: TransactionColumnsConfig,
    features: Mapping[str, FeatureConfig],
) -> dict[str, Converter]:
    """How to read each column that is configured, by its standard name."""
    standard: dict[str, Converter] = {
        TRANSACTION_ID: partial(id_column, text_type=data.csv.transaction_id_type),
        ACCOUNT_ID: partial(id_column, text_type=data.csv.account_id_type),
        EVENT_TIME: partial(
            time_column,
            zone=columns.event_time_zone,
            unit=columns.event_time_unit,
            ambiguous=columns.ambiguous_times,
        ),
        AMOUNT: amount_column,
        COUNTERPARTY_ID: partial(id_column, text_type=data.csv.counterparty_id_type),
        CURRENCY: _text_column,
    }
    named = {name: convert for name, convert in standard.items() if getattr(columns, name)}
    declared = {name: partial(feature_column, kind=each.kind) for name, each in features.items()}
    return {**named, **declared}


def _find_origin(
    column: str,
    data: TransactionsDataConfig,
    columns: TransactionColumnsConfig,
    features: Mapping[str, FeatureConfig],
) -> Origin:
    if column in features:
        name, setting = features[column].column or column, f"[features] {column}"
    else:
        name, setting = getattr(columns, column, None) or column, f"[columns] {column}"
    return Origin(
        file=str(data.transactions),
        column=name,
        is_text=is_csv(data.transactions),
        setting=column and setting,
    )


def _check_no_label_is_read(
    origins: Mapping[str, Origin],
    columns: TransactionColumnsConfig,
    features: Mapping[str, FeatureConfig],
) -> None:
    """Refuse a mapping by which the label would reach a model as an input."""
    for name, origin in origins.items():
        if origin.column == columns.is_fraud:
            place = f"features.{name}" if name in features else f"columns.{name}"
            raise ConfigError(
                f"{place}: expected any column but the label, got {origin.column!r}; labels are "
                "read from data.labels alone: map another column or remove it"
            )


def _text_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    return term_column(column, origin).cast(pa.string())


def _is_number(found: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return any(test(found) for test in tests)
