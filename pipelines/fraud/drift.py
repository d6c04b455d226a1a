"""What `recsys check-drift` compares of a fraud scorer: transactions, embeddings, scores.

Shapes: N transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.data import load_checked_transactions
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.arrays import Int64Array
from recsys.datasets.transactions.days import day_number
from recsys.drift.columns import Column, Kind, number_terms
from recsys.drift.windows import Windows, sample_rows
from recsys.fraud.alerts.outputs import ACCOUNTS_FILE, TRANSACTIONS_FILE
from recsys.fraud.storage.model_bundle import load_fraud_model
from recsys.publishing import PublishedRun, current_run, live_run, published_runs
from recsys.schema import (
    ACCOUNT_ID,
    ACCOUNT_SCORE,
    AMOUNT,
    ANOMALY_SCORE,
    COUNTERPARTY_ID,
    CURRENCY,
    DAY,
    EVENT_TIME,
)
from recsys.time_units import US_PER_DAY, US_PER_HOUR

SAMPLE_ROWS = 50_000
"""Transactions of either window that are embedded."""


def fraud_columns(
    inputs: Inputs, config: FraudJobConfig, windows: Windows, reporter: Reporter
) -> Iterator[Column]:
    """All columns of a fraud scorer, those of a model or of scores where there are any.

    Raises:
        DataError: The table is refused, or no transaction lies in one of the windows.
    """
    log, checked = load_checked_transactions(inputs, config, reporter)
    times_N = np.asarray(checked.table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    blocks_N = windows.blocks(times_N // US_PER_DAY)
    windows.require_rows(blocks_N, log.origin(EVENT_TIME))
    table, times_N = checked.table.filter(pa.array(blocks_N >= 0)), times_N[blocks_N >= 0]
    blocks_N = blocks_N[blocks_N >= 0]
    accounts_N = number_terms(_flat(table[ACCOUNT_ID]))
    for column in _transaction_columns(config, table, times_N, blocks_N):
        yield replace(column, groups_N=accounts_N)
    yield _activity(table, times_N, windows)
    if live_run(config.models) is not None:
        model, _ = load_fraud_model(current_run(config.models) / "model")
        rows = sample_rows(blocks_N, limit=SAMPLE_ROWS, seed=config.seed)
        yield Column(
            name="embedding.transactions",
            kind="embedding",
            values=model.observe(table.take(pa.array(rows))).embedding,
            blocks_N=blocks_N[rows],
            groups_N=accounts_N[rows],
        )
    yield from _score_columns(config, windows)


def _transaction_columns(
    config: FraudJobConfig, table: pa.Table, times_N: Int64Array, blocks_N: Int64Array
) -> Iterator[Column]:
    hours_N = times_N % US_PER_DAY / US_PER_HOUR
    yield Column(name="hour_of_day", kind="numeric", values=hours_N, blocks_N=blocks_N)
    # Quantiles of amounts are those of their logs.
    yield Column(name=AMOUNT, kind="numeric", values=_flat(table[AMOUNT]), blocks_N=blocks_N)
    if CURRENCY in table.column_names:
        terms = _flat(table[CURRENCY])
        yield Column(name=CURRENCY, kind="categorical", values=terms, blocks_N=blocks_N)
    for name, column in {"account": ACCOUNT_ID, "counterparty": COUNTERPARTY_ID}.items():
        if column in table.column_names:
            ids = _flat(table[column])
            yield Column(name=f"{name}_frequency", kind="frequency", values=ids, blocks_N=blocks_N)
    for name, feature in config.features.items():
        kind: Kind = "numeric" if feature.kind == "numeric" else "categorical"
        values = _flat(table[name])
        yield Column(name=f"feature.{name}", kind=kind, values=values, blocks_N=blocks_N)


def _activity(table: pa.Table, times_N: Int64Array, windows: Windows) -> Column:
    """Transactions of each account on each day that it has any."""
    keys = pa.table({ACCOUNT_ID: table[ACCOUNT_ID], DAY: times_N // US_PER_DAY})
    counts = keys.group_by([ACCOUNT_ID, DAY]).aggregate([([], "count_all")])
    return Column(
        name="transactions_per_account_day",
        kind="numeric",
        values=_flat(counts["count_all"]),
        blocks_N=windows.blocks(np.asarray(counts[DAY], dtype=np.int64)),
        groups_N=number_terms(_flat(counts[ACCOUNT_ID])),
    )


def _score_columns(config: FraudJobConfig, windows: Windows) -> Iterator[Column]:
    """Scores of the published nights."""
    nights = _nights(config, windows)
    files = {
        "score.transactions": (TRANSACTIONS_FILE, ANOMALY_SCORE),
        "score.accounts": (ACCOUNTS_FILE, ACCOUNT_SCORE),
    }
    for name, (file, column) in files.items():
        scores = [pq.read_table(run.folder / file, columns=[column])[column] for run in nights]
        days = [day_number(date.fromisoformat(run.manifest.logical_date)) for run in nights]
        if scores:
            yield Column(
                name=name,
                kind="numeric",
                values=np.concatenate([np.asarray(one, dtype=np.float64) for one in scores]),
                blocks_N=windows.blocks(np.repeat(days, [len(one) for one in scores])),
            )


def _nights(config: FraudJobConfig, windows: Windows) -> list[PublishedRun]:
    """The newest run of each day of the windows that was scored."""
    found = {
        run.manifest.logical_date: run
        for run in published_runs(config.scores)
        if str(windows.first_reference) <= run.manifest.logical_date <= str(windows.last_day)
        and not run.manifest.held
    }
    return list(found.values())


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    return flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
