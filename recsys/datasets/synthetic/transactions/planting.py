"""How each kind of fraud looks: transactions that are added to a normal log.

The kinds follow those of the literature on card fraud: account takeover, card testing, bust-out,
a compromised merchant, and a drift slow enough for a baseline of the recent past to follow.

Shapes: N transactions, C categories, M merchants, H hours of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.datasets.synthetic.transactions.behaviour import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    ONLINE,
    Rows,
    draw_channels,
    draw_merchants,
    draw_times_of_day,
    money,
)
from recsys.datasets.synthetic.transactions.personas import CHANNELS, HOURS_A_DAY, persona_hours
from recsys.datasets.synthetic.transactions.plants import Plant, PlantKind
from recsys.datasets.synthetic.transactions.sampling import draw_outcomes
from recsys.datasets.synthetic.transactions.world import World

LONGEST_DAYS: Mapping[PlantKind, int] = {
    "takeover": 2,
    "card_testing": 1,
    "bust_out": 3,
    "bad_merchant": 5,
    "slow_drift": 35,
}
"""Days that each kind of plant takes at most."""
FRAUD_LEVEL = 3.0
"""A transaction of "slow_drift" is fraud when the level is above so many times the usual."""
MIN_VICTIMS = 20
"""Accounts that a bad merchant charges at least."""

_SWIPE = CHANNELS.index("swipe")
_NUM_QUIET_HOURS = 5
_NUM_RARE_CATEGORIES = 4
_FACTOR = (4.0, 8.0)  # amounts of stolen money, as a multiple of the usual
_BUST_OUT_FACTOR = (10.0, 20.0)  # spending of some days, as a multiple of the usual
_FINAL_LEVEL = 5.0  # a drift goes on until it is so many times the usual, if 35 days suffice


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What fraud is put into.

    Args:
        world: The accounts and merchants.
        normal: The normal transactions.
        num_days: Days of the log.
        victims: Numbers of the accounts that a bad merchant may charge.
    """

    world: World
    normal: Rows
    num_days: int
    victims: Int64Array


@dataclass(frozen=True, kw_only=True, eq=False)
class PlantedRows:
    """Transactions of one plant.

    Args:
        rows: The transactions, in order of time.
        is_fraud: Which of them are fraud. Shape (N,).
    """

    rows: Rows
    is_fraud: BoolArray


def draw_planted(rng: np.random.Generator, scene: Scene, plant: Plant, target: int) -> PlantedRows:
    """Draw the transactions of a plant.

    Args:
        rng: Source of the draws.
        scene: What the plant is put into.
        plant: What to plant; it fits into the days of the log.
        target: Number of an account, or of a merchant, with normal transactions.
    """
    if plant.kind == "slow_drift":
        rows, is_fraud_N = _slow_drift(rng, scene, plant, target)
    else:
        rows = _DRAWS[plant.kind](rng, scene, plant, target)
        is_fraud_N = np.ones(len(rows), dtype=np.bool_)
    order_N = np.argsort(rows.times_us, kind="stable")
    return PlantedRows(rows=rows.take(order_N), is_fraud=is_fraud_N[order_N])


def _takeover(rng: np.random.Generator, scene: Scene, plant: Plant, target: int) -> Rows:
    """Large purchases at strange hours, in strange categories, from merchants never met."""
    world = scene.world
    num_rows, num_days = int(rng.integers(6, 13)), int(rng.integers(1, 3))
    account_N = np.full(num_rows, target)
    rare = np.argsort(world.mixes[target], kind="stable")[:_NUM_RARE_CATEGORIES]
    category_N = rng.choice(rare, size=num_rows)
    merchant_N = draw_outcomes(rng, _unmet(scene, target), category_N)
    hour_N = rng.choice(_quiet_hours(world, target), size=num_rows)
    time_us_N = hour_N * HOUR_US + rng.integers(HOUR_US, size=num_rows)
    usual_N = np.maximum(_median_of_account(scene, target), world.levels[target, category_N])
    return Rows(
        accounts=account_N,
        merchants=merchant_N,
        times_us=_day_starts(plant, num_rows, num_days) + time_us_N,
        amounts=money(usual_N * _factors(rng, plant, num_rows)),
        channels=np.where(world.online[merchant_N], ONLINE, _SWIPE),
    )


def _card_testing(rng: np.random.Generator, scene: Scene, plant: Plant, target: int) -> Rows:
    """Tiny charges within an hour or two, to see whether a stolen card works."""
    num_rows = max(1, round(int(rng.integers(15, 41)) * plant.intensity))
    online = np.flatnonzero(scene.world.online)
    used = rng.choice(online, size=min(int(rng.integers(1, 3)), len(online)), replace=False)
    span_us = int(rng.integers(45 * MINUTE_US, 115 * MINUTE_US))
    start_us = plant.day * DAY_US + int(rng.integers(DAY_US - span_us))
    return Rows(
        accounts=np.full(num_rows, target),
        merchants=rng.choice(used, size=num_rows),
        times_us=start_us + rng.integers(span_us, size=num_rows),
        amounts=money(rng.uniform(0.5, 2.0, size=num_rows)),
        channels=np.full(num_rows, ONLINE),
    )


