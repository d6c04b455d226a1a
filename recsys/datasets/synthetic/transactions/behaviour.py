"""What accounts do when nothing is wrong: purchases, alone or in a row, and a few refunds.

Shapes: N transactions, S sessions of purchases, A accounts, P personas, T days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import Float64Array, Int64Array
from recsys.datasets.synthetic.transactions.personas import (
    CATEGORIES,
    CHANNELS,
    HOURS_A_DAY,
    persona_hours,
    persona_weekdays,
)
from recsys.datasets.synthetic.transactions.sampling import draw_outcomes
from recsys.datasets.synthetic.transactions.world import World

MINUTE_US = 60 * 10**6
HOUR_US = 60 * MINUTE_US
DAY_US = HOURS_A_DAY * HOUR_US
ONLINE = len(CHANNELS) - 1
"""Number of the channel of a purchase without a card."""

_SESSION_SIZES = (0.84, 0.10, 0.04, 0.02)  # shares of sessions of 1, 2, 3 and 4 purchases
_SESSION_GAP_US = (2 * MINUTE_US, 25 * MINUTE_US)
_LOYALTY = 0.85  # share of purchases from a favourite merchant
_FAVOURITE_WEIGHTS = ((0.6, 0.3, 0.1),)
_REFUND_SHARE = 0.006
_LEAST_AMOUNT = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Transactions as numbers; what else a transaction has follows from account and merchant.

    Args:
        accounts: Number of the account. Shape (N,).
        merchants: Number of the merchant. Shape (N,).
        times_us: Microseconds since the start of day 0. Shape (N,).
        amounts: Amounts; refunds are negative. Shape (N,).
        channels: Number of the channel. Shape (N,).
    """

    accounts: Int64Array
    merchants: Int64Array
    times_us: Int64Array
    amounts: Float64Array
    channels: Int64Array

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def days(self) -> Int64Array:
        """Day of each transaction. Shape (N,)."""
        return self.times_us // DAY_US

    def take(self, places: Int64Array) -> Self:
        """The transactions at the given places, in their order."""
        return type(self)(**{name: values[places] for name, values in vars(self).items()})


def draw_normal(rng: np.random.Generator, world: World, *, num_days: int, weekday: int) -> Rows:
    """Draw the normal transactions of all accounts.

    Args:
        rng: Source of the draws.
        world: The accounts and merchants.
        num_days: Days of the log.
        weekday: Day of the week of day 0; Monday is 0.

    Returns:
        Transactions in order of time, within the days.
    """
    account_N, time_us_N = _draw_purchases(rng, world, num_days, weekday)
    category_N = draw_outcomes(rng, world.mixes, account_N)
    merchant_N = draw_merchants(rng, world, account_N, category_N)
    purchases = Rows(
        accounts=account_N,
        merchants=merchant_N,
        times_us=time_us_N,
        amounts=draw_amounts(rng, world, account_N, merchant_N),
        channels=draw_channels(rng, world, account_N, merchant_N),
    )
    rows = joined([purchases, _draw_refunds(rng, purchases)])
    order_N = np.argsort(rows.times_us, kind="stable")
    return rows.take(order_N[rows.times_us[order_N] < num_days * DAY_US])


def joined(parts: list[Rows]) -> Rows:
    """All rows of the parts, one part after the other."""
    names = vars(parts[0])
    return Rows(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in names})


def draw_times_of_day(rng: np.random.Generator, world: World, account_N: Int64Array) -> Int64Array:
    """Microseconds since midnight, at the usual hours of each account."""
    hour_N = draw_outcomes(rng, persona_hours(), world.personas[account_N])
    hour_N = (hour_N + world.hour_shifts[account_N]) % HOURS_A_DAY
    return hour_N * HOUR_US + rng.integers(HOUR_US, size=len(account_N))


