"""What a job reads: one door for all of it, which writes down what the run follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.artifacts import digest_table

if TYPE_CHECKING:
    from datetime import datetime

    from recsys.datasets.dataset import (
        ColumnsConfig,
        CsvConfig,
        DataConfig,
        Dataset,
        FeatureConfig,
        FeaturesConfig,
    )
    from recsys.datasets.transactions.config import (
        TransactionColumnsConfig,
        TransactionsDataConfig,
    )
    from recsys.datasets.transactions.loading import TransactionLog


class Inputs:
    """Tables, models and states that a run reads, each by its role and the digest of its content.

    A job has no other way to its tables, so that none can be forgotten when it is asked whether
    its work is done already. What counts is the content that was loaded: it is the same whether it
    lies in one file, in a folder, or behind a link.
    """

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._tables: dict[str, pa.Table] = {}

    def dataset(
        self, data: DataConfig, columns: ColumnsConfig, features: FeaturesConfig
    ) -> Dataset:
        """Interactions, users and items, as `load_dataset` reads them."""
        from recsys.datasets.loading import load_dataset

        dataset = load_dataset(data, columns, features)
        for role in ("interactions", "users", "items"):
            self.table(role, getattr(dataset, role))
        return dataset

    def ids(
        self,
        role: str,
        path: Path,
        names: Sequence[str],
        *,
        columns: ColumnsConfig,
        csv: CsvConfig,
    ) -> pa.Table:
        """A table of ids, such as pairs that are denied, as `load_ids` reads it."""
        from recsys.datasets.rules import load_ids

        table = load_ids(path, names, columns=columns, csv=csv)
        self.table(role, table)
        return table

    def transactions(
        self,
        data: TransactionsDataConfig,
        columns: TransactionColumnsConfig,
        features: Mapping[str, FeatureConfig],
    ) -> TransactionLog:
        """Transactions, as `load_transactions` reads them."""
        from recsys.datasets.transactions.loading import load_transactions

        log = load_transactions(data, columns, features)
        self.table("transactions", log.table)
        return log

    def labels(
        self,
        data: TransactionsDataConfig,
        columns: TransactionColumnsConfig,
        log: TransactionLog,
        *,
        at: datetime | None = None,
    ) -> pa.Table:
        """Confirmed labels, as `load_labels` reads them."""
        from recsys.datasets.transactions.labels import load_labels

        labels = load_labels(data, columns, log, at=at)
        self.table("labels", labels)
        return labels

    def run(self, role: str, folder: Path) -> None:
        """A published run that is read: its name says what it holds, as runs do not change."""
        self._digests[role] = folder.name

    def table(self, role: str, table: pa.Table | None) -> None:
        """A table that is read, or the part of it that the run follows from.

        A run for a day does not follow from later rows: a log that has gone on gives the same.
        """
        if table is not None:
            self._tables[role] = table

    def digests(self) -> dict[str, str]:
        """Digest of everything that was read so far, by its role."""
        self._digests |= {role: digest_table(table) for role, table in self._tables.items()}
        self._tables.clear()
        return dict(self._digests)