def _bust_out(rng: np.random.Generator, scene: Scene, plant: Plant, target: int) -> Rows:
    """The account spends at its usual hours and merchants, but many times as much a day."""
    world, normal = scene.world, scene.normal
    own = _purchases(normal, normal.accounts, target)
    num_days = int(rng.integers(2, 4))
    open_days = scene.num_days - int(world.opened_days[target])
    usual_rows, usual_sum = np.array([len(own), own.sum()]) * num_days / open_days
    num_rows = int(np.clip(round(4 * usual_rows), 10, 80))
    account_N = np.full(num_rows, target)
    merchant_N = draw_merchants(rng, world, account_N, draw_outcomes(rng, world.mixes, account_N))
    parts_N = world.levels[target, world.categories[merchant_N]] ** 0.5  # dear ones dearer
    parts_N = parts_N * rng.lognormal(sigma=0.2, size=num_rows)
    total = usual_sum * rng.uniform(*_BUST_OUT_FACTOR) * plant.intensity
    return Rows(
        accounts=account_N,
        merchants=merchant_N,
        times_us=_day_starts(plant, num_rows, num_days) + draw_times_of_day(rng, world, account_N),
        amounts=money(total * parts_N / parts_N.sum()),
        channels=draw_channels(rng, world, account_N, merchant_N),
    )


def _bad_merchant(rng: np.random.Generator, scene: Scene, plant: Plant, target: int) -> Rows:
    """A merchant charges many accounts far more than it, and they, are used to."""
    world, normal = scene.world, scene.normal
    num_victims = min(int(rng.integers(MIN_VICTIMS, 2 * MIN_VICTIMS + 1)), len(scene.victims))
    victims = rng.choice(scene.victims, size=num_victims, replace=False)
    account_N = rng.permutation(np.repeat(victims, rng.integers(1, 3, size=num_victims)))
    num_days = int(rng.integers(3, 6))
    merchant_N = np.full(len(account_N), target)
    median = np.median(_purchases(normal, normal.merchants, target))
    usual_N = np.maximum(median, world.levels[account_N, world.categories[target]])
    return Rows(
        accounts=account_N,
        merchants=merchant_N,
        times_us=_day_starts(plant, len(account_N), num_days)
        + draw_times_of_day(rng, world, account_N),
        amounts=money(usual_N * _factors(rng, plant, len(account_N))),
        channels=draw_channels(rng, world, account_N, merchant_N),
    )


def _slow_drift(
    rng: np.random.Generator, scene: Scene, plant: Plant, target: int
) -> tuple[Rows, BoolArray]:
    """Purchases every day, in a main category of the account, each day some per cent larger."""
    world = scene.world
    growth = 1 + rng.uniform(0.06, 0.08) * plant.intensity
    longest = LONGEST_DAYS["slow_drift"]
    least_days = int(np.sum(growth ** np.arange(longest) < _FINAL_LEVEL)) + 1
    num_days = min(max(int(rng.integers(25, longest + 1)), least_days), longest)
    rows_a_day = 1 + rng.poisson(world.rates[target] / 2, size=num_days)
    day_N = np.repeat(np.arange(num_days), rows_a_day)
    account_N = np.full(len(day_N), target)
    median = _median_of_account(scene, target)
    # A cheap category would reach the usual amount of the account only at the end of the drift.
    dear_C = world.levels[target] >= min(median, world.levels[target].max())
    category = int(np.argmax(np.where(dear_C, world.mixes[target], 0.0)))
    merchant_N = draw_merchants(rng, world, account_N, np.full(len(day_N), category))
    level_N = growth**day_N
    usual = max(median, float(world.levels[target, category]))
    rows = Rows(
        accounts=account_N,
        merchants=merchant_N,
        times_us=(plant.day + day_N) * DAY_US + draw_times_of_day(rng, world, account_N),
        amounts=money(usual * level_N * rng.lognormal(sigma=0.1, size=len(day_N))),
        channels=draw_channels(rng, world, account_N, merchant_N),
    )
    return rows, level_N > FRAUD_LEVEL


_DRAWS: Mapping[PlantKind, Callable[[np.random.Generator, Scene, Plant, int], Rows]] = {
    "takeover": _takeover,
    "card_testing": _card_testing,
    "bust_out": _bust_out,
    "bad_merchant": _bad_merchant,
}


def _day_starts(plant: Plant, num_rows: int, num_days: int) -> Int64Array:
    """Midnight before each transaction; they are dealt out to the days in turn."""
    return (plant.day + np.arange(num_rows) % num_days) * DAY_US


def _factors(rng: np.random.Generator, plant: Plant, num_rows: int) -> Float64Array:
    return np.asarray(rng.uniform(*_FACTOR, size=num_rows) * plant.intensity)


def _purchases(normal: Rows, side_N: Int64Array, number: int) -> Float64Array:
    """Amounts of an account or a merchant, refunds left out."""
    is_own_N: BoolArray = (side_N == number) & (normal.amounts > 0)
    return normal.amounts[is_own_N]


def _median_of_account(scene: Scene, account: int) -> float:
    return float(np.median(_purchases(scene.normal, scene.normal.accounts, account)))


def _unmet(scene: Scene, account: int) -> Float64Array:
    """Popularity of the merchants that an account never met; of all where it met all."""
    popularity_CM = scene.world.popularity
    unmet_CM = popularity_CM.copy()
    unmet_CM[:, scene.normal.merchants[scene.normal.accounts == account]] = 0.0
    return np.where(unmet_CM.sum(axis=1, keepdims=True) > 0, unmet_CM, popularity_CM)


def _quiet_hours(world: World, account: int) -> Int64Array:
    """The hours in a row in which the account is least likely to buy."""
    weights_H = persona_hours()[world.personas[account]]
    sums_H = sum(np.roll(weights_H, -ahead) for ahead in range(_NUM_QUIET_HOURS))
    first = int(np.argmin(sums_H)) + int(world.hour_shifts[account])
    return (first + np.arange(_NUM_QUIET_HOURS)) % HOURS_A_DAY
