"""A log of a grocery shop: people buy the same ten to thirty items again and again.

Each user has staples, drawn by popularity and taste, and buys each of them on a trip with a chance
of its own. Now and then a staple gives way to another one, and on most trips something else is
bought once. What is bought next is told best by what the user bought before, and a little by what
others of the same taste buy. The same arguments give the same log.

Shapes: N events, U users, I items, S staples, C tastes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.arrays import Float64Array, Int64Array
from recsys.datasets.dataset import ColumnsConfig, DataConfig, Dataset, FeaturesConfig
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID

_FIRST_EVENT = datetime(2024, 1, 1, tzinfo=UTC)
_FEWEST, _MOST = 10, 30
_TRIP = 0.25
"""Chance of a trip on a day."""
_CHANGE_DAYS, _CHANGED = 30, 0.1
"""Days after which a share of all staples gives way to others."""
_ELSE = 1.0
"""Items bought on a trip beside the staples, on average."""
_TASTE = 1.5
"""By how much items of the own taste stand above others, in the logs of their popularity."""


def generate_groceries(
    *, num_users: int, num_items: int, num_days: int, seed: int, num_tastes: int = 6
) -> Dataset:
    """Draw a log of interactions with times of day, without features.

    Args:
        num_users: People.
        num_items: Items of the shop, at least 100.
        num_days: Days from 2024-01-01 on.
        seed: Seed of everything.
        num_tastes: Groups of people who prefer the same items.
    """
    rng = np.random.default_rng(seed)
    popularity_I = -np.log(rng.permutation(num_items) + 2.0)
    tastes_U, tastes_I = (rng.integers(0, num_tastes, size) for size in (num_users, num_items))
    liking_UI = popularity_I + _TASTE * (tastes_U[:, None] == tastes_I)
    staples_US = _drawn(liking_UI, rng)
    chance_US = rng.beta(1.0, 3.0, staples_US.shape)
    num_staples_U = rng.integers(_FEWEST, _MOST + 1, num_users)
    chance_US[np.arange(_MOST) >= num_staples_U[:, None]] = 0.0
    events = []
    for day in range(num_days):
        if day and day % _CHANGE_DAYS == 0:
            is_new_US = rng.random(staples_US.shape) < _CHANGED
            staples_US = np.where(is_new_US, _drawn(liking_UI, rng), staples_US)
        events.append(_day(day, staples_US, chance_US, liking_UI, rng))
    users_N, items_N, times_N = (np.concatenate(parts) for parts in zip(*events, strict=True))
    order = np.argsort(times_N, kind="stable")
    first = int(_FIRST_EVENT.timestamp() * 1e6)
    times = pa.array(times_N[order] + first).cast(EVENT_TIME_TYPE)
    return Dataset(
        interactions=pa.table(
            {USER_ID: users_N[order], ITEM_ID: items_N[order], EVENT_TIME: times}
        ),
        users=None,
        items=None,
        data=DataConfig(interactions=Path("groceries.parquet")),
        columns=ColumnsConfig(),
        features=FeaturesConfig(),
    )


def _drawn(liking_UI: Float64Array, rng: np.random.Generator) -> Int64Array:
    """Distinct items of each user, drawn by liking: the top of a Gumbel sample. Shape (U, S)."""
    noisy_UI = liking_UI + rng.gumbel(size=liking_UI.shape)
    return np.argsort(-noisy_UI, axis=1)[:, :_MOST]


def _day(
    day: int,
    staples_US: Int64Array,
    chance_US: Float64Array,
    liking_UI: Float64Array,
    rng: np.random.Generator,
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Users, items and times, in microseconds since the first day, of the purchases of a day."""
    num_users = len(staples_US)
    goes_U = rng.random(num_users) < _TRIP
    users, places = np.nonzero(goes_U[:, None] & (rng.random(staples_US.shape) < chance_US))
    others_US = _drawn(liking_UI, rng)
    num_else_U = np.where(goes_U, np.minimum(rng.poisson(_ELSE, num_users), _MOST), 0)
    else_users, else_places = np.nonzero(np.arange(_MOST) < num_else_U[:, None])
    owners = np.concatenate([users, else_users])
    items = np.concatenate([staples_US[users, places], others_US[else_users, else_places]])
    hour_U = rng.integers(8 * 3600, 20 * 3600, num_users)
    seconds = day * 86_400 + hour_U[owners] + np.arange(len(owners)) % 60
    return owners, items, seconds * 1_000_000
