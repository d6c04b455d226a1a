"""The contract of `ranking.Ranker`: laws that every model and every baseline has to pass.

A test module passes its ranker, fitted on `train_matrix()`, to each law:

    @pytest.mark.parametrize("law", ranker_contract.LAWS, ids=ranker_contract.name)
    def test_my_ranker_keeps_the_contract(law):
        law(fit(ranker_contract.train_matrix()))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from recsys.recommender.ranking.ranker import NO_ITEM, Ranker, UserItems

NUM_USERS, NUM_ITEMS, K = 12, 15, 5
NO_HISTORY, ALMOST_ALL, ALL = 0, 1, 2
"""Users of `train_matrix`: one without items, one with all but two, one with all."""


def train_matrix() -> UserItems:
    """Interactions (12, 15) with weights, many ties of popularity and three extreme users."""
    dense = (np.random.default_rng(7).random((NUM_USERS, NUM_ITEMS)) < 0.3) * np.float32(2.5)
    dense[NO_HISTORY] = 0
    dense[ALMOST_ALL] = 1
    dense[ALMOST_ALL, [4, 9]] = 0
    dense[ALL] = 1
    return sparse.csr_array(dense.astype(np.float32))


def lists_have_the_asked_shape_and_types(ranker: Ranker) -> None:
    """Items are int64 and scores float32 of shape (B, K), also for no users and for k above C."""
    for num_users, k in [(NUM_USERS, K), (0, K), (3, NUM_ITEMS + 4)]:
        items_BK, scores_BK = ranker.rank(np.arange(num_users), k=k, train=train_matrix())
        assert items_BK.shape == scores_BK.shape == (num_users, k)
        assert items_BK.dtype == np.int64
        assert scores_BK.dtype == np.float32


def lists_are_full_wherever_items_are_eligible(ranker: Ranker) -> None:
    """A list holds k items, or all eligible ones when these are fewer, padding only at its end."""
    items_BK, _ = ranker.rank(np.arange(NUM_USERS), k=K, train=train_matrix())
    num_eligible_U = NUM_ITEMS - np.diff(train_matrix().indptr)
    expected_BK = np.arange(K) < num_eligible_U[:, None]
    assert num_eligible_U[[NO_HISTORY, ALMOST_ALL, ALL]].tolist() == [NUM_ITEMS, 2, 0]
    np.testing.assert_array_equal(items_BK != NO_ITEM, expected_BK)


def items_of_a_list_are_distinct_and_known(ranker: Ranker) -> None:
    """No list repeats an item or holds one outside the catalogue."""
    items_BK, _ = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=None)
    np.testing.assert_array_equal(np.sort(items_BK, axis=1), [np.arange(NUM_ITEMS)] * NUM_USERS)


def excluded_items_never_appear(ranker: Ranker) -> None:
    """No item of a user's row of `train` is in the user's list, whatever the list length."""
    items_BK, _ = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=train_matrix())
    users, places = np.nonzero(items_BK != NO_ITEM)
    assert not train_matrix().toarray()[users, items_BK[users, places]].any()


def only_the_given_matrix_excludes(ranker: Ranker) -> None:
    """Exclusion follows the matrix that is passed, not the one that the ranker was fitted on."""
    banned = sparse.csr_array(np.eye(NUM_USERS, NUM_ITEMS, dtype=np.float32))
    items_BK, _ = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=banned)
    assert not (items_BK == np.arange(NUM_USERS)[:, None]).any()
    assert ((items_BK != NO_ITEM).sum(axis=1) == NUM_ITEMS - 1).all()


def a_stored_zero_excludes(ranker: Ranker) -> None:
    """An interaction of weight 0 is an interaction."""
    banned = sparse.csr_array(np.eye(NUM_USERS, NUM_ITEMS, dtype=np.float32))
    banned.data[:] = 0
    items_BK, _ = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=banned)
    assert not (items_BK == np.arange(NUM_USERS)[:, None]).any()


def scores_are_finite_and_do_not_increase(ranker: Ranker) -> None:
    """Scores fall or stay along a list, finite for items and -inf for padding."""
    items_BK, scores_BK = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=train_matrix())
    assert (scores_BK[:, 1:] <= scores_BK[:, :-1]).all()
    np.testing.assert_array_equal(np.isfinite(scores_BK), items_BK != NO_ITEM)
    assert (scores_BK[items_BK == NO_ITEM] == -np.inf).all()


def equal_scores_are_ordered_by_item_number(ranker: Ranker) -> None:
    """Neighbours in a list with the same score ascend by item number."""
    items_BK, scores_BK = ranker.rank(np.arange(NUM_USERS), k=NUM_ITEMS, train=None)
    tied = scores_BK[:, 1:] == scores_BK[:, :-1]
    assert (np.diff(items_BK, axis=1)[tied] > 0).all()


def a_shorter_list_begins_the_longer_one(ranker: Ranker) -> None:
    """The first k places do not depend on how many places were asked for."""
    users = np.arange(NUM_USERS)
    longest, _ = ranker.rank(users, k=NUM_ITEMS, train=train_matrix())
    for k in (1, 2, K):
        items_BK, _ = ranker.rank(users, k=k, train=train_matrix())
        np.testing.assert_array_equal(items_BK, longest[:, :k])


def a_batch_equals_its_users_alone(ranker: Ranker) -> None:
    """A user's list does not depend on who else is in the batch, nor on the order of the batch."""
    users = np.random.default_rng(3).permutation(NUM_USERS)
    items_BK, scores_BK = ranker.rank(users, k=K, train=train_matrix())
    for row, user in enumerate(users):
        items_1K, scores_1K = ranker.rank(np.array([user]), k=K, train=train_matrix())
        np.testing.assert_array_equal(items_1K[0], items_BK[row])
        np.testing.assert_allclose(scores_1K[0], scores_BK[row], rtol=1e-5, atol=1e-7)


def the_same_call_gives_the_same_lists(ranker: Ranker) -> None:
    """Ranking is deterministic and leaves the ranker and its inputs as they were."""
    train, users = train_matrix(), np.arange(NUM_USERS)
    first = ranker.rank(users, k=K, train=train)
    second = ranker.rank(users, k=K, train=train)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (train != train_matrix()).nnz == 0


Law = Callable[[Ranker], None]

LAWS: tuple[Law, ...] = (
    lists_have_the_asked_shape_and_types,
    lists_are_full_wherever_items_are_eligible,
    items_of_a_list_are_distinct_and_known,
    excluded_items_never_appear,
    only_the_given_matrix_excludes,
    a_stored_zero_excludes,
    scores_are_finite_and_do_not_increase,
    equal_scores_are_ordered_by_item_number,
    a_shorter_list_begins_the_longer_one,
    a_batch_equals_its_users_alone,
    the_same_call_gives_the_same_lists,
)


def name(law: Law) -> str:
    """The name of a law, for the report of the test run."""
    return law.__name__
