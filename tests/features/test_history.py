"""The user-item matrix against a dictionary, and what age and weight make of an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys.features.history import event_values, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID, WEIGHT

START = datetime(2024, 1, 1, tzinfo=UTC)
TINY = float(np.finfo(np.float32).tiny)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.sampled_from(["a", "b", "c", "d", "new"]),
        st.sampled_from([0.0, TINY, 0.25, 1.0, 3.0, 1e30]),
    ),
    max_size=40,
)
USERS = Vocabulary(pa.array([0, 1, 2, 3, 5]))
ITEMS = Vocabulary(pa.array(["a", "b", "c", "d"]))


def log(users: list[int], items: list[str], **columns: pa.Array) -> pa.Table:
    """Interactions."""
    return pa.table({USER_ID: pa.array(users, pa.int64()), ITEM_ID: pa.array(items, pa.string())}
                    | columns)  # fmt: skip


def times(days: list[float]) -> pa.Array:
    """Event times, in days since the start."""
    return pa.array([START + timedelta(days=day) for day in days], EVENT_TIME_TYPE)


@given(events=EVENTS)
@example(events=[])
@example(events=[(6, "new", 1.0)])
def test_matrix_equals_a_dictionary_of_largest_values(events: list[tuple[int, str, float]]) -> None:
    """Entries are the known pairs, each once with its largest value, also where that is 0."""
    expected: dict[tuple[int, int], float] = {}
    users, items = USERS.terms.to_pylist(), ITEMS.terms.to_pylist()
    for user, item, value in events:
        if user in users and item in items:
            pair = users.index(user), items.index(item)
            expected[pair] = max(value, expected.get(pair, 0))
    table = log([event[0] for event in events], [event[1] for event in events])
    values = np.array([event[2] for event in events], dtype=np.float32)
    matrix = user_item_matrix(table, users=USERS, items=ITEMS, values=values)
    rows = np.repeat(np.arange(len(USERS)), np.diff(matrix.indptr))
    pairs = list(zip(rows.tolist(), matrix.indices.tolist(), strict=True))
    assert pairs == sorted(expected)  # each once, ascending by user, then by item
    assert matrix.data.tolist() == [np.float32(expected[pair]) for pair in pairs]
    assert matrix.shape == (len(USERS), len(ITEMS))
    assert matrix.data.dtype == np.float32


@given(events=EVENTS)
def test_without_values_every_interaction_counts_one(events: list[tuple[int, str, float]]) -> None:
    """Duplicates do not add up: an entry is 1 however often its pair occurs."""
    table = log([event[0] for event in events], [event[1] for event in events])
    matrix = user_item_matrix(table, users=USERS, items=ITEMS)
    assert (matrix.data == 1).all()


@pytest.mark.parametrize(("num_users", "num_items"), [(0, 4), (5, 0), (0, 0)])
def test_an_empty_side_gives_an_empty_matrix(num_users: int, num_items: int) -> None:
    """Without users or items there is no entry, and the shape says so."""
    users, items = Vocabulary(USERS.terms[:num_users]), Vocabulary(ITEMS.terms[:num_items])
    matrix = user_item_matrix(log([0, 1], ["a", "b"]), users=users, items=items)
    assert matrix.shape == (num_users, num_items)
    assert matrix.nnz == 0


def test_pairs_of_large_catalogues_do_not_overflow() -> None:
    """Users times items beyond 2^32 still come apart into the right user and item."""
    users = Vocabulary(pa.array(np.arange(70_000)))
    items = Vocabulary(pa.array(np.arange(70_000)))
    table = pa.table({USER_ID: [69_999, 0], ITEM_ID: [69_999, 1]})
    matrix = user_item_matrix(table, users=users, items=items)
    assert matrix[[0, 69_999], [1, 69_999]].tolist() == [1, 1]


@given(days=st.lists(st.floats(0, 400), min_size=1, max_size=20), half_life=st.floats(0.5, 100))
def test_an_event_one_half_life_older_counts_half(days: list[float], half_life: float) -> None:
    """The last event counts 1; moving an event back by the half-life halves its value."""
    table = log([0] * len(days), ["a"] * len(days), **{EVENT_TIME: times(days)})
    values = event_values(table, half_life_days=half_life)
    newest = int(np.argmax(days))
    assert values[newest] == 1
    older = [day if place == newest else day - half_life for place, day in enumerate(days)]
    moved = table.set_column(2, EVENT_TIME, times(older))
    halved = event_values(moved, half_life_days=half_life)
    others = np.arange(len(days)) != newest
    usual = others & (values > 1e-30)  # below, float32 runs out
    np.testing.assert_allclose(halved[usual], values[usual] / 2, rtol=1e-5)


def test_weight_multiplies_and_age_is_counted_to_the_date_given() -> None:
    """A value is weight times 0.5 per half-life up to `as_of`; later events count in full."""
    table = log(
        [0] * 4,
        ["a"] * 4,
        **{EVENT_TIME: times([0, 10, 20, 30]), WEIGHT: pa.array([1, 2, 3, 4], pa.float32())},
    )
    as_of = START + timedelta(days=20)
    values = event_values(table, half_life_days=10, as_of=as_of)
    assert values.tolist() == [0.25, 1, 3, 4]
    assert event_values(table, half_life_days=None).tolist() == [1, 2, 3, 4]
    assert event_values(table, half_life_days=10).tolist() == [0.125, 0.5, 1.5, 4]


def test_values_stay_above_zero() -> None:
    """A weight of 0 and an age of a thousand half-lives leave a positive float32."""
    table = log(
        [0] * 3,
        ["a"] * 3,
        **{EVENT_TIME: times([0, 1000, 1000]), WEIGHT: pa.array([1, 0, 1], pa.float32())},
    )
    values = event_values(table, half_life_days=1)
    assert values.tolist() == [TINY, TINY, 1]
    assert values.dtype == np.float32


def test_without_time_and_weight_every_event_counts_one() -> None:
    """A log of pairs needs neither column, and an empty log has no values."""
    assert event_values(log([1, 2], ["a", "b"]), half_life_days=None).tolist() == [1, 1]
    empty = log([], [], **{EVENT_TIME: times([])})
    assert event_values(empty, half_life_days=3).tolist() == []
