"""Logs with a planted truth: users and items belong to clusters, and like finds like.

Interactions are drawn by cluster and by Zipf popularity, features are noisy hints at the cluster.
The same arguments give the same log. Ten million interactions take seconds.

Shapes: N interactions, U users, I items, C clusters, D dimensions of the item vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array, Int64Array
from recsys.datasets.columns.ids import IdType
from recsys.datasets.dataset import (
    ColumnsConfig,
    DataConfig,
    Dataset,
    FeatureConfig,
    FeaturesConfig,
)
from recsys.errors import ConfigError
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, TITLE, USER_ID
from recsys.time_units import US_PER_DAY, US_PER_S

SYNTHETIC_FEATURES = FeaturesConfig(
    users={
        "segment": FeatureConfig(kind="categorical"),
        "age": FeatureConfig(kind="numeric"),
    },
    items={
        "category": FeatureConfig(kind="categorical"),
        "tags": FeatureConfig(kind="multi_hot"),
        "price": FeatureConfig(kind="numeric"),
        "vector": FeatureConfig(kind="dense"),
    },
)
"""The features of a synthetic log: one of each kind."""

VECTOR_DIM = 16
"""Width of the item feature `vector`."""

_FIRST_EVENT = datetime(2024, 1, 1, tzinfo=UTC)
_LOYALTY = 0.8  # share of interactions with items of the user's own cluster
_HINT = 0.9  # share of users and items whose term names their own cluster
_BLOCK = 2**20  # interactions drawn at once, which bounds the memory of the draw


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticLog:
    """A dataset and the truth behind it.

    Args:
        dataset: Interactions in order of time, users and items with `SYNTHETIC_FEATURES`.
        user_clusters: Cluster of each row of the users table. Shape (U,).
        item_clusters: Cluster of each row of the items table. Shape (I,).
    """

    dataset: Dataset
    user_clusters: Int64Array
    item_clusters: Int64Array


def generate_interactions(
    *,
    num_users: int,
    num_items: int,
    num_interactions: int,
    num_clusters: int,
    seed: int,
    popularity_exponent: float = 1.0,
    num_days: int = 90,
    id_type: IdType = "int64",
) -> SyntheticLog:
    """Draw a log of users who prefer the items of their own cluster.

    Args:
        num_users: Users; each row of the users table is one.
        num_items: Items; at least one a cluster.
        num_interactions: Rows of the log; a user may meet an item more than once.
        num_clusters: Groups of users and items.
        seed: Seed of every draw.
        popularity_exponent: Item popularity falls with rank to this power (Zipf); 0 is uniform.
        num_days: Time that the log spans, from 2024-01-01 UTC.
        id_type: Type of the ids; strings have leading zeros.

    Raises:
        ConfigError: A size below 1, or more clusters than items.
    """
    sizes = (num_users, num_items, num_interactions, num_clusters, num_days)
    if min(sizes) < 1 or num_clusters > num_items:
        raise ConfigError(
            "synthetic log: expected sizes of at least 1 and an item for each cluster, got "
            f"{num_users} users, {num_items} items, {num_interactions} interactions, "
            f"{num_clusters} clusters, {num_days} days; choose other sizes"
        )
    rng = np.random.default_rng(seed)
    user_clusters_U = rng.integers(num_clusters, size=num_users)
    item_clusters_I = rng.permutation(np.arange(num_items) % num_clusters)
    popularity_I = rng.permutation(np.arange(1, num_items + 1) ** -float(popularity_exponent))
    users_N, items_N = _draw(rng, user_clusters_U, item_clusters_I, popularity_I, num_interactions)
    user_ids, item_ids = _ids(num_users, id_type), _ids(num_items, id_type)
    log = {
        USER_ID: user_ids.take(pa.array(users_N)),
        ITEM_ID: item_ids.take(pa.array(items_N)),
        EVENT_TIME: _times(rng, num_interactions, num_days),
    }
    users = _users(rng, user_ids, user_clusters_U, num_clusters)
    items = _items(rng, item_ids, item_clusters_I, num_clusters)
    return SyntheticLog(
        dataset=_dataset(pa.table(log), users, items),
        user_clusters=user_clusters_U,
        item_clusters=item_clusters_I,
    )


def _dataset(interactions: pa.Table, users: pa.Table, items: pa.Table) -> Dataset:
    data = DataConfig(
        interactions=Path("synthetic interactions"),
        users=Path("synthetic users"),
        items=Path("synthetic items"),
    )
    return Dataset(
        interactions=interactions,
        users=users,
        items=items,
        data=data,
        columns=ColumnsConfig(),
        features=SYNTHETIC_FEATURES,
    )


def _draw(
    rng: np.random.Generator,
    user_clusters_U: Int64Array,
    item_clusters_I: Int64Array,
    popularity_I: Float64Array,
    num_interactions: int,
) -> tuple[Int64Array, Int64Array]:
    """Users and items of each interaction, as row numbers.

    Items are laid out by cluster on a line, each as long as it is popular; a point drawn on the
    user's part of the line, or on all of it, falls on an item.
    """
    order_I = np.argsort(item_clusters_I, kind="stable")
    ends_I = np.cumsum(popularity_I[order_I])
    last_C = np.cumsum(np.bincount(item_clusters_I)) - 1
    high_C = ends_I[last_C]
    low_C = np.concatenate([[0.0], high_C[:-1]])
    users_N = np.empty(num_interactions, dtype=np.int64)
    items_N = np.empty(num_interactions, dtype=np.int64)
    for start in range(0, num_interactions, _BLOCK):
        block = slice(start, min(start + _BLOCK, num_interactions))
        users = rng.integers(len(user_clusters_U), size=block.stop - block.start)
        clusters = user_clusters_U[users]
        loyal = rng.random(len(users)) < _LOYALTY
        low = np.where(loyal, low_C[clusters], 0.0)
        high = np.where(loyal, high_C[clusters], ends_I[-1])
        points = low + (high - low) * rng.random(len(users))
        places = np.searchsorted(ends_I, points, side="right")
        users_N[block] = users
        items_N[block] = order_I[np.minimum(places, len(order_I) - 1)]
    return users_N, items_N


def _times(rng: np.random.Generator, num_interactions: int, num_days: int) -> pa.Array:
    """Event times in ascending order, uniform over the days."""
    start_us = int(_FIRST_EVENT.timestamp()) * US_PER_S
    elapsed_N = rng.integers(num_days * US_PER_DAY, size=num_interactions)
    elapsed_N.sort()
    return pa.array(start_us + elapsed_N).cast(EVENT_TIME_TYPE)


def _ids(num_ids: int, id_type: IdType) -> pa.Array:
    """Ids 1, 2, ..., or the same as text of one width with at least one leading zero."""
    numbers = pa.array(np.arange(1, num_ids + 1))
    if id_type == "int64":
        return numbers
    return pc.utf8_lpad(numbers.cast(pa.string()), width=len(str(num_ids)) + 1, padding="0")


def _users(
    rng: np.random.Generator, ids: pa.Array, clusters_U: Int64Array, num_clusters: int
) -> pa.Table:
    ages_U = np.clip(rng.normal(40, 12, size=len(ids)), 16, 90)
    return pa.table(
        {
            USER_ID: ids,
            "segment": _terms("segment", _hints(rng, clusters_U, num_clusters)),
            "age": pa.array(ages_U.astype(np.float32)),
        }
    )


def _items(
    rng: np.random.Generator, ids: pa.Array, clusters_I: Int64Array, num_clusters: int
) -> pa.Table:
    num_items = len(ids)
    prices_I = rng.lognormal(mean=3 + clusters_I % 5 / 5, sigma=0.5)
    centres_CD = rng.normal(size=(num_clusters, VECTOR_DIM)).astype(np.float32)
    noise_ID = rng.normal(scale=0.5, size=(num_items, VECTOR_DIM)).astype(np.float32)
    vectors_ID = centres_CD[clusters_I] + noise_ID
    tags = np.stack([_hints(rng, clusters_I, num_clusters) for _ in range(2)], axis=1)
    tag_offsets = pa.array(np.arange(0, 2 * num_items + 1, 2, dtype=np.int32))
    return pa.table(
        {
            ITEM_ID: ids,
            TITLE: _terms("Item", np.arange(1, num_items + 1), separator=" "),
            "category": _terms("category", _hints(rng, clusters_I, num_clusters)),
            "tags": pa.ListArray.from_arrays(tag_offsets, _terms("tag", tags.ravel())),
            "price": pa.array(prices_I.astype(np.float32)),
            "vector": pa.FixedSizeListArray.from_arrays(vectors_ID.ravel(), VECTOR_DIM),
        }
    )


def _hints(rng: np.random.Generator, clusters: Int64Array, num_clusters: int) -> Int64Array:
    """The clusters, some of them replaced by one drawn at random."""
    honest = rng.random(len(clusters)) < _HINT
    return np.where(honest, clusters, rng.integers(num_clusters, size=len(clusters)))


def _terms(prefix: str, numbers: Int64Array, separator: str = "-") -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), separator)
