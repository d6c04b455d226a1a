"""Sums over an account's other transactions within a window of time.

Shapes: N transactions in the order of time, A accounts.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float64Array, Int64Array
from recsys.compiled import compiled


def sum_around(
    account_N: Int64Array, day_N: Float64Array, values_N: Float64Array, *, window_days: float
) -> Float64Array:
    """Sum of the values of the account's other transactions within a window before and after.

    Args:
        account_N: Account of each transaction.
        day_N: Time in days, ascending.
        values_N: What is summed.
        window_days: How far to look.
    """
    num_accounts = int(account_N.max(initial=-1)) + 1
    before_N = _sum_before(account_N, day_N, values_N, num_accounts, window_days)
    back = slice(None, None, -1)
    after_N = _sum_before(
        np.ascontiguousarray(account_N[back]),
        np.ascontiguousarray(-day_N[back]),
        np.ascontiguousarray(values_N[back]),
        num_accounts,
        window_days,
    )[back]
    return np.asarray(before_N + after_N, dtype=np.float64)


@compiled
def _sum_before(
    account_N: Int64Array,
    day_N: Float64Array,
    values_N: Float64Array,
    num_accounts: int,
    window_days: float,
) -> Float64Array:
    """Sum over the rows before of the same account, at most a window away.

    A pointer for each account follows the window, so that the time does not grow with its length.
    """
    num_rows = len(account_N)
    sums_N = np.zeros(num_rows)
    following_N = np.full(num_rows, -1)
    last_A = np.full(num_accounts, -1)
    oldest_A = np.full(num_accounts, -1)
    running_A = np.zeros(num_accounts)
    for row in range(num_rows):
        account = account_N[row]
        oldest = oldest_A[account]
        while oldest >= 0 and day_N[row] - day_N[oldest] > window_days:
            running_A[account] -= values_N[oldest]
            oldest = following_N[oldest]
        if oldest < 0:
            running_A[account] = 0.0  # rounding errors do not accumulate
            oldest = row
        oldest_A[account] = oldest
        sums_N[row] = max(running_A[account], 0.0)
        running_A[account] += values_N[row]
        if last_A[account] >= 0:
            following_N[last_A[account]] = row
        last_A[account] = row
    return sums_N
