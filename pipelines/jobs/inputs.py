"""Reads all inputs of a job, and records their digests for the provenance of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.artifacts import digest_table

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.jobs.console import Reporter
    from recsys.datasets.dataset import (
        ColumnsConfig,
        CsvConfig,
        DataConfig,
        Dataset,
        FeatureConfig,
        FeaturesConfig,
    )
    from recsys.datasets.reading.tables import InputTable
    from recsys.datasets.transactions.config import (
        TransactionColumnsConfig,
        TransactionsDataConfig,
    )
    from recsys.datasets.transactions.loading import TransactionLog


class Inputs:
    """Tables, models and states that a run reads, each by its role and the digest of its content.

    A job reads its tables in no other way, so that none can be forgotten when the job decides
    whether its work is done already. The loaded content counts: it is the same whether it lies in
    one file, in a folder, or behind a link.
    """

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._tables: dict[str, pa.Table] = {}
        self._found: dict[str, InputTable] = {}

    def dataset(
        self, data: DataConfig, columns: ColumnsConfig, features: FeaturesConfig
    ) -> Dataset:
        """Interactions, users and items, as `load_dataset` reads them."""
        from recsys.datasets.loading import load_dataset

        dataset = load_dataset(data, columns, features, note=self._note)
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
        where: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """A table of ids, such as pairs that are denied, as `load_ids` reads it."""
        from recsys.datasets.rules import load_ids

        table = load_ids(
            path, names, columns=columns, csv=csv, role=role, where=where, note=self._note
        )  # fmt: skip
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

        log = load_transactions(data, columns, features, note=self._note)
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

        labels = load_labels(data, columns, log, at=at, note=self._note)
        self.table("labels", labels)
        return labels

    def _note(self, role: str, found: InputTable) -> None:
        """Keep what was found of a table, without its rows."""
        self._found[role] = replace(found, table=found.table.slice(0, 0))

    def found(self) -> dict[str, object]:
        """For the status line, by role: entries found, read and passed over, rows filtered out."""
        return {
            role: {
                **one.entries.to_dict(),
                **({"filtered_rows": one.num_filtered} if one.has_filter else {}),
            }
            for role, one in self._found.items()
        }

    def tell_passed_over(self, reporter: Reporter) -> None:
        """Say which entries of folders were not read, and which rows a filter left out."""
        for role, one in self._found.items():
            entries = one.entries
            if entries.num_passed_over:
                reporter.say(
                    f"{role}: {entries.num_read:,} files read of {entries.num_found:,} entries; "
                    f"no data by their names: {', '.join(entries.passed_over)}"
                    + (" ..." if entries.num_passed_over > len(entries.passed_over) else "")
                )
            if one.num_filtered:
                reporter.say(f"{role}: {one.num_filtered:,} rows left out by data.where")

    def run(self, role: str, folder: Path) -> None:
        """A published run that is read: its name says what it holds, as runs do not change."""
        self._digests[role] = folder.name

    def table(self, role: str, table: pa.Table | None) -> None:
        """A table that is read, or the part of it that the run follows from.

        Only rows up to the day of the run count, so that a log that goes on gives the same digest.
        """
        if table is not None:
            self._tables[role] = table

    def digests(self) -> dict[str, str]:
        """Digest of everything that was read so far, by its role."""
        self._digests |= {role: digest_table(table) for role, table in self._tables.items()}
        self._tables.clear()
        return dict(self._digests)
