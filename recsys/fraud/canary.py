"""Planted takeovers: whether a model still finds what it was made to find.

Rows of other accounts are given to some accounts, in memory, the day after the state. Whatever has
gone wrong, in the data, the training or the state, shows in how many of these accounts score high
that would not have done so with a row of their own.

Shapes: A accounts, P planted transactions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.features.vocabulary import UNKNOWN
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.schema import ACCOUNT_ID, AMOUNT, EVENT_TIME, EVENT_TIME_TYPE, TRANSACTION_ID

Rows: TypeAlias = npt.NDArray[np.int64]

HIGH_SCORE = 0.99
"""An anomaly score that one in a hundred normal transactions exceeds."""

_NUM_ACCOUNTS, _MAX_ROUNDS, _NUM_PLANTED, _AMOUNT_FACTOR = 1200, 16, 6, 3.0
_DAY_US, _STEP_US = 86_400_000_000, 600_000_000


@dataclass(frozen=True, kw_only=True)
class CanaryRecall:
    """How many takeovers were found.

    Args:
        found: Takeovers of which one planted transaction scores high.
        planted: Takeovers that were planted, of each account the same number.
        false_share: Share of the same accounts that score high with an old row of their own.
    """

    found: int
    planted: int
    false_share: float = 0.0

    @property
    def share(self) -> float:
        """Share that was found, less false alarms; NaN where nothing could be planted."""
        return self.found / self.planted - self.false_share if self.planted else math.nan

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
    rng = np.random.default_rng(seed)
    first = _first_rows(state, rows)
    if len(first) < 2:
        return CanaryRecall(found=0, planted=0)
    owners_A = np.sort(rng.permutation(first)[:_NUM_ACCOUNTS])

    def num_high(planted: pa.Table) -> int:
        scores, _ = model.score(planted, state, num_threads=num_threads)
        is_high_P = scores.judgement.anomaly_score >= HIGH_SCORE
        return len(np.unique(scores.account[is_high_P]))

    rounds = min(math.ceil(_NUM_ACCOUNTS / len(owners_A)), _MAX_ROUNDS)
    return CanaryRecall(
        found=sum(num_high(_planted(model, state, rows, owners_A, rng)) for _ in range(rounds)),
        planted=rounds * len(owners_A),
        false_share=num_high(_untouched(state, rows, owners_A)) / len(owners_A),
    )


def _planted(
    model: FraudModel, state: ProfileState, rows: pa.Table, owners_A: Rows, rng: np.random.Generator
) -> pa.Table:
    """Rows of others for some accounts, the day after the state, in the order of time. P rows."""
    owner_P = np.tile(owners_A, _NUM_PLANTED)
    donor_P = rng.integers(0, rows.num_rows, len(owner_P))
    accounts = rows[ACCOUNT_ID].combine_chunks()
    step_P = np.repeat(np.arange(_NUM_PLANTED), len(owners_A))
    times_P = _day_after(state) + _DAY_US // 2 + step_P * _STEP_US
    donated = rows.take(pa.array(donor_P))
    own = rows.take(pa.array(owner_P))
    columns = {name: donated[name] for name in rows.column_names}
    columns |= {name: own[name] for name in model.inputs.profile}
    columns[ACCOUNT_ID] = accounts.take(pa.array(owner_P))
    columns[AMOUNT] = pc.multiply(donated[AMOUNT], _AMOUNT_FACTOR)
    columns[EVENT_TIME] = pa.array(times_P, pa.int64()).cast(EVENT_TIME_TYPE)
    columns[TRANSACTION_ID] = _new_ids(rows.schema.field(TRANSACTION_ID).type, len(owner_P))
    return pa.table(columns)


def _untouched(state: ProfileState, rows: pa.Table, owners_A: Rows) -> pa.Table:
    """A row of each account once more, at its time of the day after the state. A rows."""
    own = rows.take(pa.array(owners_A))
    times_A = own[EVENT_TIME].cast(pa.int64()).to_numpy() % _DAY_US + _day_after(state)
    columns = {name: own[name] for name in own.column_names}
    columns[EVENT_TIME] = pa.array(times_A, pa.int64()).cast(EVENT_TIME_TYPE)
    columns[TRANSACTION_ID] = _new_ids(own.schema.field(TRANSACTION_ID).type, len(owners_A))
    return pa.table(columns).take(pa.array(np.argsort(times_A, kind="stable")))


def _day_after(state: ProfileState) -> int:
    """Microseconds from 1970 to the beginning of the next whole day."""
    return math.ceil(state.until) * _DAY_US


def _first_rows(state: ProfileState, rows: pa.Table) -> Rows:
    """The first row of each account that the state knows."""
    numbers = state.account_ids.numbers(rows[ACCOUNT_ID])
    found, first = np.unique(numbers, return_index=True)
    return np.asarray(first[found != UNKNOWN], dtype=np.int64)


def _new_ids(id_type: pa.DataType, count: int) -> pa.Array:
    """Ids that no log has."""
    if pa.types.is_integer(id_type):
        return pa.array(-(2**62) + np.arange(count), id_type)
    return pa.array([f"canary {number}" for number in range(count)], id_type)
