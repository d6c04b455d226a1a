"""How accounts and counterparties learn from a transaction.

Counts, means and squared deviations are updated by the rule of Welford 1962, "Note on a method for
calculating corrected sums of squares and products".
"""

from __future__ import annotations

import math

import numpy as np

from recsys.arrays import Float32Array, Float64Array, FloatArray, UInt64Array
from recsys.compiled import compiled
from recsys.fraud.profiles.arrays import (
    NUM_HOURS,
    NUM_VELOCITIES,
    PENDING_VALUES,
    Counterparties,
    Excess,
    Layout,
    Population,
    Priors,
    Rows,
)
from recsys.fraud.profiles.measure import EXCESS_HALF_LIFE

_MAX_COUNT = 1000.0  # transactions older than this many lose weight
_PEER_MEMORY = 0.998  # of the likelihood that an account belongs to a peer group
_NEW_LIFE = 30.0  # excluded transactions, and so at least as many days
_WORKED_OFF = 0.1  # of an excluded transaction, for each one that is learnt
_SETTLED_DAYS = 3.01  # a little more than three: a day is kept to a minute and a half
_EXCESS_CAP = 5.0  # nats that one transaction adds at most to the excess of a counterparty


@compiled
def may_learn(state: Float32Array, layout: Layout, day: float, total: float, limit: float) -> bool:
    """Whether an account learns from a transaction: it looks normal, or habits have changed.

    Excluded transactions add up, at most one a day, and normal ones reduce the sum, as in the
    cumulative sums of Page 1954, "Continuous inspection schemes". A month of them is not an episode
    of fraud but a change of habits: an account whose holder has moved is not flagged for ever, nor
    is one of whose transactions some always look unusual.
    """
    if total <= limit:
        state[layout.num_excluded] = max(state[layout.num_excluded] - _WORKED_OFF, 0.0)
        return True
    if state[layout.num_excluded] == 0.0:
        state[layout.excluded_since] = day
    days = day - state[layout.excluded_since] + 1.0
    state[layout.num_excluded] = min(state[layout.num_excluded] + 1.0, days)
    return bool(state[layout.num_excluded] >= _NEW_LIFE)


@compiled
def learn(
    state: Float32Array,
    layout: Layout,
    context: int,
    hour: int,
    amount: float,
    cluster: int,
    is_new: float,
    velocities: FloatArray,
) -> None:
    """Update the account with a transaction: what it buys, when, for how much, how often."""
    _add(state, layout.contexts + 3 * context, amount)
    if state[layout.num_known] >= _MAX_COUNT:
        _fade(state, layout)
    state[layout.num_known] += 1.0
    state[layout.num_new] += is_new
    known = state[layout.num_known]
    for velocity in range(NUM_VELOCITIES):
        mean = layout.velocity_mean + velocity
        value = velocities[velocity]
        deviation = value - state[mean]
        state[mean] += deviation / known
        state[layout.velocity_m2 + velocity] += deviation * (value - state[mean])
    state[layout.hours + hour] += 0.5
    state[layout.hours + (hour + 1) % NUM_HOURS] += 0.25
    state[layout.hours + (hour - 1) % NUM_HOURS] += 0.25
    state[layout.clusters + cluster] += 1.0


@compiled
def hold_back(
    state: Float32Array,
    layout: Layout,
    velocities: Float64Array,
    rows: Rows,
    row: int,
    is_new: bool,
) -> None:
    """Keep an excluded transaction until it is known to stand alone; drop two close together."""
    pending = state[layout.pending : layout.pending + PENDING_VALUES]
    is_alone = pending[0] == 0.0
    pending[0] = rows.day[row]
    pending[1] = rows.context[row] if is_alone else -1.0
    pending[2] = rows.hour[row]
    pending[3] = rows.amount[row]
    pending[4] = np.argmax(rows.log_density[row])
    pending[5] = 1.0 if is_new else 0.0
    pending[6:] = velocities


