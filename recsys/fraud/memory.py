"""What is kept of recent transactions, so that windows and late labels can look back.

Shapes: N transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.fraud.episodes import OWN_EVIDENCE
from recsys.fraud.judge import Judge
from recsys.fraud.profiles.arrays import Codes, Days, Floats, Rows
from recsys.fraud.tails import excess_of
from recsys.schema import IS_FRAUD, TRANSACTION_ID

MEMORY_DAYS = 60.0
"""How far back the windows reach at most, with the delay of labels."""

_OWN_CAP = 5.0  # nats of unusual behaviour that a transaction adds to a window
_AMOUNT_CAP = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RecentTransactions:
    """Transactions in the order of time, as the windows take them."""

    table: pa.Table
    """transaction_id, account, counterparty, day, amount, amount_excess, own_excess."""

    @classmethod
    def of(
        cls, ids: pa.ChunkedArray, rows: Rows, evidence_NJ: Floats, judge: Judge
    ) -> RecentTransactions:
        """What is kept of transactions that were scored."""
        excess_NJ = excess_of(judge.tails, evidence_NJ)
        own = [judge.kinds.index(kind) for kind in OWN_EVIDENCE]
        own_N = np.minimum(excess_NJ[:, own].sum(1), _OWN_CAP)
        amount_N = np.minimum(excess_NJ[:, judge.kinds.index("amount_high")], _AMOUNT_CAP)
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
                }
            )
        )

    def followed_by(self, later: RecentTransactions) -> RecentTransactions:
        """These, and later ones after them."""
        return RecentTransactions(table=pa.concat_tables([self.table, later.table]))

    def since(self, day: float) -> RecentTransactions:
        """Those from a time on."""
        return RecentTransactions(table=self.table.filter(pc.greater_equal(self.table["day"], day)))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def account(self) -> Codes:
        """Place of the account in the state. Shape (N,)."""
        return self._column("account")

    @property
    def counterparty(self) -> Codes:
        """Place of the counterparty in the state, -1 without one. Shape (N,)."""
        return self._column("counterparty")

    @property
    def day(self) -> Days:
        """Time in days since 1970. Shape (N,)."""
        return self._column("day")

    def values(self, *names: str) -> Floats:
        """Some columns side by side. Shape (N, number of names)."""
        return np.stack([self._column(name) for name in names], axis=1).astype(np.float32)

    def labels(self, labels: pa.Table) -> npt.NDArray[np.int8]:
        """Label of each transaction in a table of labels, -1 where it has none. Shape (N,)."""
        ids = self.table[TRANSACTION_ID]
        places = pc.index_in(ids, value_set=labels[TRANSACTION_ID].combine_chunks())
        found = labels[IS_FRAUD].combine_chunks().cast(pa.int8()).take(places.combine_chunks())
        return np.asarray(pc.fill_null(found, -1), dtype=np.int8)

    def _column(self, name: str) -> npt.NDArray[Any]:
        return np.asarray(self.table[name].combine_chunks())
