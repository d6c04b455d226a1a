"""Filters against dense unions and lookups, and what tables of ids turn into."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_oracle import csr
from scipy import sparse

from recsys.errors import DataError
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.lists.filters import (
    Filters,
    MatchReport,
    eligible_items,
    stored_in,
    user_item_pairs,
)

USERS = Vocabulary(pa.array(["ann", "bob", "cid"]))
ITEMS = Vocabulary(pa.array([10, 20, 30, 40]))


@st.composite
def flags(draw: st.DrawFn, num_rows: int, num_items: int) -> np.ndarray:
    """None, some or all of the pairs."""
    seed, density = draw(st.integers(0, 2**32)), draw(st.sampled_from([0, 0.3, 1]))
    return np.random.default_rng(seed).random((num_rows, num_items)) < density


@given(data=st.data(), num_users=st.integers(0, 6), num_items=st.integers(1, 8))
def test_excluded_is_the_union_of_seen_and_denied(
    data: st.DataObject, num_users: int, num_items: int
) -> None:
    """A user's row holds what they have seen or are denied, each item once, ascending."""
    seen, denied = data.draw(flags(num_users, num_items)), data.draw(flags(num_users, num_items))
    numbers = np.array(data.draw(st.lists(st.integers(UNKNOWN, num_users - 1))), dtype=np.int64)
    filters = Filters(num_items=num_items, seen=csr(seen), denied=csr(denied))

    excluded = filters.excluded_rows(numbers)

    nobody = np.zeros((1, num_items), dtype=bool)  # row -1 of the table below
    expected = np.concatenate([seen | denied, nobody])[numbers]
    np.testing.assert_array_equal(excluded.toarray().astype(bool), expected)
    assert excluded.nnz == expected.sum()
    assert excluded.has_sorted_indices


def test_entries_count_whatever_their_value() -> None:
    """A stored zero and an entry that is stored twice exclude an item once."""
    seen = sparse.csr_array(
        (np.array([0, 1, 1], np.float32), np.array([3, 1, 1]), np.array([0, 3])), shape=(1, 4)
    )

    excluded = Filters(num_items=4, seen=seen).excluded_rows(np.array([0]))

    assert excluded.indices.tolist() == [1, 3]
    assert excluded.data.tolist() == [1, 1]


def test_no_rules_exclude_nothing() -> None:
    """Without matrices and without an eligible list the whole catalogue is allowed."""
    filters = Filters(num_items=3)

    assert filters.excluded_rows(np.array([0, UNKNOWN])).toarray().tolist() == [[0] * 3] * 2
    assert filters.num_eligible == 3
    assert Filters(num_items=3, eligible=np.array([True, False, True])).num_eligible == 2


@given(data=st.data(), num_rows=st.integers(0, 5), num_items=st.integers(1, 8))
def test_stored_in_is_a_lookup(data: st.DataObject, num_rows: int, num_items: int) -> None:
    """An item of a list is flagged if its entry is in the same row; negative numbers never are."""
    dense = data.draw(flags(num_rows, num_items))
    seed = data.draw(st.integers(0, 2**32))
    items = np.random.default_rng(seed).integers(-1, num_items, (num_rows, 6))
    excluded = Filters(num_items=num_items, seen=csr(dense)).excluded_rows(np.arange(num_rows))

    found = stored_in(excluded, items)

    expected = np.take_along_axis(dense, np.maximum(items, 0), axis=1) & (items >= 0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("seen", csr(np.ones((2, 5)))), ("denied", csr(np.ones((2, 3)))), ("eligible", np.ones(5))],
)
def test_rules_of_another_catalogue_are_refused(name: str, rule: object) -> None:
    """A rule with another number of items is refused by its name."""
    with pytest.raises(DataError, match=f"{name}: expected 4 items"):
        Filters(num_items=4, **{name: rule})


def test_pairs_from_a_table() -> None:
    """Pairs land where their ids stand, each once; unknown ids and nulls are counted."""
    table = pa.table(
        {
            "user_id": ["bob", "bob", "eve", None, "ann", "cid"],
            "item_id": pa.array([40, 40, 10, 10, 99, 10]),
        }
    )

    matrix, report = user_item_pairs(table, users=USERS, items=ITEMS)

    assert matrix.toarray().astype(bool).tolist() == [
        [False, False, False, False],
        [False, False, False, True],
        [True, False, False, False],
    ]
    assert report == MatchReport(num_rows=6, num_unknown_users=2, num_unknown_items=1, num_used=2)


def test_eligible_from_a_table() -> None:
    """Listed items are flagged; unknown ids and nulls are counted."""
    table = pa.table({"item_id": pa.array([20, 20, 50, None, 40])})

    eligible, report = eligible_items(table, items=ITEMS)

    assert eligible.tolist() == [False, True, False, True]
    assert report == MatchReport(num_rows=5, num_unknown_users=0, num_unknown_items=2, num_used=2)


def test_ids_of_another_type_are_refused() -> None:
    """The string "10" does not match the number 10: the table is refused, not left unmatched."""
    table = pa.table({"item_id": ["10", "20"]})

    with pytest.raises(DataError, match="type int64"):
        eligible_items(table, items=ITEMS)


def test_missing_column_is_named() -> None:
    """A table without a needed column is refused by the name of the column."""
    with pytest.raises(DataError, match="'user_id': expected the column, got only item_id"):
        user_item_pairs(pa.table({"item_id": [10]}), users=USERS, items=ITEMS)
