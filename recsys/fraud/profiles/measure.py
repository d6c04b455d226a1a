"""How unusual a transaction is for its account, given what the account did before.

Compiled by numba; `function.py_func` is the same function in plain Python.
"""

from __future__ import annotations

import math

import numpy as np

from recsys.arrays import Float32Array, UInt64Array
from recsys.compiled import compiled
from recsys.fraud.profiles.arrays import (
    NUM_HOURS,
    Counterparties,
    Excess,
    Layout,
    Population,
    Priors,
    Rows,
)

EXCESS_HALF_LIFE = 3.0
"""Half-life in days of the excess at a counterparty."""
USUAL_EXCESS_HALF_LIFE = 10.0
"""Half-life in days of the usual excess over all counterparties."""
MIN_VARIANCE = 1e-3
"""Least variance of log amounts and log velocities: even an account that has always paid the same
may pay another amount."""
_STRENGTH = 200.0  # weight of the usual excess of training, as a number of events


@compiled
def peer_group(state: Float32Array, layout: Layout, priors: Priors) -> int:
    """The peer group that the account most likely belongs to, the first of equals."""
    best = 0
    for peer in range(1, len(priors.context)):
        if state[layout.peers + peer] > state[layout.peers + best]:
            best = peer
    return best


@compiled
def expected_amount(
    state: Float32Array, layout: Layout, priors: Priors, peer: int, context: int
) -> tuple[float, float]:
    """Mean and variance of the log amount: those of the account, shrunk towards its peers.

    The mean is the posterior mean of a normal with a conjugate prior. The variance includes the
    prior variance, and the distance of the prior mean, with the weight of the prior.
    """
    place = layout.contexts + 3 * context
    count, mean, m2 = state[place], state[place + 1], state[place + 2]
    prior_mean = priors.amount_mean[peer, context]
    shrunk = (count * mean + priors.strength * prior_mean) / (count + priors.strength)
    squares = m2 + count * (mean - shrunk) ** 2
    squares += priors.strength * (priors.amount_var[peer, context] + (prior_mean - shrunk) ** 2)
    return shrunk, max(squares / (count + priors.strength), MIN_VARIANCE)


@compiled
def hour_surprise(
    state: Float32Array, layout: Layout, priors: Priors, peer: int, rows: Rows, row: int
) -> float:
    """-log p(hour | peer group, context), tilted by how the account's hours differ from its peers'.

    p(h | account, context) is proportional to p(h | peer, context) p(h | account) / p(h | peer).
    """
    context, observed = rows.context[row], rows.hour[row]
    known = state[layout.num_known]
    total, chosen = 0.0, 0.0
    for hour in range(NUM_HOURS):
        usual = priors.hour_of_peer[peer, hour]
        own = (state[layout.hours + hour] + priors.strength * usual) / (known + priors.strength)
        share = priors.hour[peer, context, hour] * own / usual
        total += share
        if hour == observed:
            chosen = share
    return -math.log(chosen / total)


@compiled
def context_surprise(
    state: Float32Array, layout: Layout, priors: Priors, peer: int, context: int
) -> float:
    """-log p(context | account), shrunk towards the peers."""
    count = state[layout.contexts + 3 * context] + priors.strength * priors.context[peer, context]
    return -math.log(count / (state[layout.num_known] + priors.strength))


@compiled
def counterparty_evidence(
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
    evidence: Float32Array,
) -> bool:
    """Whether the counterparty is new to the account; its evidence is written in place."""
    counterparty, account = rows.counterparty[row], rows.account[row]
    evidence[7], evidence[8], evidence[9] = 0.0, 0.0, 0.0
    if counterparty < 0:
        return False
    is_new = not _has_met(sketches_AB[account], rows.bit[row])
    if is_new:
        new = state[layout.num_new] + priors.strength * priors.new_share
        evidence[7] = -math.log(new / (state[layout.num_known] + priors.strength))
    values = counterparties.values[counterparty]
    prior_mean = priors.amount_mean[peer, rows.context[row]]
    prior_var = priors.amount_var[peer, rows.context[row]]
    total = values[0] + priors.strength
    mean = (values[0] * values[1] + priors.strength * prior_mean) / total
    squares = values[2] + values[0] * (values[1] - mean) ** 2
    squares += priors.strength * (prior_var + (prior_mean - mean) ** 2)
    var = max(squares / total, MIN_VARIANCE)
    evidence[8] = (rows.amount[row] - mean) / math.sqrt(var)
    fade = 0.5 ** ((rows.day[row] - counterparties.day[counterparty]) / EXCESS_HALF_LIFE)
    events, others = values[3] * fade, values[4] * fade
    if counterparties.last_account[counterparty] == account:
        others -= values[5] * fade
        events -= fade
    if events > 0.0:
        usual, usual_var = usual_excess(population, excess)
        beyond = others - events * usual
        evidence[9] = max(beyond, 0.0) / math.sqrt((events + 1.0) * usual_var)
    return is_new


@compiled
def usual_excess(population: Population, excess: Excess) -> tuple[float, float]:
    """Mean and variance of the recent excess at counterparties, shrunk towards those of training.

    The more is known of accounts, the higher their excess becomes. Compared with a mean of long
    ago, every counterparty would become suspicious in time.
    """
    total = population.excess[0] + _STRENGTH
    mean = (population.excess[1] + _STRENGTH * excess.mean) / total
    squares = population.excess[2] + _STRENGTH * (excess.variance + excess.mean * excess.mean)
    return mean, max(squares / total - mean * mean, MIN_VARIANCE)


@compiled
def account_distance(
    state: Float32Array, layout: Layout, priors: Priors, peer: int, log_density_K: Float32Array
) -> float:
    """-log density of the embedding under the account's clusters, shrunk towards its peers'."""
    known = state[layout.num_known]
    highest = log_density_K.max()
    total = 0.0
    for cluster in range(len(log_density_K)):
        count = state[layout.clusters + cluster] + priors.strength * priors.cluster[peer, cluster]
        total += math.exp(log_density_K[cluster] - highest) * count
    return float(-(highest + math.log(total / (known + priors.strength))))


@compiled
def _has_met(sketch_B: UInt64Array, bit: int) -> bool:
    return bool((sketch_B[bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1))
