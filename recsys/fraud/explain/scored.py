"""A scored day for explanations: the rows of the flagged accounts, before and on the day.

Shapes: N transactions of the day, P earlier ones of the flagged accounts, A flagged accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array, Int64Array
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.scores import Scores
from recsys.schema import ACCOUNT_ID

SUSPICIOUS_P = 0.01
"""P-value up to which a transaction of a flagged account is suspicious."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredDay:
    """The transactions of a day and all that is known about them."""

    model: FraudModel
    """What scored them."""
    state: ProfileState
    """What is known of the accounts after the day."""
    table: pa.Table
    """The transactions under their standard names, in the order of time."""
    scores: Scores
    """Their scores."""
    history: pa.Table
    """All transactions before the day, in the order of time; may be none."""
    with_labels: bool = False
    """Whether labels were given to the model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountRows:
    """The transactions of one flagged account."""

    account: int
    """Place of the account in the state."""
    day: Int64Array
    """Its rows in the day's table."""
    suspicious: Int64Array
    """Those of them that it is flagged for, one at least."""
    past: Int64Array
    """Its rows in the table of earlier transactions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FlaggedRows:
    """The transactions of all flagged accounts."""

    accounts: tuple[AccountRows, ...]
    """One a flagged account, in the order asked for."""
    past: pa.Table
    """Earlier transactions of these accounts. P rows."""

    @property
    def suspicious(self) -> Int64Array:
        """Rows in the day's table that are suspicious, account by account."""
        return np.concatenate([one.suspicious for one in self.accounts] or [_no_rows()])


def flagged_rows(scored: ScoredDay, flagged_A: Int64Array) -> FlaggedRows:
    """Find the rows of the flagged accounts.

    Args:
        scored: The day.
        flagged_A: Places of the accounts in the state; each has a transaction on the day.
    """
    ids = scored.state.account_ids.lookup(flagged_A)
    past = scored.history.filter(pc.is_in(scored.history[ACCOUNT_ID], value_set=ids))
    past_groups = _groups(scored.state.account_ids.numbers(past[ACCOUNT_ID]), flagged_A)
    day_groups = _groups(scored.scores.account, flagged_A)
    accounts = tuple(
        AccountRows(
            account=int(account),
            day=day,
            suspicious=_suspicious(scored.scores.calibrated.p_value, day),
            past=earlier,
        )
        for account, day, earlier in zip(flagged_A, day_groups, past_groups, strict=True)
    )
    return FlaggedRows(accounts=accounts, past=past)


def _groups(account_N: Int64Array, flagged_A: Int64Array) -> list[Int64Array]:
    """Rows of each flagged account, ascending."""
    order_N = np.argsort(account_N, kind="stable")
    sorted_N = account_N[order_N]
    starts = np.searchsorted(sorted_N, flagged_A, side="left")
    ends = np.searchsorted(sorted_N, flagged_A, side="right")
    return [order_N[start:end] for start, end in zip(starts, ends, strict=True)]


def _suspicious(p_value_N: Float64Array, rows: Int64Array) -> Int64Array:
    """Rows with a low p-value, or else the one with the lowest."""
    low = rows[p_value_N[rows] <= SUSPICIOUS_P]
    return low if len(low) else rows[[int(np.argmin(p_value_N[rows]))]]


def _no_rows() -> Int64Array:
    return np.zeros(0, dtype=np.int64)
