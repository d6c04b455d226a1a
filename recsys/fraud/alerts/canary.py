"""Canary: planted takeovers, and how many of them a model finds.

In memory, some accounts get rows of other accounts on the day after the state. Faults in the data,
the training or the state show in the number of these accounts that score higher than with rows of
their own.

Shapes: A accounts, P planted transactions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array, Int64Array
from recsys.features.vocabulary import UNKNOWN
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.cumulative_score import HALF_LIVES
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.scorer import ADDED_CAP
from recsys.schema import ACCOUNT_ID, AMOUNT, EVENT_TIME, EVENT_TIME_TYPE, TRANSACTION_ID
from recsys.time_units import US_PER_DAY, US_PER_S

HIGH_SCORE = 0.99
"""An anomaly score that one in a hundred normal transactions exceeds."""

_NUM_ACCOUNTS, _MAX_ROUNDS, _NUM_PLANTED, _AMOUNT_FACTOR = 1200, 16, 6, 3.0
_QUIET = 3 * ADDED_CAP  # cumulative score of three extremely unusual transactions
_STEP_US = 600 * US_PER_S


FALSE_SHARE = 0.05
"""Share of untouched accounts above the score from which on a takeover counts as found."""


@dataclass(frozen=True, kw_only=True)
class CanaryRecall:
    """How many takeovers were found.

    Args:
        found: Takeovers whose highest score is above that of all but `FALSE_SHARE` of the same
            accounts with old rows of their own. It does not depend on how scores are calibrated.
        planted: Takeovers that were planted, of each account the same number.
        accounts: Accounts; takeovers of one are found or missed together, more or less.
    """

    found: int
    planted: int
    accounts: int

    @property
    def share(self) -> float:
        """Share that was found; NaN where nothing could be planted."""
        return self.found / self.planted if self.planted else math.nan

    @property
    def is_blind(self) -> bool:
        """Whether no more were found than by chance."""
        sd = math.sqrt(FALSE_SHARE * (1 - FALSE_SHARE) / max(self.accounts, 1))
        return self.planted > 0 and not self.share > FALSE_SHARE + 3 * sd

    def fell_from(self, before: float, *, points: float) -> bool:
        """Whether the share is lower than it was by more than some points and chance (3 sd)."""
        if not self.planted or not math.isfinite(before):
            return False
        chance = 3 * math.sqrt(max(before * (1 - before), 0.01) * 2 / self.accounts)
        return self.share < before - points - chance


def plant_and_score(
    model: FraudModel, state: ProfileState, rows: pa.Table, *, seed: int, num_threads: int
) -> CanaryRecall:
    """Plant takeovers after a state and count how many accounts the model finds.

    Accounts with a high cumulative score, and their rows, are left out.

    Args:
        model: The model to test.
        state: The state of the accounts; it is not changed.
        rows: Recent transactions, of which accounts and rows are drawn.
        seed: Of the draw.
        num_threads: Threads of the trees.
    """
    rng = np.random.default_rng(seed)
    rows = _of_quiet_accounts(state, rows)
    first = _first_rows(state, rows)
    if len(first) < 2:
        return CanaryRecall(found=0, planted=0, accounts=0)
    owners_A = np.sort(rng.permutation(first)[:_NUM_ACCOUNTS])

    def highest(table: pa.Table) -> Float64Array:
        scores, _ = model.score(table, state, num_threads=num_threads)
        by_account = np.full(int(scores.account.max()) + 1, -np.inf)
        np.fmax.at(by_account, scores.account, scores.calibrated.anomaly_score)
        return by_account[np.unique(scores.account)]

    rounds = range(min(math.ceil(_NUM_ACCOUNTS / len(owners_A)), _MAX_ROUNDS))
    usual = np.concatenate([highest(_untouched(state, rows, owners_A, rng)) for _ in rounds])
    limit = np.quantile(usual, 1 - FALSE_SHARE, method="higher")
    planted = np.concatenate([highest(_planted(model, state, rows, owners_A, rng)) for _ in rounds])
    found = int(np.count_nonzero(planted > limit))
    return CanaryRecall(found=found, planted=len(planted), accounts=len(owners_A))


def _planted(
    model: FraudModel,
    state: ProfileState,
    rows: pa.Table,
    owners_A: Int64Array,
    rng: np.random.Generator,
) -> pa.Table:
    """Rows of others for some accounts, the day after the state, in the order of time. P rows."""
    owner_P = np.tile(owners_A, _NUM_PLANTED)
    donor_P = rng.integers(0, rows.num_rows, len(owner_P))
    accounts = rows[ACCOUNT_ID].combine_chunks()
    step_P = np.repeat(np.arange(_NUM_PLANTED), len(owners_A))
    times_P = _day_after(state) + US_PER_DAY // 2 + step_P * _STEP_US
    donated = rows.take(pa.array(donor_P))
    own = rows.take(pa.array(owner_P))
    columns = {name: donated[name] for name in rows.column_names}
    columns |= {name: own[name] for name in model.inputs.account_features}
    columns[ACCOUNT_ID] = accounts.take(pa.array(owner_P))
    columns[AMOUNT] = pc.multiply(donated[AMOUNT], _AMOUNT_FACTOR)
    columns[EVENT_TIME] = pa.array(times_P, pa.int64()).cast(EVENT_TIME_TYPE)
    columns[TRANSACTION_ID] = _new_ids(rows.schema.field(TRANSACTION_ID).type, len(owner_P))
    return pa.table(columns)


def _untouched(
    state: ProfileState, rows: pa.Table, owners_A: Int64Array, rng: np.random.Generator
) -> pa.Table:
    """As many old rows of each account itself, at their times of the day. P rows."""
    numbers = state.account_ids.numbers(rows[ACCOUNT_ID])
    order = np.argsort(numbers, kind="stable")
    mine_A = numbers[owners_A]
    first_A = np.searchsorted(numbers[order], mine_A)
    length_A = np.searchsorted(numbers[order], mine_A, side="right") - first_A
    places_P = np.tile(first_A, _NUM_PLANTED) + (
        rng.random(len(owners_A) * _NUM_PLANTED) * np.tile(length_A, _NUM_PLANTED)
    ).astype(np.int64)
    own = rows.take(pa.array(order[places_P]))
    times_P = own[EVENT_TIME].cast(pa.int64()).to_numpy() % US_PER_DAY + _day_after(state)
    columns = {name: own[name] for name in own.column_names}
    columns[EVENT_TIME] = pa.array(times_P, pa.int64()).cast(EVENT_TIME_TYPE)
    columns[TRANSACTION_ID] = _new_ids(own.schema.field(TRANSACTION_ID).type, len(places_P))
    return pa.table(columns).take(pa.array(np.argsort(times_P, kind="stable")))


def _day_after(state: ProfileState) -> int:
    """Microseconds from 1970 to the beginning of the next whole day."""
    return math.ceil(state.until) * US_PER_DAY


def _of_quiet_accounts(state: ProfileState, rows: pa.Table) -> pa.Table:
    """The rows of accounts with a low cumulative score, if they are the majority.

    Rows with real fraud do not show the usual behaviour of an account: in a week with much fraud a
    good model would seem to find less.
    """
    with np.errstate(invalid="ignore"):  # a state that never saw a day
        age_A = (state.until - state.cumulative_day) / HALF_LIVES[1]
        is_quiet_A = state.cumulative_score[:, 1] * 0.5**age_A < _QUIET
    numbers = state.account_ids.numbers(rows[ACCOUNT_ID])
    is_quiet_N = (numbers != UNKNOWN) & is_quiet_A[numbers]
    num_quiet, num_known = (
        len(np.unique(numbers[one])) for one in (is_quiet_N, numbers != UNKNOWN)
    )
    return rows.filter(pa.array(is_quiet_N)) if 2 * num_quiet > num_known else rows


def _first_rows(state: ProfileState, rows: pa.Table) -> Int64Array:
    """The first row of each account that the state knows."""
    numbers = state.account_ids.numbers(rows[ACCOUNT_ID])
    found, first = np.unique(numbers, return_index=True)
    return np.asarray(first[found != UNKNOWN], dtype=np.int64)


def _new_ids(id_type: pa.DataType, count: int) -> pa.Array:
    """Ids that do not occur in any log."""
    if pa.types.is_integer(id_type):
        return pa.array(-(2**62) + np.arange(count), id_type)
    return pa.array([f"canary {number}" for number in range(count)], id_type)