def draw_merchants(
    rng: np.random.Generator, world: World, account_N: Int64Array, category_N: Int64Array
) -> Int64Array:
    """A favourite merchant of the account, or now and then another one by popularity."""
    zeros_N = np.zeros(len(account_N), dtype=np.int64)
    favourite_N = draw_outcomes(rng, np.array(_FAVOURITE_WEIGHTS), zeros_N)
    popular_N = draw_outcomes(rng, world.popularity, category_N)
    loyal_N = rng.random(len(account_N)) < _LOYALTY
    return np.where(loyal_N, world.favourites[account_N, category_N, favourite_N], popular_N)


def draw_amounts(
    rng: np.random.Generator, world: World, account_N: Int64Array, merchant_N: Int64Array
) -> Float64Array:
    """Lognormal amounts around what the account pays in the category of the merchant."""
    category_N = world.categories[merchant_N]
    spread_C = np.array([category.spread for category in CATEGORIES])
    level_N = world.levels[account_N, category_N] * world.prices[merchant_N]
    return money(level_N * rng.lognormal(sigma=spread_C[category_N]))


def draw_channels(
    rng: np.random.Generator, world: World, account_N: Int64Array, merchant_N: Int64Array
) -> Int64Array:
    """Online where the merchant is, otherwise by the habit of the account."""
    in_person_N = draw_outcomes(rng, world.habits, account_N)
    return np.where(world.online[merchant_N], ONLINE, in_person_N)


def money(amount_N: Float64Array) -> Float64Array:
    """Amounts with two decimals, none below the least that is charged."""
    return np.asarray(np.round(np.maximum(amount_N, _LEAST_AMOUNT), 2), dtype=np.float64)


def _draw_purchases(
    rng: np.random.Generator, world: World, num_days: int, weekday: int
) -> tuple[Int64Array, Int64Array]:
    """Account and time of each purchase: sessions on a day, and purchases minutes apart."""
    account_S = _draw_sessions(rng, world, num_days)
    weekday_T = (weekday + np.arange(num_days)) % 7
    day_S = draw_outcomes(
        rng,
        persona_weekdays()[:, weekday_T],
        world.personas[account_S],
        first_N=world.opened_days[account_S],
    )
    start_us_S = day_S * DAY_US + draw_times_of_day(rng, world, account_S)
    sizes = np.arange(1, len(_SESSION_SIZES) + 1)
    size_S = rng.choice(sizes, size=len(account_S), p=_SESSION_SIZES)
    first_S = np.cumsum(size_S) - size_S
    gap_us_N = rng.integers(*_SESSION_GAP_US, size=int(size_S.sum()))
    gap_us_N[first_S] = 0
    elapsed_us_N = np.cumsum(gap_us_N)
    delay_us_N = elapsed_us_N - np.repeat(elapsed_us_N[first_S], size_S)
    return np.repeat(account_S, size_S), np.repeat(start_us_S, size_S) + delay_us_N


def _draw_sessions(rng: np.random.Generator, world: World, num_days: int) -> Int64Array:
    """The account of each session; an account has them in proportion to the days it is open."""
    mean_size = np.dot(_SESSION_SIZES, np.arange(1, len(_SESSION_SIZES) + 1))
    counts_A = rng.poisson(world.rates * (num_days - world.opened_days) / mean_size)
    return np.repeat(np.arange(len(counts_A)), counts_A)


def _draw_refunds(rng: np.random.Generator, purchases: Rows) -> Rows:
    """A few purchases come back in full, days later."""
    chosen = purchases.take(np.flatnonzero(rng.random(len(purchases)) < _REFUND_SHARE))
    delay_us_N = rng.integers(DAY_US, 10 * DAY_US, size=len(chosen))
    return Rows(
        accounts=chosen.accounts,
        merchants=chosen.merchants,
        times_us=chosen.times_us + delay_us_N,
        amounts=-chosen.amounts,
        channels=chosen.channels,
    )
