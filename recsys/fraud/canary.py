"""Planted takeovers: whether a model still finds what it was made to find.

Rows of other accounts are given to some accounts, in memory, the day after the state. Whatever has
gone wrong, in the data, the training or the state, shows in how many of these accounts score high.

Shapes: A accounts, P planted transactions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.features.vocabulary import UNKNOWN
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.schema import ACCOUNT_ID, AMOUNT, EVENT_TIME, EVENT_TIME_TYPE, TRANSACTION_ID

HIGH_SCORE = 0.99
"""An anomaly score that one in a hundred normal transactions exceeds."""

_NUM_ACCOUNTS, _NUM_PLANTED, _AMOUNT_FACTOR = 300, 6, 3.0
_DAY_US, _STEP_US = 86_400_000_000, 600_000_000


@dataclass(frozen=True, kw_only=True)
class CanaryRecall:
    """How many planted accounts were found.

    Args:
        found: Accounts of which one planted transaction scores high.
        planted: Accounts that were planted.
    """

    found: int
    planted: int

    @property
    def share(self) -> float:
        """Share that was found; NaN where nothing could be planted."""
        return self.found / self.planted if self.planted else math.nan

    def fell_from(self, before: float, *, points: float) -> bool:
        """Whether the share is lower than it was by more than some points and chance (3 sd)."""
        if not self.planted or not math.isfinite(before):
            return False
        chance = 3 * math.sqrt(max(before * (1 - before), 0.01) * 2 / self.planted)
        return self.share < before - points - chance


def plant_and_score(
    model: FraudModel, state: ProfileState, rows: pa.Table, *, seed: int, num_threads: int
) -> CanaryRecall:
    """Plant takeovers after a state and count how many accounts the model finds.

    Args:
        model: What is tried.
        state: What is known of the accounts; it stays as it is.
        rows: Recent transactions, of which accounts and rows are drawn.
        seed: Of the draw.
        num_threads: Threads of the trees.
    """
    planted = _planted(model, state, rows, seed)
    if not planted.num_rows:
        return CanaryRecall(found=0, planted=0)
    scores, _ = model.score(planted, state, num_threads=num_threads)
    is_high_P = scores.judgement.anomaly_score >= HIGH_SCORE
    accounts = scores.account[is_high_P]
    return CanaryRecall(found=len(np.unique(accounts)), planted=len(np.unique(scores.account)))


def _planted(model: FraudModel, state: ProfileState, rows: pa.Table, seed: int) -> pa.Table:
    """The planted transactions in the order of time. P rows."""
    rng = np.random.default_rng(seed)
    first = _first_rows(state, rows)
    if len(first) < 2:
        return rows.slice(0, 0)
    owners = np.sort(rng.permutation(first)[:_NUM_ACCOUNTS])
    owner_P = np.tile(owners, _NUM_PLANTED)
    donor_P = rng.integers(0, rows.num_rows, len(owner_P))
    accounts = rows[ACCOUNT_ID].combine_chunks()
    step_P = np.repeat(np.arange(_NUM_PLANTED), len(owners))
    start = math.ceil(state.until) * _DAY_US + _DAY_US // 2
    times = pa.array(start + step_P * _STEP_US, pa.int64()).cast(EVENT_TIME_TYPE)
    donated = rows.take(pa.array(donor_P))
    own = rows.take(pa.array(owner_P))
    columns = {name: donated[name] for name in rows.column_names}
    columns |= {name: own[name] for name in model.inputs.profile}
    columns[ACCOUNT_ID] = accounts.take(pa.array(owner_P))
    columns[AMOUNT] = pc.multiply(donated[AMOUNT], _AMOUNT_FACTOR)
    columns[EVENT_TIME] = times
    columns[TRANSACTION_ID] = _new_ids(rows.schema.field(TRANSACTION_ID).type, len(owner_P))
    return pa.table(columns)


def _first_rows(state: ProfileState, rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first row of each account that the state knows."""
    numbers = state.account_ids.numbers(rows[ACCOUNT_ID])
    found, first = np.unique(numbers, return_index=True)
    return np.asarray(first[found != UNKNOWN], dtype=np.int64)


def _new_ids(id_type: pa.DataType, count: int) -> pa.Array:
    """Ids that no log has."""
    if pa.types.is_integer(id_type):
        return pa.array(-(2**62) + np.arange(count), id_type)
    return pa.array([f"canary {number}" for number in range(count)], id_type)
