"""Frames to checked transactions and labels, as the jobs have them from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.callers import in_words_of_python
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.frames.frame_columns import (
    LOG,
    Guesses,
    find_columns,
    find_features,
    time_settings,
)
from recsys.datasets.frames.frames import Frame, FrameKind, named_frame, reader_of
from recsys.datasets.transactions.config import TransactionColumnsConfig, TransactionsDataConfig
from recsys.datasets.transactions.labels import load_labels
from recsys.datasets.transactions.loading import TransactionLog, load_transactions
from recsys.datasets.transactions.quarantine import quarantine
from recsys.datasets.transactions.quarantine_report import QuarantineConfig
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    IS_FRAUD,
    TRANSACTION_ID,
)

Features = Mapping[str, FeatureConfig]

_NOT_LATER = " (none may say what becomes known only later, as a label does)"
_REQUIRED = (TRANSACTION_ID, ACCOUNT_ID, EVENT_TIME, AMOUNT)
_OPTIONAL = (COUNTERPARTY_ID, CURRENCY)
_NO_FILES = TransactionsDataConfig(transactions=Path("transactions"), labels=Path("labels"))


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of columns, and which of them the caller gave."""

    columns: TransactionColumnsConfig
    """Names of the columns."""
    is_given: frozenset[str]
    """Fields of `columns` that the caller gave; the others are guessed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameTransactions:
    """Usable transactions, and the frame that they came from."""

    table: pa.Table
    """Usable rows by event_time, then transaction_id, each id once."""
    log: TransactionLog
    """All rows, in the order of the frame."""
    quarantined: pa.Table
    """The other rows, with the reason."""
    labels: pa.Table | None
    """Labels, where they are a column of the frame or a frame beside it."""
    kind: FrameKind
    """What the transactions came as."""
    index: pd.Index | None
    """The index of a pandas frame."""

    @property
    def names(self) -> TransactionColumnsConfig:
        """The frame's names of the columns."""
        return self.log.columns


def transactions_of_frame(
    frame: Frame,
    labels: Frame | str | None,
    *,
    names: Names,
    features: Features | None,
    limits: QuarantineConfig,
    argument: str = "transactions",
) -> FrameTransactions:
    """Read transactions, set the unusable ones aside, and log how many.

    Args:
        frame: Transactions, one row each.
        labels: Confirmed labels: a column of the frame, or a frame of transaction ids and labels.
        names: Names of the columns.
        features: Features to read; guessed when None.
        limits: What is set aside.
        argument: Name of the argument that the frame was given as.

    Raises:
        DataError: The frame cannot be read, or too many rows are unusable.
    """
    given = named_frame(frame, argument)
    guesses = Guesses(given)
    with in_words_of_python():
        columns = _columns(guesses, names, labels)
        if features is None:
            taken = [getattr(columns, name) for name in (*_REQUIRED, *_OPTIONAL, IS_FRAUD)]
            features = find_features(
                guesses,
                besides=[one for one in taken if one],
                kinds=("categorical", "numeric"),
                hint=_NOT_LATER,
            )
        guesses.tell()
        data = replace(_NO_FILES, transactions=Path(argument))
        log = load_transactions(data, columns, features, read=reader_of({argument: given}))
        checked = quarantine(log, limits=limits)
        checked.report.raise_if_refused()
        found = labels_of_frame(frame if isinstance(labels, str) else labels, log, names)
    aside = {reason: n for reason, n in checked.report.num_quarantined.items() if n}
    if aside:
        with_labels = ", ".join(f"{n:,} {reason}" for reason, n in aside.items())
        LOG.warning(
            "%s: %s of %s rows set aside: %s",
            argument, f"{sum(aside.values()):,}", f"{checked.report.num_rows:,}", with_labels,
        )  # fmt: skip
    return FrameTransactions(
        table=checked.table, log=log, quarantined=checked.quarantined, labels=found,
        kind=given.kind, index=frame.index if isinstance(frame, pd.DataFrame) else None,
    )  # fmt: skip


def labels_of_frame(labels: Frame | None, log: TransactionLog, names: Names) -> pa.Table | None:
    """Labels of a frame: transaction_id, of the type that it has in the log, and is_fraud.

    Raises:
        DataError: A missing column, ids of another type, or two answers for one transaction.
    """
    if labels is None:
        return None
    frame = named_frame(labels, "labels")
    guesses = Guesses(frame)
    known = {TRANSACTION_ID: log.columns.transaction_id, IS_FRAUD: log.columns.is_fraud}
    asked = {name: own for name, own in known.items()
             if own in frame.names or name in names.is_given}  # fmt: skip
    found = find_columns(guesses, asked, required=(TRANSACTION_ID, IS_FRAUD))
    guesses.tell()
    columns = replace(log.columns, **cast("dict[str, Any]", found))
    return load_labels(_NO_FILES, columns, log, read=reader_of({"labels": frame}))


def aligned(values: pa.Array, ids: pa.ChunkedArray, found: FrameTransactions) -> pa.Table:
    """Values of usable transactions, in the order of the frame; null for rows set aside.

    Args:
        values: One a usable transaction.
        ids: Their transaction ids.
        found: The frame that they came from.
    """
    asked = found.log.table[TRANSACTION_ID].combine_chunks()
    places = pc.index_in(asked, value_set=ids.combine_chunks(), skip_nulls=True)
    return pa.table({TRANSACTION_ID: asked, "anomaly_score": values.take(places)})


def _columns(
    guesses: Guesses, names: Names, labels: Frame | str | None
) -> TransactionColumnsConfig:
    """Names of the columns, guessed where they were not given; that of the labels is no input."""
    columns = names.columns
    fields = (*_REQUIRED, *_OPTIONAL, IS_FRAUD)
    given = {name: getattr(columns, name) if name in names.is_given else None for name in fields}
    given[IS_FRAUD] = labels if isinstance(labels, str) else None
    label = (IS_FRAUD,) if isinstance(labels, str) else ()
    found = find_columns(guesses, given, required=(*_REQUIRED, *label), optional=_OPTIONAL)
    zone, unit = time_settings(
        guesses, found[EVENT_TIME], columns.event_time_zone, columns.event_time_unit
    )
    missing = {name: None for name in _OPTIONAL if name not in found}
    with_labels = cast("dict[str, Any]", {**found, **missing})
    return replace(columns, **with_labels, event_time_zone=zone, event_time_unit=unit)
