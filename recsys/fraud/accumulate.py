"""Sums over an account's other transactions: those before, in windows of any length, or around.

One unusual transaction may be chance; several within days suggest a stolen card. Uses no labels.

Shapes: N transactions in the order of time, V values of a transaction, W windows, A accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.arrays import Float32Array, Float64Array, FloatArray, Int64Array
from recsys.compiled import compiled
from recsys.errors import ConfigError


def sums_before(
    account_N: Int64Array,
    day_N: Float64Array,
    values_NV: Float32Array,
    *,
    windows_days: Sequence[float],
) -> Float32Array:
    """Sums over the account's transactions before each one, at most a window of days before it.

    Rows of the same time count as before if they come earlier in the log. A column of ones among
    the values gives counts.

    Args:
        account_N: Account codes from 0.
        day_N: Times in days, ascending.
        values_NV: What is summed.
        windows_days: Lengths of the windows.

    Returns:
        Shape (N, W, V).

    Raises:
        ConfigError: A window that is not longer than 0.
    """
    if not all(days > 0 for days in windows_days):
        raise ConfigError(
            f"windows: expected lengths greater than 0 days, got {list(windows_days)}; check them"
        )
    num_rows, num_values = values_NV.shape
    sums_NWV = np.zeros((num_rows, len(windows_days), num_values), dtype=np.float32)
    for window, days in enumerate(windows_days):
        if num_rows:
            _sum_before(account_N, day_N, values_NV, float(days), sums_NWV[:, window])
    return sums_NWV


def sum_around(
    account_N: Int64Array, day_N: Float64Array, values_N: Float64Array, *, window_days: float
) -> Float64Array:
    """Sum of the values of the account's other transactions within a window before and after.

    Args:
        account_N: Account of each transaction.
        day_N: Time in days, ascending.
        values_N: What is summed, none of it below 0.
        window_days: How far to look.
    """
    sums_N1 = np.zeros((len(account_N), 1))
    if not len(account_N):
        return sums_N1[:, 0]
    before_N1, after_N1 = sums_N1, sums_N1.copy()
    _sum_before(account_N, day_N, values_N[:, None], window_days, before_N1)
    _sum_before(
        np.ascontiguousarray(account_N[::-1]),
        np.ascontiguousarray(-day_N[::-1]),
        np.ascontiguousarray(values_N[::-1, None]),
        window_days,
        after_N1,
    )
    # What is taken away again leaves rounding errors, which may lie below 0.
    around_N1 = np.maximum(before_N1, 0) + np.maximum(after_N1, 0)[::-1]
    return np.asarray(around_N1[:, 0], dtype=np.float64)


@compiled
def _following(account_N: Int64Array, num_accounts: int) -> Int64Array:
    """The account's next transaction after each one; N after its last."""
    following_N = np.full(len(account_N), len(account_N))
    next_A = np.full(num_accounts, len(account_N))
    for row in range(len(account_N) - 1, -1, -1):
        following_N[row] = next_A[account_N[row]]
        next_A[account_N[row]] = row
    return following_N


@compiled
def _sum_before(
    account_N: Int64Array,
    day_N: Float64Array,
    values_NV: FloatArray,
    window_days: float,
    sums_NV: FloatArray,
) -> None:
    """One pass, with a pointer for each account to the transactions that leave the window."""
    num_accounts, num_values = account_N.max() + 1, values_NV.shape[1]
    following_N = _following(account_N, num_accounts)
    oldest_A = np.full(num_accounts, -1)
    running_AV = np.zeros((num_accounts, num_values))
    for row in range(len(account_N)):
        account = account_N[row]
        oldest = row if oldest_A[account] < 0 else oldest_A[account]
        while oldest < row and day_N[row] - day_N[oldest] > window_days:
            for value in range(num_values):
                running_AV[account, value] -= values_NV[oldest, value]
            oldest = following_N[oldest]
        if oldest == row:
            running_AV[account, :] = 0.0  # rounding errors do not accumulate
        oldest_A[account] = oldest
        for value in range(num_values):
            sums_NV[row, value] = running_AV[account, value]
            running_AV[account, value] += values_NV[row, value]
