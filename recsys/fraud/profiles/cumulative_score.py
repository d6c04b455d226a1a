"""Decayed cumulative scores: the recent excess of each account, over a day and over two weeks.

Shapes: N transactions, A accounts.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.compiled import compiled
from recsys.fraud.profiles.state import NUM_CUMULATIVE, ProfileState

HALF_LIVES = (0.5, 7.0)
"""Half-lives in days of the two sums: over about a day, and over about two weeks."""


def add_excess(
    account_N: Int64Array, day_N: Float64Array, excess_N: Float32Array, state: ProfileState
) -> Float32Array:
    """Cumulative scores of the account before each transaction; the state is updated in place.

    Args:
        account_N: Place of the account in the state.
        day_N: Time in days, ascending.
        excess_N: What each transaction adds to the scores of those after it.
        state: State of the accounts.

    Returns:
        Shape (N, NUM_CUMULATIVE).
    """
    before_NH = np.zeros((len(account_N), NUM_CUMULATIVE), dtype=np.float32)
    _add_excess(account_N, day_N, excess_N, state.cumulative_score, state.cumulative_day, before_NH)
    return before_NH


@compiled
def _add_excess(
    account_N: Int64Array,
    day_N: Float64Array,
    excess_N: Float32Array,
    cumulative_AH: Float32Array,
    cumulative_day_A: Float64Array,
    before_NH: Float32Array,
) -> None:
    for row in range(len(account_N)):
        account = account_N[row]
        gap = day_N[row] - cumulative_day_A[account]
        for place in range(NUM_CUMULATIVE):
            cumulative_AH[account, place] *= 0.5 ** (gap / HALF_LIVES[place])
            before_NH[row, place] = cumulative_AH[account, place]
            cumulative_AH[account, place] += excess_N[row]
        cumulative_day_A[account] = day_N[row]
