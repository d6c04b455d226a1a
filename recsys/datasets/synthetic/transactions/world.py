"""The accounts and merchants of a simulated log, before anything is bought.

Shapes: A accounts, M merchants, C categories, P personas, K favourite merchants,
D ways to pay in person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from recsys.datasets.synthetic.transactions.personas import (
    CATEGORIES,
    COUNTRIES,
    PERSONAS,
    persona_levels,
    persona_mixes,
)
from recsys.datasets.synthetic.transactions.sampling import draw_outcomes

NUM_FAVOURITES = 3
"""Favourite merchants of an account in each category; two of them may be the same."""

_MIX_CONCENTRATION = 60.0  # how close the mix of an account is to that of its persona
_LEAST_SHARE = 1e-3  # an account buys in every category once in a while
_ACCOUNT_SPREAD = 0.25  # of the logarithm of what an account pays, within its persona
_MERCHANT_SPREAD = 0.15  # of the logarithm of what a merchant asks, within its category
_RATE_SHAPE = 4.0  # of the gamma distribution of transactions a day
_COLD_SHARE, _COLD_PART = 0.05, 0.06  # accounts that open in the last part of the days
_LATER_SHARE, _LATER_PART = 0.10, 0.4  # accounts that open in the first part of the days
_CHANNEL_HABIT = (6.0, 4.0, 0.5)  # chip, contactless, swipe: parameters of a Dirichlet


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Accounts and merchants by number.

    Args:
        personas: Persona of each account. Shape (A,).
        ages: Age of its holder. Shape (A,).
        mixes: Share of each category in its purchases. Shape (A, C).
        levels: Median of what it pays in each category. Shape (A, C).
        rates: Transactions a day. Shape (A,).
        opened_days: The day on which it opens. Shape (A,).
        hour_shifts: Hours that it is later than its persona; negative is earlier. Shape (A,).
        habits: Shares of chip, contactless and swipe where it pays in person. Shape (A, D).
        favourites: Its favourite merchants in each category. Shape (A, C, K).
        categories: Category of each merchant. Shape (M,).
        countries: Country of each merchant. Shape (M,).
        online: Whether a merchant sells online only. Shape (M,).
        prices: What a merchant asks, as a multiple of its category. Shape (M,).
        popularity: Weight of each merchant within its category, 0 in the other ones. Shape (C, M).
    """

    personas: Int64Array
    ages: Float32Array
    mixes: Float64Array
    levels: Float64Array
    rates: Float64Array
    opened_days: Int64Array
    hour_shifts: Int64Array
    habits: Float64Array
    favourites: Int64Array
    categories: Int64Array
    countries: Int64Array
    online: BoolArray
    prices: Float64Array
    popularity: Float64Array


def draw_world(
    rng: np.random.Generator,
    *,
    num_accounts: int,
    num_merchants: int,
    num_days: int,
    transactions_per_day: float,
) -> World:
    """Draw accounts and merchants; each category has a merchant."""
    merchants_M = np.arange(num_merchants)
    category_M = rng.permutation(merchants_M % len(CATEGORIES))
    popularity_CM = _popularity(rng, category_M)
    online_C = np.array([category.online for category in CATEGORIES])
    persona_A = _draw_personas(rng, num_accounts)
    ages_P = np.array([persona.age for persona in PERSONAS])
    account_effect_A = rng.lognormal(sigma=_ACCOUNT_SPREAD, size=num_accounts)
    return World(
        personas=persona_A,
        ages=np.clip(np.round(rng.normal(ages_P[persona_A], 5)), 18, 95).astype(np.float32),
        mixes=_draw_mixes(rng, persona_A),
        levels=persona_levels()[persona_A] * account_effect_A[:, None],
        rates=_draw_rates(rng, persona_A, transactions_per_day),
        opened_days=_draw_openings(rng, num_accounts, num_days),
        hour_shifts=rng.integers(-1, 2, size=num_accounts),
        habits=rng.dirichlet(_CHANNEL_HABIT, size=num_accounts),
        favourites=_draw_favourites(rng, popularity_CM, num_accounts),
        categories=category_M,
        countries=_draw_countries(rng, category_M),
        online=rng.random(num_merchants) < online_C[category_M],
        prices=rng.lognormal(sigma=_MERCHANT_SPREAD, size=num_merchants),
        popularity=popularity_CM,
    )


