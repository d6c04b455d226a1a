"""Top-k by the tie rule against a full sort, exclusion and streaming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from recsys.errors import ConfigError, DataError
from recsys.recommender.evaluation.baselines import MostPopular
from recsys.recommender.ranking.ranker import NO_ITEM, distinct, exclude, rank_all, top_k

MANY_TIES = st.sampled_from(np.array([-np.inf, -1.5, 0.0, -0.0, 1.0, 2.0], dtype=np.float32))


def full_sort(scores_BC: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Oracle: sort every row completely by score descending, then item number ascending."""
    num_items = scores_BC.shape[1]
    numbers_BC = np.broadcast_to(np.arange(num_items), scores_BC.shape)
    order_BC = np.lexsort((numbers_BC, -scores_BC), axis=1)
    best_BC = np.take_along_axis(scores_BC, order_BC, axis=1)
    order_BC = np.where(best_BC == -np.inf, NO_ITEM, order_BC)
    width = (0, 0), (0, max(k - num_items, 0))
    return (
        np.pad(order_BC, width, constant_values=NO_ITEM)[:, :k],
        np.pad(best_BC, width, constant_values=-np.inf)[:, :k],
    )


@given(
    scores_BC=st_numpy.arrays(
        np.float32, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=MANY_TIES
    ),
    k=st.integers(1, 15),
)
@example(scores_BC=np.full((2, 3), -np.inf, dtype=np.float32), k=2)
@example(scores_BC=np.empty((0, 3), dtype=np.float32), k=2)
@example(scores_BC=np.empty((3, 0), dtype=np.float32), k=2)
def test_top_k_is_the_head_of_the_full_sort(scores_BC: np.ndarray, k: int) -> None:
    """Top-k equals a complete sort by the tie rule where ties are everywhere, padding included."""
    expected_items, expected_scores = full_sort(scores_BC, k)
    items_BK, scores_BK = top_k(scores_BC, k)
    np.testing.assert_array_equal(items_BK, expected_items)
    np.testing.assert_array_equal(scores_BK, expected_scores)


def test_top_k_of_a_wide_matrix_is_the_head_of_the_full_sort() -> None:
    """The agreement with a complete sort holds at widths where partitioning takes other paths."""
    scores_BC = np.random.default_rng(0).integers(0, 300, (20, 5000)).astype(np.float32)
    items_BK, _ = top_k(scores_BC, 100)
    np.testing.assert_array_equal(items_BK, full_sort(scores_BC, 100)[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_top_k_refuses_scores_that_are_not_numbers(bad: float) -> None:
    """NaN and +inf are refused with the number of damaged rows instead of being ranked."""
    scores_BC = np.zeros((3, 4), dtype=np.float32)
    scores_BC[1, 2] = bad
    with pytest.raises(DataError, match=r"NaN or \+inf in 1 of 3 rows"):
        top_k(scores_BC, 2)


@pytest.mark.parametrize("k", [0, -1])
def test_top_k_refuses_an_empty_list(k: int) -> None:
    """A list length below 1 is a configuration error that shows the value."""
    with pytest.raises(ConfigError, match=f"at least 1 .*got {k}"):
        top_k(np.zeros((1, 2), dtype=np.float32), k)


def test_exclude_hides_exactly_the_stored_entries() -> None:
    """Every stored entry, also a zero, becomes -inf and nothing else changes."""
    excluded = sparse.csr_array(np.array([[0, 1, 0], [2, 0, 3]], dtype=np.float32))
    excluded.data[0] = 0
    scores_BC = np.ones((2, 3), dtype=np.float32)
    exclude(scores_BC, excluded)
    assert scores_BC.tolist() == [[1, -np.inf, 1], [-np.inf, 1, -np.inf]]


def test_distinct_counts_every_pair_once_and_keeps_its_input() -> None:
    """Repeated pairs, weights and stored zeros all become one entry of value 1 in a new matrix."""
    data = np.array([3, 4, 0], dtype=np.float32)
    matrix = sparse.csr_array((data, np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    assert distinct(matrix).toarray().tolist() == [[0, 1], [1, 0]]
    assert distinct(matrix).nnz == 2
    assert matrix.data.tolist() == [3, 4, 0]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_streaming_gives_the_lists_of_one_call(batch_size: int) -> None:
    """Batches, put together, equal one call for all users, in the order of the users given."""
    train = sparse.csr_array((np.random.default_rng(1).random((7, 9)) < 0.4).astype(np.float32))
    ranker, users = MostPopular.fit(train), np.array([6, 0, 5, 1, 4, 2, 3])
    expected_items, expected_scores = ranker.rank(users, k=4, train=train)
    batches = list(rank_all(ranker, users, k=4, train=train, batch_size=batch_size))
    assert max(len(batch) for batch, _, _ in batches) <= batch_size
    np.testing.assert_array_equal(np.concatenate([batch for batch, _, _ in batches]), users)
    np.testing.assert_array_equal(
        np.concatenate([items for _, items, _ in batches]), expected_items
    )
    np.testing.assert_array_equal(np.concatenate([s for _, _, s in batches]), expected_scores)
