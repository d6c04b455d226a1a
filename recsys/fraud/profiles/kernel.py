"""The one pass over transactions in the order of time: measure first, then let the account learn.

Every number recorded of a transaction comes from transactions before it. The pass keeps its state
in plain arrays, so that it can stop at any row and go on later, or elsewhere, with the same result
to the last bit. Compiled by numba; `advance.py_func` is the same function in plain Python, which
tests compare it with.
"""

from __future__ import annotations

import math

import numpy as np

from recsys.arrays import Float32Array, Float64Array, UInt64Array
from recsys.compiled import compiled
from recsys.fraud.profiles.arrays import (
    NUM_VELOCITIES,
    Accounts,
    Counterparties,
    Excess,
    Layout,
    Passed,
    Population,
    Priors,
    Rows,
)
from recsys.fraud.profiles.learn import (
    hold_back,
    learn,
    learn_counterparty,
    learn_peers,
    may_learn,
    meet,
    settle,
)
from recsys.fraud.profiles.measure import (
    account_distance,
    context_surprise,
    counterparty_evidence,
    expected_amount,
    hour_surprise,
    peer_group,
)
from recsys.fraud.profiles.velocities import (
    move_population,
    move_velocities,
    part_in_sum,
    velocity_surprise,
)


@compiled
def advance(
    rows: Rows,
    accounts: Accounts,
    counterparties: Counterparties,
    population: Population,
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
        population: How busy all accounts are, and how unusual.
        layout: Places of the state values.
        priors: What holds for peer groups.
        excess: How evidence becomes excess.
        out: Written in place.
    """
    velocities = np.zeros(NUM_VELOCITIES)
    for row in range(len(rows.account)):
        account = rows.account[row]
        state = accounts.values[account]
        gap = rows.day[row] - accounts.day[account]
        settle(state, layout, rows.day[row])
        peer = peer_group(state, layout, priors)
        evidence = out.evidence[row]
        mean, var = expected_amount(state, layout, priors, peer, rows.context[row])
        move_population(population, rows.day[row])
        is_new = _measure(
            state, layout, priors, peer, rows, row, accounts.sketch, counterparties, population,
            excess, mean, var, gap, velocities, evidence,
        )  # fmt: skip
        total = _total_excess(evidence, excess)
        out.excess[row] = total
        out.num_known[row] = state[layout.num_known]
        out.expected_mean[row], out.expected_var[row] = mean, var
        out.peer[row] = peer

        if may_learn(state, layout, rows.day[row], total, excess.limit):
            cluster = int(np.argmax(rows.log_density[row]))
            learn(
                state, layout, rows.context[row], rows.hour[row], rows.amount[row], cluster,
                1.0 if is_new else 0.0, velocities,
            )  # fmt: skip
        else:
            hold_back(state, layout, velocities, rows, row, is_new)
        learn_peers(state, layout, priors, rows, row)
        learn_counterparty(counterparties, population, rows, row, total, excess)
        if is_new:
            meet(accounts.sketch[account], rows.bit[row])
        accounts.day[account] = rows.day[row]


@compiled
def _measure(
    state: Float32Array,
    layout: Layout,
    priors: Priors,
    peer: int,
    rows: Rows,
    row: int,
    sketches_AB: UInt64Array,
    counterparties: Counterparties,
    population: Population,
    excess: Excess,
    mean: float,
    var: float,
    gap: float,
    velocities: Float64Array,
    evidence: Float32Array,
) -> bool:
    """Write all evidence of a transaction; returns whether its counterparty is new."""
    evidence[0] = (rows.amount[row] - mean) / math.sqrt(var)
    evidence[1] = -evidence[0]
    evidence[2] = hour_surprise(state, layout, priors, peer, rows, row)
    evidence[3] = context_surprise(state, layout, priors, peer, rows.context[row])
    move_velocities(state, layout, priors, population, gap, rows.amount[row], velocities)
    for velocity in range(NUM_VELOCITIES):
        evidence[4 + velocity] = velocity_surprise(
            state, layout, priors, velocities[velocity], velocity
        )
    evidence[6] *= part_in_sum(state, layout, rows.amount[row])
    is_new = counterparty_evidence(
        state,
        layout,
        priors,
        peer,
        rows,
        row,
        sketches_AB,
        counterparties,
        population,
        excess,
        evidence,
    )
    evidence[10] = account_distance(state, layout, priors, peer, rows.log_density[row])
    return is_new


@compiled
def _total_excess(evidence: Float32Array, excess: Excess) -> float:
    """Weighted nats of all evidence beyond its 95th percentile."""
    total = 0.0
    for kind in range(len(excess.threshold)):
        beyond = evidence[kind] - excess.threshold[kind]
        total += max(beyond, 0.0) * excess.rate[kind]
    return total