def _draw_personas(rng: np.random.Generator, num_accounts: int) -> Int64Array:
    shares_P = np.array([persona.share for persona in PERSONAS])
    return rng.choice(len(PERSONAS), size=num_accounts, p=shares_P / shares_P.sum())


def _draw_mixes(rng: np.random.Generator, persona_A: Int64Array) -> Float64Array:
    """A Dirichlet draw around the mix of the persona: gammas, divided by their sum."""
    mix_AC = rng.gamma(_MIX_CONCENTRATION * persona_mixes()[persona_A]) + 1e-9
    mix_AC = mix_AC / mix_AC.sum(axis=1, keepdims=True) + _LEAST_SHARE
    return np.asarray(mix_AC / mix_AC.sum(axis=1, keepdims=True))


def _draw_rates(
    rng: np.random.Generator, persona_A: Int64Array, transactions_per_day: float
) -> Float64Array:
    activity_P = np.array([persona.activity for persona in PERSONAS])
    shares_P = np.array([persona.share for persona in PERSONAS])
    mean_activity = np.average(activity_P, weights=shares_P)
    gammas_A = rng.gamma(_RATE_SHAPE, 1 / _RATE_SHAPE, size=len(persona_A))
    return np.asarray(gammas_A * activity_P[persona_A] / mean_activity * transactions_per_day)


def _draw_openings(rng: np.random.Generator, num_accounts: int, num_days: int) -> Int64Array:
    """Day 0 for most accounts, an early day for some, and one of the last days for the cold."""
    kind_A = rng.random(num_accounts)
    place_A = rng.random(num_accounts)
    cold_A = kind_A < _COLD_SHARE
    later_A = kind_A > 1 - _LATER_SHARE
    part_A = np.where(cold_A, 1 - _COLD_PART * place_A, _LATER_PART * place_A * later_A)
    return np.minimum((part_A * num_days).astype(np.int64), num_days - 1)


def _draw_favourites(
    rng: np.random.Generator, popularity_CM: Float64Array, num_accounts: int
) -> Int64Array:
    num_categories = len(popularity_CM)
    categories = np.repeat(np.tile(np.arange(num_categories), num_accounts), NUM_FAVOURITES)
    merchants = draw_outcomes(rng, popularity_CM, categories)
    return merchants.reshape(num_accounts, num_categories, NUM_FAVOURITES)


def _draw_countries(rng: np.random.Generator, category_M: Int64Array) -> Int64Array:
    abroad_C = np.array([category.abroad for category in CATEGORIES])
    abroad_M = rng.random(len(category_M)) < abroad_C[category_M]
    return np.where(abroad_M, rng.integers(1, len(COUNTRIES), size=len(category_M)), 0)


def _popularity(rng: np.random.Generator, category_M: Int64Array) -> Float64Array:
    """Zipf within each category: the merchant of rank r has weight 1/r."""
    num_merchants = len(category_M)
    order_M = np.lexsort((rng.random(num_merchants), category_M))
    counts_C = np.bincount(category_M, minlength=len(CATEGORIES))
    firsts_C = np.cumsum(counts_C) - counts_C
    ranks_M = np.empty(num_merchants, dtype=np.int64)
    ranks_M[order_M] = np.arange(num_merchants) - firsts_C[category_M[order_M]] + 1
    own_CM = category_M == np.arange(len(CATEGORIES))[:, None]
    return np.where(own_CM, 1 / ranks_M, 0.0)
