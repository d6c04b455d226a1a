"""How busy an account is, relative to its own habits and to all accounts.

What is usual for a card depends on the season, the weekday and the hour. So the activity of an
account is divided by the present activity of all accounts as a multiple of their long-run activity.

Compiled by numba; `function.py_func` is the same function in plain Python.
"""

from __future__ import annotations

import math

from recsys.arrays import Float32Array, Float64Array
from recsys.compiled import compiled
from recsys.fraud.profiles.arrays import (
    NUM_COUNTS,
    NUM_EXCESS_SUMS,
    NUM_POPULATION_SUMS,
    NUM_VELOCITIES,
    Layout,
    Population,
    Priors,
)
from recsys.fraud.profiles.measure import MIN_VARIANCE, USUAL_EXCESS_HALF_LIFE

HALF_LIVES = (1 / 24, 1.0, 1.0)
"""Half-lives in days of the short count, the long count and the amount."""
LONG_RUN_HALF_LIFE = 90.0
"""Half-life in days of the long-run activity of all accounts."""
STRENGTH = 200.0
"""Weight of the usual activity, as a number of transactions: a few do not make a season."""
_MOST_TIMES = 3.0  # as busy as expected that one account counts for, and one transaction more
_MAX_LOG_AMOUNT = 80.0  # sums of larger amounts would overflow float32 and stay infinite


@compiled
def move_population(population: Population, day: float) -> None:
    """Update how busy all accounts are before a transaction, and decay how unusual they were.

    The factor is the ratio of recent counts to expected ones, over the same ratio in the long run,
    so that it is 1 on average whatever is expected.
    """
    gap = day - population.day[0]
    for count in range(NUM_COUNTS):
        recent, long_run = population.recent[count], population.long_run[count]
        fade, long_fade = 0.5 ** (gap / HALF_LIVES[count]), 0.5 ** (gap / LONG_RUN_HALF_LIFE)
        for place in range(NUM_POPULATION_SUMS):
            recent[place] *= fade
            long_run[place] *= long_fade
        population.factor[count] = 1.0
        if long_run[1] > 0.0 and long_run[2] > 0.0:
            found = recent[1] + STRENGTH * long_run[1] / long_run[0]
            expected = recent[2] + STRENGTH * long_run[2] / long_run[0]
            population.factor[count] = found / expected * long_run[2] / long_run[1]
    for place in range(NUM_EXCESS_SUMS):
        population.excess[place] *= 0.5 ** (gap / USUAL_EXCESS_HALF_LIFE)
    population.day[0] = day


@compiled
def move_velocities(
    state: Float32Array,
    layout: Layout,
    priors: Priors,
    population: Population,
    gap: float,
    amount: float,
    out: Float64Array,
) -> None:
    """Add a transaction to the decayed sums of its account, and to those of the population.

    Args:
        state: State of the account.
        layout: Places in it.
        priors: What holds for peer groups.
        population: How busy all accounts are.
        gap: Days since the account's last transaction.
        amount: Log amount.
        out: Logs of the counts and the amount, written in place, divided by how busy all accounts
            are: in December all cards are used twice as often, so a card used twice as often is not
            unusual.
    """
    for velocity in range(NUM_VELOCITIES):
        place = layout.velocity + velocity
        before = state[place] * 0.5 ** (gap / HALF_LIVES[velocity])
        new = 1.0 if velocity < NUM_COUNTS else _plain_amount(amount)
        out[velocity] = math.log1p(before / population.factor[min(velocity, NUM_COUNTS - 1)] + new)
        state[place] = before + new
        if velocity < NUM_COUNTS:
            _count(
                population, velocity, before, expected_velocity(state, layout, priors, velocity)[0]
            )


@compiled
def velocity_surprise(
    state: Float32Array, layout: Layout, priors: Priors, value: float, velocity: int
) -> float:
    """Deviation of a log velocity from what the account is used to."""
    mean, var = expected_velocity(state, layout, priors, velocity)
    return float((value - mean) / math.sqrt(var))


@compiled
def part_in_sum(state: Float32Array, layout: Layout, amount: float) -> float:
    """This transaction's part in the day's sum, relative to an equal part, at most 1.

    Without it a small purchase after a large one would be blamed for the large one.
    """
    total, count = state[layout.velocity + 2], state[layout.velocity + 1]
    if total <= 0.0:
        return 0.0
    return float(min(1.0, _plain_amount(amount) * count / total))


@compiled
def expected_velocity(
    state: Float32Array, layout: Layout, priors: Priors, velocity: int
) -> tuple[float, float]:
    """Mean and variance of a log velocity: those of the account, shrunk towards those of all."""
    known = state[layout.num_known]
    mean, prior_mean = state[layout.velocity_mean + velocity], priors.velocity_mean[velocity]
    shrunk = (known * mean + priors.strength * prior_mean) / (known + priors.strength)
    squares = state[layout.velocity_m2 + velocity] + known * (mean - shrunk) ** 2
    squares += priors.strength * (priors.velocity_var[velocity] + (prior_mean - shrunk) ** 2)
    return shrunk, max(squares / (known + priors.strength), MIN_VARIANCE)


@compiled
def _count(population: Population, count: int, before: float, log_expected: float) -> None:
    """Add how busy an account was before a transaction to the sums of the population.

    Transactions of one burst share their weight, and the count is capped at a multiple of what was
    expected: a card that is tested a hundred times does not make a season.
    """
    expected = max(math.expm1(log_expected) - 1.0, 0.0)
    weight = 1.0 / (1.0 + before)
    for sums in (population.recent[count], population.long_run[count]):
        sums[0] += weight
        sums[1] += weight * min(before, _MOST_TIMES * expected + 1.0)
        sums[2] += weight * expected


@compiled
def _plain_amount(amount: float) -> float:
    """The amount of a log amount, 0 of a refund."""
    return math.expm1(min(max(amount, 0.0), _MAX_LOG_AMOUNT))
