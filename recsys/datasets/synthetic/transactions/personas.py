"""What the simulated world is made of: categories of purchases, and personas who make them.

Shapes: P personas, C categories, H hours of the day, W days of the week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float64Array

HOURS_A_DAY = 24
CHANNELS = ("chip", "contactless", "swipe", "online")
"""How a card is used; the last one needs no card."""
COUNTRIES = ("GB", "FR", "ES", "US", "DE", "IE")
"""Countries of merchants; the first is home to every account."""

_QUIET = 0.004  # weight of an hour in which a persona hardly buys, beside about 1 at a peak
_SPLURGE = 1.8  # what a persona pays in a category that it splurges on, as a multiple


@dataclass(frozen=True, kw_only=True)
class Category:
    """A kind of purchase.

    Args:
        name: Its name.
        level: Median amount, before personas and accounts differ.
        spread: Standard deviation of the logarithm of the amounts of one account.
        online: Share of its merchants that sell online only.
        abroad: Share of its merchants that are in another country.
    """

    name: str
    level: float
    spread: float
    online: float
    abroad: float


@dataclass(frozen=True, kw_only=True)
class Persona:
    """A group of accounts that behave alike.

    Args:
        name: Its name.
        share: Share of the accounts, in proportion.
        age: Mean age.
        activity: Transactions a day, in proportion.
        spending: What it pays, as a multiple of the level of a category.
        splurges: Categories in which it pays still more.
        mix: Shares of the categories, in the order of `CATEGORIES`, in proportion.
        peaks: Hours of the day at which it buys, each with a width in hours and a weight.
        weekend: Weight of a Saturday or Sunday beside 1 for another day.
    """

    name: str
    share: float
    age: float
    activity: float
    spending: float
    splurges: tuple[str, ...]
    mix: tuple[float, ...]
    peaks: tuple[tuple[float, float, float], ...]
    weekend: float


CATEGORIES = (
    Category(name="groceries", level=28.0, spread=0.45, online=0.05, abroad=0.03),
    Category(name="restaurants", level=18.0, spread=0.40, online=0.05, abroad=0.05),
    Category(name="fuel", level=45.0, spread=0.25, online=0.0, abroad=0.05),
    Category(name="transport", level=6.0, spread=0.40, online=0.2, abroad=0.05),
    Category(name="entertainment", level=15.0, spread=0.45, online=0.3, abroad=0.05),
    Category(name="electronics", level=90.0, spread=0.50, online=0.5, abroad=0.2),
    Category(name="clothing", level=40.0, spread=0.45, online=0.4, abroad=0.1),
    Category(name="health", level=20.0, spread=0.45, online=0.1, abroad=0.0),
    Category(name="digital", level=9.0, spread=0.35, online=1.0, abroad=0.3),
    Category(name="travel", level=140.0, spread=0.50, online=0.5, abroad=0.5),
)
"""Kinds of purchases; each merchant sells in one."""

PERSONAS = (
    Persona(
        name="student",
        share=0.2,
        age=21.0,
        activity=1.1,
        spending=0.6,
        splurges=("entertainment",),
        mix=(18.0, 24.0, 1.0, 12.0, 20.0, 1.5, 5.0, 1.5, 16.0, 1.0),
        peaks=((13.0, 1.5, 0.4), (22.0, 2.0, 1.0)),
        weekend=1.6,
    ),
    Persona(
        name="commuter",
        share=0.25,
        age=36.0,
        activity=1.1,
        spending=1.0,
        splurges=("fuel", "transport"),
        mix=(16.0, 22.0, 14.0, 30.0, 3.0, 1.5, 3.0, 2.5, 7.0, 1.0),
        peaks=((7.5, 1.0, 1.0), (12.5, 0.7, 0.6), (18.0, 1.2, 0.9)),
        weekend=0.4,
    ),
    Persona(
        name="family",
        share=0.25,
        age=41.0,
        activity=1.0,
        spending=1.3,
        splurges=("groceries", "clothing"),
        mix=(42.0, 7.0, 11.0, 3.0, 5.0, 2.0, 14.0, 11.0, 4.0, 1.0),
        peaks=((10.5, 1.5, 0.8), (16.5, 1.8, 1.0)),
        weekend=1.8,
    ),
    Persona(
        name="retiree",
        share=0.2,
        age=71.0,
        activity=0.7,
        spending=0.8,
        splurges=("health",),
        mix=(44.0, 9.0, 8.0, 5.0, 3.0, 0.8, 4.0, 24.0, 0.8, 1.5),
        peaks=((10.0, 1.3, 1.0), (14.0, 1.2, 0.4)),
        weekend=0.7,
    ),
    Persona(
        name="traveller",
        share=0.1,
        age=47.0,
        activity=1.2,
        spending=1.9,
        splurges=("travel", "restaurants"),
        mix=(7.0, 30.0, 3.0, 16.0, 6.0, 6.0, 6.0, 2.0, 6.0, 18.0),
        peaks=((8.5, 1.5, 0.6), (13.0, 1.0, 0.6), (20.0, 1.8, 1.0)),
        weekend=0.6,
    ),
)
"""Groups of accounts: they differ in what they buy, when, how often and for how much."""


def persona_mixes() -> Float64Array:
    """Share of each category in the purchases of each persona. Shape (P, C)."""
    mixes_PC = np.array([persona.mix for persona in PERSONAS])
    return np.asarray(mixes_PC / mixes_PC.sum(axis=1, keepdims=True))


def persona_levels() -> Float64Array:
    """Median amount of each persona in each category. Shape (P, C)."""
    levels_C = np.array([category.level for category in CATEGORIES])
    spending_P = np.array([persona.spending for persona in PERSONAS])
    splurges_PC = np.array(
        [[category.name in persona.splurges for category in CATEGORIES] for persona in PERSONAS]
    )
    return np.asarray(spending_P[:, None] * levels_C * np.where(splurges_PC, _SPLURGE, 1.0))


def persona_hours() -> Float64Array:
    """Weight of each hour of the day for each persona. Shape (P, H)."""
    hours_H = np.arange(HOURS_A_DAY, dtype=np.float64) + 0.5
    return np.stack([_hour_weights(persona, hours_H) for persona in PERSONAS])


def persona_weekdays() -> Float64Array:
    """Weight of each day of the week, from Monday, for each persona. Shape (P, W)."""
    return np.array([[1.0] * 5 + [persona.weekend] * 2 for persona in PERSONAS])


def _hour_weights(persona: Persona, hours_H: Float64Array) -> Float64Array:
    weights_H = np.full(len(hours_H), _QUIET)
    for peak, width, weight in persona.peaks:
        half = HOURS_A_DAY / 2
        distances_H = (hours_H - peak + half) % HOURS_A_DAY - half  # midnight joins both ends
        weights_H += weight * np.exp(-0.5 * (distances_H / width) ** 2)
    return weights_H
