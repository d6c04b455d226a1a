"""Baselines: the contract, brute-force twins and planted truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import ranker_contract
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from recsys.errors import ConfigError, DataError
from recsys.recommender.evaluation import baselines
from recsys.recommender.evaluation.baselines import ItemItemCosine, MostPopular
from recsys.recommender.ranking.ranker import Ranker, UserItems

BINARY = st_numpy.arrays(
    np.float32,
    st_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from(np.array([0, 0, 1], dtype=np.float32)),
)


def checkerboard(size: int) -> UserItems:
    """User u has the items of u's parity, save item u, which is held out: the planted truth."""
    users, items = np.indices((size, size))
    return sparse.csr_array(((users + items) % 2 == 0).astype(np.float32) * (users != items))


def truncated_cosine(dense_UC: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Oracle (C, C): dense cosines, each column cut to its largest entries by a full sort."""
    lengths_C = np.maximum(np.sqrt(dense_UC.sum(axis=0)), 1).astype(np.float32)
    unit_UC = dense_UC / lengths_C
    cosine_CC = unit_UC.T @ unit_UC
    np.fill_diagonal(cosine_CC, 0)
    kept_CC = np.zeros_like(cosine_CC)
    for item, column_C in enumerate(cosine_CC.T):
        best = np.lexsort((np.arange(len(column_C)), -column_C.round(5)))[:num_neighbours]
        kept_CC[best, item] = column_C[best]
    return kept_CC


@pytest.mark.parametrize("law", ranker_contract.LAWS, ids=ranker_contract.name)
@pytest.mark.parametrize("fit", [MostPopular.fit, ItemItemCosine.fit], ids=["popular", "cosine"])
def test_baselines_keep_the_contract_of_rankers(
    fit: Callable[[UserItems], Ranker], law: ranker_contract.Law
) -> None:
    """Both baselines pass every law that any ranker has to pass."""
    law(fit(ranker_contract.train_matrix()))


def test_item_item_cosine_finds_the_planted_diagonal() -> None:
    """On a checkerboard with its diagonal held out every user's first item is the held-out one."""
    train, users = checkerboard(20), np.arange(20)
    items_B1, _ = ItemItemCosine.fit(train).rank(users, k=1, train=train)
    np.testing.assert_array_equal(items_B1[:, 0], users)
    popular_B1, _ = MostPopular.fit(train).rank(users, k=1, train=train)
    assert (popular_B1[:, 0] == users).mean() < 0.2  # the truth cannot be found by popularity


@given(dense_UC=BINARY, data=st.data())
def test_most_popular_equals_sorting_counts(dense_UC: np.ndarray, data: st.DataObject) -> None:
    """The list is the full sort of user counts, ties by item number, without the items excluded."""
    train = sparse.csr_array(dense_UC)
    user = data.draw(st.integers(0, len(dense_UC) - 1))
    counts_C = dense_UC.sum(axis=0)
    order_C = np.lexsort((np.arange(len(counts_C)), -counts_C))
    expected = order_C[dense_UC[user, order_C] == 0]
    items_1C, scores_1C = MostPopular.fit(train).rank(
        np.array([user]), k=len(counts_C), train=train
    )
    assert items_1C[0, : len(expected)].tolist() == expected.tolist()
    assert scores_1C[0, : len(expected)].tolist() == counts_C[expected].tolist()


@given(dense_UC=BINARY, num_neighbours=st.integers(1, 10))
def test_similarities_equal_dense_cosines_cut_to_the_nearest(
    dense_UC: np.ndarray, num_neighbours: int
) -> None:
    """Sparse blocks with truncation give the values of the dense matrix cut by a full sort."""
    fitted = ItemItemCosine.fit(sparse.csr_array(dense_UC), num_neighbours=num_neighbours)
    expected_CC = truncated_cosine(dense_UC, num_neighbours)
    actual_CC = fitted.similarity.toarray()
    # Cosines that are equal in exact arithmetic may round apart: compare the sizes kept.
    np.testing.assert_allclose(np.sort(actual_CC, axis=0), np.sort(expected_CC, axis=0), atol=1e-5)
    untruncated_CC = truncated_cosine(dense_UC, dense_UC.shape[1])
    np.testing.assert_allclose(actual_CC, untruncated_CC * (actual_CC > 0), atol=1e-5)


@pytest.mark.parametrize(
    ("dense_UC", "num_neighbours", "expected"),
    [
        (np.ones((2, 5)), 2, [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]),
        (np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]]), 1, [[1], [0], [0]]),
    ],
    ids=["all alike", "triangle"],
)
def test_equal_similarities_keep_the_lowest_item_numbers(
    dense_UC: np.ndarray, num_neighbours: int, expected: list[list[int]]
) -> None:
    """Where more neighbours are equally near than are kept, those of the lowest number stay."""
    train = sparse.csr_array(dense_UC.astype(np.float32))
    kept_CC = ItemItemCosine.fit(train, num_neighbours=num_neighbours).similarity.toarray() > 0
    assert [np.flatnonzero(column).tolist() for column in kept_CC.T] == expected


