"""Prior anomalies: an account's earlier unusual amounts, and whether labels refuted them.

A stolen card is used again, while its owner uses it too. So an unusual amount is more suspicious if
others came before it, and less so with each ordinary transaction since, or if labels showed that
the others were legitimate. A label is used from its delay on and never before.

Shapes: N transactions in the order of time, S columns, A accounts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from recsys.compiled import compiled
from recsys.fraud.labels.label_evidence import LEGITIMATE, ORDINARY_EXCESS

PRIOR_ANOMALIES = (
    "account_high_age_days",
    "account_since_high",
    "account_open_high_14d",
    "account_open_highest_14d",
    "account_open_first_age_days",
    "account_refuted_excess_14d",
)
"""Names of the columns, all of them about transactions of the account before the one at hand.

account_high_age_days: days since the last unusual amount; NaN without one in 30 days.
account_since_high: transactions since then; NaN likewise.
account_open_high: unusual amounts of two weeks, those that are known to be legitimate left out.
account_open_highest: the highest excess among them, in nats; 0 without one.
account_open_first_age_days: days since the first of them; NaN without one.
account_refuted_excess: sum of the excess of those that are known to be legitimate.
"""

WINDOW_DAYS, LONGEST_DAYS = 14.0, 30.0
MAX_AMOUNTS = 32
"""Most earlier unusual amounts that are considered, so that busy accounts do not take longer."""


def prior_anomalies(
    *,
    account_N: Int64Array,
    day_N: Float64Array,
    amount_excess_N: Float32Array,
    label_N: Int8Array,
    delay_days: float,
) -> Float32Array:
    """Prior-anomaly features of each transaction, from the account's earlier unusual amounts.

    A label is known if its transaction lies at least the delay before, and strictly before whatever
    the delay. Rows of the same time count as before if they come earlier in the log.

    Args:
        account_N: Account codes from 0.
        day_N: Times in days, ascending.
        amount_excess_N: How unusually high each amount is for its account, in nats; unusual from
            `label_evidence.ORDINARY_EXCESS` on.
        label_N: 1 for fraud, 0 for legitimate, -1 where there never is a label.
        delay_days: Days from a transaction to its label.

    Returns:
        Columns as `PRIOR_ANOMALIES` names them. Shape (N, S).
    """
    found_NS = np.zeros((len(day_N), len(PRIOR_ANOMALIES)), dtype=np.float32)
    found_NS[:, [0, 1, 4]] = np.nan
    if len(day_N):
        _walk(_Rows(account_N, day_N, amount_excess_N, label_N), float(delay_days), found_NS)
    return found_NS


class _Rows(NamedTuple):
    """Transactions in the order of time."""

    account: Int64Array  # (N,)
    day: Float64Array  # (N,)
    excess: Float32Array  # (N,)
    label: Int8Array  # (N,)


@compiled
def _walk(rows: _Rows, delay: float, found_NS: Float32Array) -> None:
    """One pass; the unusual transactions of an account are chained, the latest first."""
    num_rows, num_accounts = len(rows.account), rows.account.max() + 1
    before_N = np.full(num_rows, -1)
    last_A = np.full(num_accounts, -1)
    since_A = np.zeros(num_accounts)
    for row in range(num_rows):
        account = rows.account[row]
        last = last_A[account]
        before_N[row] = last
        if last >= 0 and rows.day[row] - rows.day[last] <= LONGEST_DAYS:
            found_NS[row, 0] = rows.day[row] - rows.day[last]
            found_NS[row, 1] = since_A[account]
            _look_back(rows, row, before_N, delay, found_NS[row])
        since_A[account] += 1
        if rows.excess[row] >= ORDINARY_EXCESS:
            last_A[account] = row
            since_A[account] = 0


@compiled
def _look_back(
    rows: _Rows, row: int, before_N: Int64Array, delay: float, found_S: Float32Array
) -> None:
    """The columns of a row over the unusual amounts of two weeks."""
    now, other = rows.day[row], before_N[row]
    for _ in range(MAX_AMOUNTS):
        if other < 0 or now - rows.day[other] > WINDOW_DAYS:
            break
        is_known = rows.day[other] + delay <= now and rows.day[other] < now
        if is_known and rows.label[other] == LEGITIMATE:
            found_S[5] += rows.excess[other]
        else:
            found_S[2] += 1
            found_S[3] = max(found_S[3], rows.excess[other])
            found_S[4] = now - rows.day[other]
        other = before_N[other]
