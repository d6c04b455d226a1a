"""The one pass over transactions in the order of time: measure first, then let the account learn.

Every number that is written for a transaction comes from transactions before it. The pass keeps
its state in plain arrays, so that it stops at any row and goes on later, or elsewhere, with the
same result to the last bit. Compiled by numba; `advance.py_func` is the same function in plain
Python, which tests compare it with.
"""

from __future__ import annotations

import math

from recsys.fraud.compiled import compiled
from recsys.fraud.profiles.arrays import (
    NUM_VELOCITIES,
    Accounts,
    Counterparties,
    Excess,
    Layout,
    Passed,
    Priors,
    Rows,
)
from recsys.fraud.profiles.learn import learn, learn_counterparty, meet
from recsys.fraud.profiles.measure import (
    context_surprise,
    counterparty_evidence,
    distances,
    expected_amount,
    hour_surprise,
    move_velocities,
    part_in_sum,
    peer_group,
    velocity_surprise,
)


@compiled
def advance(
    rows: Rows,
    accounts: Accounts,
    counterparties: Counterparties,
    layout: Layout,
    priors: Priors,
    excess: Excess,
    out: Passed,
) -> None:
    """Measure every transaction and let the state learn from it, in place.

    Args:
        rows: Transactions in the order of time.
        accounts: State of the accounts.
        counterparties: State of the counterparties.
        layout: Places of the state values.
        priors: What holds for peer groups.
        excess: How evidence becomes excess.
        out: Written in place.
    """
    for row in range(len(rows.account)):
        account = rows.account[row]
        state = accounts.values[account]
        gap = rows.day[row] - accounts.day[account]
        peer = peer_group(state, layout, priors)
        evidence = out.evidence[row]
        mean, var = expected_amount(state, layout, priors, peer, rows.context[row])
        evidence[0] = (rows.amount[row] - mean) / math.sqrt(var)
        evidence[1] = -evidence[0]
        evidence[2] = hour_surprise(state, layout, priors, peer, rows, row)
        evidence[3] = context_surprise(state, layout, priors, peer, rows.context[row])
        move_velocities(state, layout, gap, rows.amount[row])
        for velocity in range(NUM_VELOCITIES):
            evidence[4 + velocity] = velocity_surprise(state, layout, priors, velocity)
        evidence[6] *= part_in_sum(state, layout, rows.amount[row])
        is_new = counterparty_evidence(
            state,
            layout,
            priors,
            peer,
            rows,
            row,
            accounts.sketch,
            counterparties,
            excess,
            evidence,
        )
        evidence[10], evidence[11] = distances(state, layout, priors, peer, rows.log_density[row])

        total = 0.0
        for kind in range(len(excess.threshold)):
            beyond = evidence[kind] - excess.threshold[kind]
            total += max(beyond, 0.0) * excess.rate[kind]
        out.excess[row] = total
        out.num_known[row] = state[layout.num_known]
        out.gap[row] = gap
        out.expected_mean[row], out.expected_var[row] = mean, var
        out.peer[row] = peer

        if total <= excess.limit:
            learn(state, layout, priors, rows, row, is_new)
        learn_counterparty(counterparties, rows, row, total, excess)
        if is_new:
            meet(accounts.sketch[account], rows.bit[row])
        accounts.day[account] = rows.day[row]
