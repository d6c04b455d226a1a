"""From scores of transactions to one score an account and day.

The combined score of a transaction includes the cumulative scores of its account over a day and
over two weeks, so that the highest one of a day measures the episode and not only one payment.

Shapes: N transactions, M account-days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float64Array, FloatArray, Int64Array
from recsys.fraud.scoring.tails import Tail


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountDays:
    """The days on which each account transacted, in the order of days and then accounts."""

    account: Int64Array
    """Place of the account in the state. Shape (M,)."""
    day: Int64Array
    """Days since 1970, in UTC. Shape (M,)."""
    highest: Float64Array
    """Highest combined score of its transactions. Shape (M,)."""
    num_transactions: Int64Array
    """How many there were. Shape (M,)."""
    num_known: Float64Array
    """Transactions of the account known before the first one. Shape (M,)."""

    @classmethod
    def of(
        cls,
        account_N: Int64Array,
        day_N: Float64Array,
        combined_N: Float64Array,
        num_known_N: FloatArray,
    ) -> AccountDays:
        """Gather transactions in the order of time."""
        whole_N = np.floor(day_N).astype(np.int64)
        order_N = np.lexsort((account_N, whole_N))  # stable: keeps the order of time
        account_N, whole_N = account_N[order_N], whole_N[order_N]
        is_first_N = np.ones(len(account_N), dtype=np.bool_)
        is_first_N[1:] = (np.diff(account_N) != 0) | (np.diff(whole_N) != 0)
        starts_M = np.flatnonzero(is_first_N)
        sorted_N = combined_N[order_N]
        return cls(
            account=account_N[starts_M],
            day=whole_N[starts_M],
            highest=np.maximum.reduceat(sorted_N, starts_M) if len(starts_M) else sorted_N,
            num_transactions=np.diff(np.append(starts_M, len(account_N))),
            num_known=num_known_N[order_N][starts_M].astype(np.float64),
        )

    def __len__(self) -> int:
        return len(self.account)

    def p_values(self, tail: Tail) -> Float64Array:
        """Probability of so high a score of an account-day under normal behaviour. Shape (M,)."""
        return np.asarray(np.exp(-tail.surprise(self.highest)))
