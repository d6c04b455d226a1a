"""Settings of transactions: names of their columns, and the features that are read."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from recsys.config import config_class
from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.ids import IdType
from recsys.datasets.columns.times import AmbiguousTimes
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.reading.row_filters import RowFilters
from recsys.errors import ConfigError
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    IS_FRAUD,
    TRANSACTION_ID,
)

REASON = "reason"
"""Column of quarantined rows: why a row is not used."""

_STANDARD = {
    TRANSACTION_ID,
    ACCOUNT_ID,
    COUNTERPARTY_ID,
    EVENT_TIME,
    AMOUNT,
    CURRENCY,
    IS_FRAUD,
    REASON,
}
_KINDS = ("categorical", "numeric")
FilteredTable = Literal["transactions", "labels"]
"""Tables of the fraud jobs that a row filter may stand for."""


def _acceptable(features: dict[str, FeatureConfig]) -> dict[str, FeatureConfig]:
    """The features, if transactions can have them; a `ValueError` is what pydantic asks for."""
    for name, feature in features.items():
        if name in _STANDARD:
            raise ValueError(
                f"expected another name for feature {name!r}, which is a standard column; "
                f'e.g. my_{name} = {{ kind = "...", column = "{name}" }}'
            )
        if feature.kind not in _KINDS:
            raise ValueError(
                f"expected feature {name!r} to be {' or '.join(_KINDS)}, as transactions have no "
                f"others, got {feature.kind}; change its kind or remove it"
            )
    return features


TransactionFeatures = Annotated[dict[str, FeatureConfig], AfterValidator(_acceptable)]
"""Features of transactions by name: categorical or numeric, and no standard column."""


@config_class
class TransactionsCsvConfig:
    """How CSV files of transactions are read; other files carry their types."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """The character between fields."""
    transaction_id_type: IdType = "string"
    """What transaction ids are; "int64" refuses text such as "007"."""
    account_id_type: IdType = "string"
    """What account ids are."""
    counterparty_id_type: IdType = "string"
    """What counterparty ids are."""


@config_class
class TransactionsDataConfig:
    """Where the tables are: Parquet files, folders of them, or CSV files."""

    transactions: Path
    """Who paid whom, when and how much: one row a transaction."""
    labels: Path | None = None
    """Table of confirmed labels: transaction_id and is_fraud; may be the same file."""
    where: RowFilters[FilteredTable] = Field(default_factory=dict)
    """Rows that count, by table, e.g. `transactions = "status = 'settled'"`; others are counted and
    left out."""
    csv: TransactionsCsvConfig = TransactionsCsvConfig()
    """How CSV files are read."""


@config_class
class TransactionColumnsConfig:
    """The user's names of the standard columns, and how to read times."""

    transaction_id: str = TRANSACTION_ID
    """Key of a transaction, in both tables."""
    account_id: str = ACCOUNT_ID
    """Whose behaviour is scored: a card, a bank account."""
    event_time: str = EVENT_TIME
    """When."""
    amount: str = AMOUNT
    """How much."""
    counterparty_id: str | None = None
    """The other side: a merchant, a terminal, an account."""
    currency: str | None = None
    """Currency of the amount."""
    is_fraud: str = IS_FRAUD
    """Column of the label table; never read as anything else."""
    label_time: str | None = None
    """Column of the label table: when the answer was given. A run looks at answers up to its day,
    and the latest one of a transaction holds, so that one may be taken back."""
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


def check_transaction_features(features: Mapping[str, FeatureConfig]) -> None:
    """Refuse features that transactions cannot have; a config field `TransactionFeatures` does too.

    Raises:
        ConfigError: A kind other than categorical and numeric, or the name of a standard column.
    """
    try:
        _acceptable(dict(features))
    except ValueError as error:
        raise ConfigError(f"features: {error}") from None
