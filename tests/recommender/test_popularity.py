"""Popularity that ages: counts by hand, bounds of log shares, and a half-life that was planted."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from recsys.features.history import UserItemMatrix, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.popularity import (
    choose_half_life,
    half_lives,
    log_shares,
    popularity,
)
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID, WEIGHT

START = datetime(2024, 1, 1, tzinfo=UTC)
NUM_DAYS, NUM_ITEMS, NUM_USERS, K = 64, 40, 200, 5


def log(items: list[int], days: list[float], **columns: pa.Array) -> pa.Table:
    """Events of one user."""
    times = pa.array([START + timedelta(days=day) for day in days], EVENT_TIME_TYPE)
    ids = {USER_ID: pa.array([1] * len(items)), ITEM_ID: pa.array(items, pa.int64())}
    return pa.table(ids | {EVENT_TIME: times} | columns)


def drifting_log(rng: np.random.Generator, *, days_popular: float) -> tuple[pa.Table, pa.Table]:
    """A log in which each item is popular for some days, one after the other, and the days after.

    Item i has its day i * `days_popular`; events favour items whose day is near.
    """
    days_N = np.sort(rng.uniform(0, NUM_DAYS + 3, size=20_000))
    offset_N = rng.laplace(scale=days_popular, size=len(days_N))
    items_N = np.floor((days_N - np.abs(offset_N)) / days_popular).astype(np.int64)
    users_N = rng.integers(NUM_USERS, size=len(days_N))
    times = START + days_N * timedelta(days=1)
    table = pa.table(
        {USER_ID: users_N, ITEM_ID: items_N, EVENT_TIME: pa.array(times, EVENT_TIME_TYPE)}
    )
    before = pa.array(days_N < NUM_DAYS)
    return table.filter(before), table.filter(pa.array(days_N >= NUM_DAYS))


def still_log(rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """A log in which the same items are always popular, too short to waste a part of it."""
    days_N = np.sort(rng.uniform(0, NUM_DAYS + 8, size=900))
    chances = np.arange(1, NUM_ITEMS + 1) ** -0.7
    items_N = rng.choice(NUM_ITEMS, size=len(days_N), p=chances / chances.sum())
    users_N = rng.integers(NUM_USERS, size=len(days_N))
    times = START + days_N * timedelta(days=1)
    table = pa.table(
        {USER_ID: users_N, ITEM_ID: items_N, EVENT_TIME: pa.array(times, EVENT_TIME_TYPE)}
    )
    before = pa.array(days_N < NUM_DAYS)
    return table.filter(before), table.filter(pa.array(days_N >= NUM_DAYS))


def chosen(train: pa.Table, valid: pa.Table) -> float | None:
    """The half-life that suits the users of the validation part."""
    items = Vocabulary.fit(train[ITEM_ID])
    users = Vocabulary.fit(valid[USER_ID])
    return choose_half_life(
        train,
        items,
        seen=sparse.csr_array((len(users), len(items)), dtype=np.float32),
        relevant=user_item_matrix(valid, users=users, items=items),
        k=K,
    )


def test_popularity_equals_the_count_by_hand() -> None:
    """Weights halve with each half-life before the last event; unknown items do not count."""
    weights = pa.array([1, 1, 4, 1, 9], pa.float32())
    table = log([7, 7, 5, 7, 99], [0, 10, 10, 20, 20], **{WEIGHT: weights})
    items = Vocabulary(pa.array([5, 6, 7]))
    assert popularity(table, items, half_life_days=10).tolist() == [2, 0, 0.25 + 0.5 + 1]
    assert popularity(table, items, half_life_days=None).tolist() == [4, 0, 3]
    assert popularity(table[:0], items, half_life_days=None).tolist() == [0, 0, 0]


@given(
    counts=st_numpy.arrays(
        np.float64,
        st.integers(1, 20),
        elements=st.one_of(st.just(0.0), st.floats(1e-38, 1e30)),
    )
)
def test_log_shares_keep_order_and_bounds(counts: np.ndarray) -> None:
    """The largest is 0, the rest below it by what the counts say, none lower than the floor."""
    shares = log_shares(counts)
    assert shares.dtype == np.float32
    assert shares.max() == 0
    # An item without events stands at a millionth of all events, of which the largest has a share.
    assert shares.min() >= math.log(1e-6) - 1e-3
    assert (np.diff(shares[np.argsort(counts, kind="stable")]) >= 0).all()


def test_log_shares_are_logarithms_of_ratios() -> None:
    """Above the floor a share is the log of the count over the largest count."""
    np.testing.assert_allclose(
        log_shares(np.array([100.0, 50.0, 1.0])), np.log([1, 0.5, 0.01]), atol=2e-4
    )


def test_half_lives_are_the_span_and_its_halves() -> None:
    """From the span of the log down by factors of 2; none at all where time says nothing."""
    found = half_lives(log([1, 2], [0, 64]))
    assert found == (None, 64, 32, 16, 8, 4, 2, 1, 0.5, 0.25)
    assert half_lives(log([1, 2], [3, 3])) == (None,)
    assert half_lives(log([1, 2], [0, 64]).drop_columns([EVENT_TIME])) == (None,)


@pytest.mark.parametrize(("days_popular", "longest"), [(1.5, 4), (6, 16)])
def test_the_half_life_follows_the_planted_drift(days_popular: float, longest: float) -> None:
    """Items that are popular for days call for a half-life of days: the faster, the shorter."""
    half_life = chosen(*drifting_log(np.random.default_rng(0), days_popular=days_popular))
    assert half_life is not None
    assert half_life <= longest


def test_popularity_that_does_not_move_is_not_aged() -> None:
    """Where the same items stay popular, forgetting events only loses counts."""
    half_life = chosen(*still_log(np.random.default_rng(0)))
    assert half_life is None or half_life >= NUM_DAYS / 2


def test_without_users_there_is_no_half_life() -> None:
    """Nobody to choose by: age does not matter, and nothing is divided by zero."""
    train = log([1, 2], [0, 64])
    none: UserItemMatrix = sparse.csr_array((0, 2), dtype=np.float32)
    items = Vocabulary.fit(train[ITEM_ID])
    assert choose_half_life(train, items, seen=none, relevant=none, k=K) is None


def test_items_that_users_had_do_not_decide() -> None:
    """An item popular long ago calls for a short memory, unless nobody can be given it any more."""
    train = log([1] * 50 + [2, 2, 3], [0.0] * 52 + [64])
    items = Vocabulary.fit(train[ITEM_ID])
    relevant = sparse.csr_array(np.array([[0, 0, 1]], dtype=np.float32))
    # Item 3 comes first once 50 events, or 2, have been halved to less than its own one.
    for seen, expected in (([0, 0, 0], 8), ([1, 0, 0], 32)):
        matrix = sparse.csr_array(np.array([seen], dtype=np.float32))
        assert choose_half_life(train, items, seen=matrix, relevant=relevant, k=1) == expected