@compiled
def settle(state: Float32Array, layout: Layout, day: float) -> None:
    """Update the account with an excluded transaction that stood alone for days.

    A transaction that is unusual by chance stands alone, while fraud comes in episodes. An account
    that never learnt from its extremes would find them more unusual than they are.
    """
    pending = state[layout.pending : layout.pending + PENDING_VALUES]
    if pending[0] == 0.0 or day - pending[0] <= _SETTLED_DAYS:
        return
    if pending[1] >= 0.0:
        learn(
            state, layout, int(pending[1]), int(pending[2]), pending[3], int(pending[4]),
            pending[5], pending[6:],
        )  # fmt: skip
    pending[0] = 0.0


@compiled
def learn_peers(state: Float32Array, layout: Layout, priors: Priors, rows: Rows, row: int) -> None:
    """Update the account's likelihood of each peer group with a transaction.

    This happens even for excluded transactions: if an account was assigned to the wrong group, the
    transactions that would show its right one are among those excluded.
    """
    context, hour = rows.context[row], rows.hour[row]
    for peer in range(len(priors.context)):
        var = priors.amount_var[peer, context]
        deviation = rows.amount[row] - priors.amount_mean[peer, context]
        likelihood = math.log(priors.context[peer, context] * priors.hour[peer, context, hour])
        likelihood -= 0.5 * (min(deviation * deviation / var, 25.0) + math.log(var))
        state[layout.peers + peer] = state[layout.peers + peer] * _PEER_MEMORY + likelihood


@compiled
def _add(state: Float32Array, place: int, value: float) -> None:
    """Add a value to a count, a mean and a sum of squared deviations, stored in this order."""
    if state[place] >= _MAX_COUNT:
        state[place + 2] *= (_MAX_COUNT - 1.0) / state[place]
        state[place] = _MAX_COUNT - 1.0
    state[place] += 1.0
    deviation = value - state[place + 1]
    state[place + 1] += deviation / state[place]
    state[place + 2] += deviation * (value - state[place + 1])


@compiled
def _fade(state: Float32Array, layout: Layout) -> None:
    """Reduce all counts of an account a little, so that it keeps learning."""
    keep = (_MAX_COUNT - 1.0) / state[layout.num_known]
    state[layout.num_known] *= keep
    state[layout.num_new] *= keep
    for place in range(layout.velocity_m2, layout.velocity_m2 + NUM_VELOCITIES):
        state[place] *= keep
    for place in range(layout.contexts, layout.hours, 3):
        state[place] *= keep
        state[place + 2] *= keep
    for place in range(layout.hours, layout.peers):
        state[place] *= keep


@compiled
def learn_counterparty(
    counterparties: Counterparties,
    population: Population,
    rows: Rows,
    row: int,
    total: float,
    excess: Excess,
) -> None:
    """Update the counterparty: its amounts if normal, and the excess of transactions with it.

    An account that comes again before any other counts once, as of its first visit.
    """
    counterparty, account = rows.counterparty[row], rows.account[row]
    if counterparty < 0:
        return
    values = counterparties.values[counterparty]
    if total <= excess.limit:
        _add(values, 0, rows.amount[row])
    if counterparties.last_account[counterparty] == account:
        return
    fade = 0.5 ** ((rows.day[row] - counterparties.day[counterparty]) / EXCESS_HALF_LIFE)
    values[3] = values[3] * fade + 1.0
    values[5] = min(total, _EXCESS_CAP)
    values[4] = values[4] * fade + values[5]
    _count_excess(population, values[5])
    counterparties.last_account[counterparty] = account
    counterparties.day[counterparty] = rows.day[row]


@compiled
def _count_excess(population: Population, excess: float) -> None:
    """Add the excess of a counterparty to the sums of the population."""
    population.excess[0] += 1.0
    population.excess[1] += excess
    population.excess[2] += excess * excess


@compiled
def meet(sketch_B: UInt64Array, bit: int) -> None:
    """Remember a counterparty."""
    sketch_B[bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)
