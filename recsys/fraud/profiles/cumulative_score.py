"""How much unusual behaviour an account has piled up: sums that fade, of a day and of two weeks.

Shapes: N transactions, A accounts.
"""

from __future__ import annotations

import numpy as np

from recsys.compiled import compiled
from recsys.fraud.profiles.arrays import Codes, Days, Floats
from recsys.fraud.profiles.state import NUM_HEATS, ProfileState

HALF_LIVES = (0.5, 7.0)
"""Days, of the sum of a day and of that of two weeks."""


def add_heat(account_N: Codes, day_N: Days, excess_N: Floats, state: ProfileState) -> Floats:
    """What each account had piled up before each transaction; the state moves on in place.

    Args:
        account_N: Place of the account in the state.
        day_N: Time in days, ascending.
        excess_N: What each transaction adds, after it is measured.
        state: State of the accounts.

    Returns:
        Shape (N, NUM_HEATS).
    """
    before_NH = np.zeros((len(account_N), NUM_HEATS), dtype=np.float32)
    _add_heat(account_N, day_N, excess_N, state.heat, state.heat_day, before_NH)
    return before_NH


@compiled
def _add_heat(
    account_N: Codes,
    day_N: Days,
    excess_N: Floats,
    heat_AH: Floats,
    heat_day_A: Days,
    before_NH: Floats,
) -> None:
    for row in range(len(account_N)):
        account = account_N[row]
        gap = day_N[row] - heat_day_A[account]
        for place in range(NUM_HEATS):
            heat_AH[account, place] *= 0.5 ** (gap / HALF_LIVES[place])
            before_NH[row, place] = heat_AH[account, place]
            heat_AH[account, place] += excess_N[row]
        heat_day_A[account] = day_N[row]
