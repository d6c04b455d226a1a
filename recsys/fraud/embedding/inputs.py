"""From a table of transactions to the inputs of profiles and autoencoder.

What is fitted comes from training rows alone: which categorical feature is the context of amounts,
which features describe the account rather than the transaction, the level of each currency.

Shapes: N transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float32Array, Float64Array, FloatArray, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.features.encoder import EncodedTable, TableEncoder
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.embedding.contexts import (
    PROFILE_SHARE,
    best_context,
    context_terms,
    share_of_one_value,
)
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    TRANSACTION_ID,
)
from recsys.time_units import US_PER_DAY

HOUR, WEEKDAY, LOG_AMOUNT = "hour_of_day", "weekday", "log_amount"
"""Columns that the autoencoder sees beside the features."""
SKETCH_BITS = 512
"""Size of the bitmap of counterparties that an account has met; two of them may share a bit."""

_MAX_TERMS = 1000  # most codes of an autoencoder column; time grows with them
_MIN_COVERED = 0.5  # share of rows whose term must be among them


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedTransactions:
    """Transactions as numbers, in the order of the table."""

    day: Float64Array
    """Time in days since 1970. Shape (N,)."""
    hour: Int64Array
    """Hour of the day in UTC. Shape (N,)."""
    amount: Float32Array
    """Signed log of the amount, less the level of its currency. Shape (N,)."""
    context: Int64Array
    """Code of the context. Shape (N,)."""
    bit: Int64Array
    """Bit of the counterparty in the sketches; 0 without counterparties. Shape (N,)."""
    columns: EncodedTable
    """All columns for the autoencoder."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TransactionInputs:
    """Fitted inputs: what was learnt of the columns of transactions."""

    features: Mapping[str, FeatureConfig]
    """Features of the table."""
    has_counterparty: bool
    """Whether transactions name a counterparty."""
    has_currency: bool
    """Whether amounts have a currency."""
    context: str
    """The categorical column that amounts depend on most; empty if they depend on none."""
    context_terms: Vocabulary | None
    """Its most frequent terms; all others share one code."""
    account_features: tuple[str, ...]
    """Features that describe the account: nearly every account has a single value."""
    currency_levels: Mapping[str, float]
    """Median log amount of each currency."""
    encoder: TableEncoder
    """Columns of the autoencoder."""

    @classmethod
    def fit(cls, table: pa.Table, features: Mapping[str, FeatureConfig]) -> TransactionInputs:
        """Learn from training rows, in the order of time.

        Args:
            table: Transactions under their standard names, one column a feature.
            features: Kind of each feature.
        """
        levels = _currency_levels(table)
        amounts_N = log_amounts(table, levels)
        account_features = tuple(
            name
            for name, feature in features.items()
            if feature.kind in {"categorical", "numeric"}  # the autoencoder refuses the others
            and share_of_one_value(table[ACCOUNT_ID], table[name]) >= PROFILE_SHARE
        )
        candidates = [
            name
            for name, feature in features.items()
            if feature.kind == "categorical" and name not in account_features
        ]
        context = best_context(table, candidates, amounts_N)
        columns = _columns(table, amounts_N)
        kinds = _kinds(columns, features)
        return cls(
            features=dict(features),
            has_counterparty=COUNTERPARTY_ID in table.column_names,
            has_currency=CURRENCY in table.column_names,
            context=context,
            context_terms=context_terms(table[context]) if context else None,
            account_features=account_features,
            currency_levels=levels,
            encoder=TableEncoder.fit(columns.select(list(kinds)), kinds),
        )

    @property
    def num_contexts(self) -> int:
        """Codes of the context, that of all other terms included."""
        return 1 if self.context_terms is None else len(self.context_terms) + 1

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns of the autoencoder that describe the transaction: these it reconstructs."""
        names = (*self.encoder.categorical, *self.encoder.numeric)
        return tuple(name for name in names if name not in self.account_features)

    @property
    def covered(self) -> tuple[str, ...]:
        """Columns that the pass over transactions measures by itself."""
        return (self.context, HOUR, WEEKDAY, LOG_AMOUNT, COUNTERPARTY_ID)

    def encode(self, table: pa.Table) -> CodedTransactions:
        """The inputs of every transaction; unknown values get codes of their own."""
        amounts_N = log_amounts(table, self.currency_levels)
        times_N = np.asarray(table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
        return CodedTransactions(
            day=times_N / US_PER_DAY,
            hour=times_N // (US_PER_DAY // 24) % 24,
            amount=amounts_N,
            context=self._contexts(table),
            bit=_bits(table[COUNTERPARTY_ID]) if self.has_counterparty else _zeros(table),
            columns=self.encoder.encode(_columns(table, amounts_N)),
        )

    def _contexts(self, table: pa.Table) -> Int64Array:
        if self.context_terms is None:
            return _zeros(table)
        return self.context_terms.numbers(table[self.context]) + 1


def log_amounts(table: pa.Table, levels: Mapping[str, float]) -> Float32Array:
    """sign(a) log(1 + |a|), less the level of the currency. Shape (N,)."""
    amounts_N = np.asarray(table[AMOUNT], dtype=np.float64)
    logs_N = np.sign(amounts_N) * np.log1p(np.abs(amounts_N)) - _level_shift(table, levels)
    return logs_N.astype(np.float32)


def amounts_of_logs(
    logs_N: FloatArray, table: pa.Table, levels: Mapping[str, float]
) -> Float64Array:
    """The inverse of `log_amounts`: amounts in the currencies of a table's rows.

    Args:
        logs_N: One a row.
        table: Rows, of which the currency is read if there are levels.
        levels: Median log amount of each currency.
    """
    shifted_N = logs_N.astype(np.float64) + _level_shift(table, levels)
    return np.asarray(np.sign(shifted_N) * np.expm1(np.abs(shifted_N)))


def _level_shift(table: pa.Table, levels: Mapping[str, float]) -> Float64Array:
    """Level of the currency of each row over the median level. Shape (N,)."""
    if not levels:
        return np.zeros(table.num_rows)
    codes = pc.index_in(table[CURRENCY], value_set=pa.array(list(levels)))
    shift = np.array([*levels.values(), _median_level(levels)])
    numbers = np.asarray(pc.fill_null(codes, len(levels)), dtype=np.int64)
    return np.asarray(shift[numbers] - _median_level(levels))


def _median_level(levels: Mapping[str, float]) -> float:
    return float(np.median(list(levels.values())))


def _currency_levels(table: pa.Table) -> dict[str, float]:
    """Median log amount by currency: amounts in yen and in euros are on different scales."""
    if CURRENCY not in table.column_names:
        return {}
    logs = pd.Series(log_amounts(table, {}).astype(np.float64))
    medians = logs.groupby(table[CURRENCY].to_pandas().astype(object)).median()
    return {str(currency): float(level) for currency, level in medians.sort_index().items()}


def _columns(table: pa.Table, amounts_N: Float32Array) -> pa.Table:
    """The columns of the autoencoder: features, time, amount, counterparty, currency."""
    times = table[EVENT_TIME]
    columns = {
        name: table[name]
        for name in table.column_names
        if name not in (ACCOUNT_ID, AMOUNT, EVENT_TIME, TRANSACTION_ID)
    }
    return pa.table(
        {
            **columns,
            HOUR: pc.hour(times),
            WEEKDAY: pc.day_of_week(times),
            LOG_AMOUNT: pa.chunked_array([pa.array(amounts_N)]),
        }
    )


def _kinds(table: pa.Table, features: Mapping[str, FeatureConfig]) -> dict[str, FeatureConfig]:
    """Kind of each column that the autoencoder takes, rare terms of long vocabularies merged."""
    kinds = dict(features)
    for name in (COUNTERPARTY_ID, CURRENCY, HOUR, WEEKDAY):
        if name in table.column_names:
            kinds[name] = FeatureConfig(kind="categorical")
    kinds[LOG_AMOUNT] = FeatureConfig(kind="numeric")
    capped = {name: _capped(table[name], kind) for name, kind in kinds.items()}
    return {name: kind for name, kind in capped.items() if kind is not None}


def _capped(column: pa.ChunkedArray, kind: FeatureConfig) -> FeatureConfig | None:
    """The feature with a `min_count` that leaves few terms; None if they cover too few rows."""
    if kind.kind != "categorical":
        return kind
    counts = np.sort(np.asarray(pc.value_counts(column.drop_null()).field("counts")))[::-1]
    if len(counts) <= _MAX_TERMS:
        return kind
    min_count = int(counts[_MAX_TERMS]) + 1
    covered = counts[counts >= min_count].sum() / max(len(column), 1)
    return (
        FeatureConfig(kind="categorical", min_count=min_count) if covered >= _MIN_COVERED else None
    )


def _bits(counterparties: pa.ChunkedArray) -> Int64Array:
    """A bit for each counterparty that depends on its id alone, whatever others there are."""
    encoded = counterparties.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    terms = encoded.dictionary.to_pandas().to_numpy()
    hashes = pd.util.hash_array(terms.astype(object) if terms.dtype.kind not in "iu" else terms)
    numbers = np.asarray(pc.fill_null(encoded.indices, 0), dtype=np.int64)
    bits = (hashes % SKETCH_BITS).astype(np.int64)
    return bits[numbers] if len(bits) else np.zeros(len(numbers), dtype=np.int64)


def _zeros(table: pa.Table) -> Int64Array:
    return np.zeros(table.num_rows, dtype=np.int64)