@given(dense_UC=BINARY, budget=st.integers(1, 40))
def test_the_size_of_blocks_changes_nothing(dense_UC: np.ndarray, budget: int) -> None:
    """However few multiplications a block may hold, the neighbours are the same."""
    train = sparse.csr_array(dense_UC)
    whole = ItemItemCosine.fit(train, num_neighbours=3).similarity
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_PRODUCT_BUDGET", budget)
        blocked = ItemItemCosine.fit(train, num_neighbours=3).similarity
    np.testing.assert_array_equal(blocked.toarray(), whole.toarray())


@given(dense_UC=BINARY)
def test_item_item_scores_are_summed_cosines(dense_UC: np.ndarray) -> None:
    """A score is the sum of cosines to the history where that is positive, else below zero."""
    num_users, num_items = dense_UC.shape
    ranker = ItemItemCosine.fit(sparse.csr_array(dense_UC), num_neighbours=num_items)
    items_UC, scores_UC = ranker.rank(np.arange(num_users), k=num_items, train=None)
    by_item_UC = np.take_along_axis(scores_UC, np.argsort(items_UC, axis=1), axis=1)
    summed_UC = dense_UC @ truncated_cosine(dense_UC, num_items)
    np.testing.assert_allclose(np.maximum(by_item_UC, 0), summed_UC, atol=1e-5)
    assert (by_item_UC[summed_UC < 1e-6] < 0).all()


def test_a_user_without_history_gets_the_most_popular_items() -> None:
    """With nothing to compare with, the item-item list is the list of the other baseline."""
    train, cold = ranker_contract.train_matrix(), np.array([ranker_contract.NO_HISTORY])
    items_1K, _ = ItemItemCosine.fit(train).rank(cold, k=15, train=None)
    popular_1K, _ = MostPopular.fit(train).rank(cold, k=15, train=None)
    assert items_1K.tolist() == popular_1K.tolist()


def test_items_that_share_no_user_follow_in_order_of_popularity() -> None:
    """A list is filled up with popular items, after every item that is similar at all."""
    dense = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]])
    train = sparse.csr_array(dense.astype(np.float32))
    items_1K, scores_1K = ItemItemCosine.fit(train).rank(np.array([1]), k=4, train=train)
    assert items_1K.tolist() == [[1, 4, 3, 2]]  # similar; then 2 users, 1 user, no user
    assert (scores_1K[0] > 0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("fit", [MostPopular.fit, ItemItemCosine.fit], ids=["popular", "cosine"])
def test_weights_and_repeats_do_not_count(fit: Callable[[UserItems], Ranker]) -> None:
    """An interaction counts once, whatever its weight and however often it is stored."""
    train = ranker_contract.train_matrix()
    repeated = sparse.csr_array(
        (np.full(2 * train.nnz, 9, np.float32), np.repeat(train.indices, 2), 2 * train.indptr),
        shape=train.shape,
    )
    everyone = np.arange(train.shape[0])
    expected_items, expected_scores = fit(train).rank(everyone, k=15, train=train)
    items_UK, scores_UK = fit(repeated).rank(everyone, k=15, train=repeated)
    np.testing.assert_array_equal(items_UK, expected_items)
    np.testing.assert_array_equal(scores_UK, expected_scores)


@pytest.mark.parametrize("fit", [MostPopular.fit, ItemItemCosine.fit], ids=["popular", "cosine"])
@pytest.mark.parametrize("user", [-1, 12])
def test_unknown_users_are_refused(fit: Callable[[UserItems], Ranker], user: int) -> None:
    """A number outside the matrix is an error: a negative one would be another user's row."""
    train = ranker_contract.train_matrix()
    with pytest.raises(DataError, match="numbers from 0 to 11, got 1 outside"):
        fit(train).rank(np.array([0, user]), k=3, train=train)


def test_a_list_of_neighbours_cannot_be_empty() -> None:
    """Fewer than one neighbour is a configuration error."""
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        ItemItemCosine.fit(ranker_contract.train_matrix(), num_neighbours=0)
