"""The memory of recent transactions, which windows and late labels need.

Shapes: N transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from recsys.fraud.labels.label_evidence import FRAUD, UNLABELLED
from recsys.fraud.profiles.arrays import OWN_EVIDENCE, Rows
from recsys.fraud.scoring.scorer import EvidenceScorer
from recsys.fraud.scoring.tails import excess_of
from recsys.schema import IS_FRAUD, TRANSACTION_ID

MEMORY_DAYS = 60.0
"""Days for which a label is remembered once it is known; no window is longer."""

COLUMNS = (
    TRANSACTION_ID,
    "account",
    "counterparty",
    "day",
    "amount",
    "amount_excess",
    "own_excess",
    "label",
)
"""Columns that are kept of a transaction; the label as last known, -1 if unknown."""

_OWN_CAP = 5.0  # most nats of excess that a transaction adds to a window
_AMOUNT_CAP = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentTransactions:
    """Recent transactions in the order of time."""

    table: pa.Table
    """Columns as `COLUMNS` names them."""

    @classmethod
    def of(
        cls, ids: pa.ChunkedArray, rows: Rows, evidence_NJ: Float32Array, scorer: EvidenceScorer
    ) -> RecentTransactions:
        """What is kept of transactions that were scored."""
        excess_NJ = excess_of(scorer.tails, evidence_NJ)
        own = [scorer.kinds.index(kind) for kind in OWN_EVIDENCE]
        own_N = np.minimum(excess_NJ[:, own].sum(1), _OWN_CAP)
        amount_N = np.minimum(excess_NJ[:, scorer.kinds.index("amount_high")], _AMOUNT_CAP)
        return cls(
            table=pa.table(
                {
                    TRANSACTION_ID: ids,
                    "account": pa.array(rows.account),
                    "counterparty": pa.array(rows.counterparty),
                    "day": pa.array(rows.day),
                    "amount": pa.array(rows.amount),
                    "amount_excess": pa.array(amount_N.astype(np.float32)),
                    "own_excess": pa.array(own_N.astype(np.float32)),
                    "label": pa.array(np.full(len(rows.day), UNLABELLED, dtype=np.int8)),
                }
            )
        )

    def followed_by(self, later: RecentTransactions) -> RecentTransactions:
        """These and later ones."""
        return RecentTransactions(table=pa.concat_tables([self.table, later.table]))

    def with_labels(self, labels: pa.Table, delay_days: float) -> RecentTransactions:
        """These, with the labels that are known at the time of the last one.

        Args:
            labels: transaction_id and is_fraud.
            delay_days: Days from a transaction to its label.
        """
        if not len(self):
            return self
        is_known_N = self.day + delay_days <= self.day[-1]
        label_N = np.where(is_known_N, self.labels(labels), UNLABELLED).astype(np.int8)
        place = self.table.column_names.index("label")
        return RecentTransactions(table=self.table.set_column(place, "label", pa.array(label_N)))

    def remembered(self, day: float, delay_days: float) -> RecentTransactions:
        """Those that are still needed from a time on.

        That is the memory and the delay, and of what lies before them the last known fraud of each
        account: one row an account at most.

        Args:
            day: The time, days since 1970.
            delay_days: Days from a transaction to its label.
        """
        # The same sums, in the same order, as in `label_evidence`: they agree to the last bit.
        is_kept_N = self.day + delay_days + MEMORY_DAYS > day
        is_known_N = (self.day + delay_days <= day) & (self.day < day)
        frauds = np.flatnonzero(is_known_N & (self.label == FRAUD))[::-1]
        is_kept_N[frauds[np.unique(self.account[frauds], return_index=True)[1]]] = True
        return RecentTransactions(table=self.table.filter(pa.array(is_kept_N)))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def account(self) -> Int64Array:
        """Place of the account in the state. Shape (N,)."""
        return self._column("account")

    @property
    def counterparty(self) -> Int64Array:
        """Place of the counterparty in the state, -1 without one. Shape (N,)."""
        return self._column("counterparty")

    @property
    def day(self) -> Float64Array:
        """Time in days since 1970. Shape (N,)."""
        return self._column("day")

    @property
    def label(self) -> Int8Array:
        """Label of each, -1 where none is known. Shape (N,)."""
        return self._column("label")

    def values(self, *names: str) -> Float32Array:
        """Some columns side by side. Shape (N, number of names)."""
        return np.stack([self._column(name) for name in names], axis=1).astype(np.float32)

    def labels(self, labels: pa.Table) -> Int8Array:
        """Label of each transaction in a table of labels, -1 where it has none. Shape (N,)."""
        ids = self.table[TRANSACTION_ID]
        places = pc.index_in(ids, value_set=labels[TRANSACTION_ID].combine_chunks())
        found = labels[IS_FRAUD].combine_chunks().cast(pa.int8()).take(places.combine_chunks())
        return np.asarray(pc.fill_null(found, UNLABELLED), dtype=np.int8)

    def _column(self, name: str) -> npt.NDArray[Any]:
        return np.asarray(self.table[name].combine_chunks())
