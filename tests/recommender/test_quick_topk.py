"""The quick search against its plain twin and against numpy, over ties, masks and bad vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.arrays import Float32Array
from recsys.recommender.ranking import quick_topk, topk
from recsys.recommender.ranking.quick_topk import quick_top_k
from recsys.recommender.ranking.ranker import NO_ITEM


def vectors(rng: np.random.Generator, rows: int, width: int, spread: float) -> Float32Array:
    """Vectors of different lengths, some of them equal, some zero."""
    made = rng.normal(size=(rows, width)) * rng.uniform(1, 1 + spread, size=(rows, 1))
    made[rng.random(rows) < 0.1] = 0
    copies = rng.random(rows) < 0.2
    made[copies] = made[rng.integers(rows, size=int(copies.sum()))]
    return made.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    num_items=st.integers(1, 700),
    width=st.sampled_from([1, 2, 8, 33]),
    k=st.integers(1, 90),
    spread=st.sampled_from([0.0, 5.0]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    hidden_share=st.sampled_from([None, 0.1, 0.97, 1.0]),
)
def test_lists_are_those_of_numpy(  # noqa: PLR0917  hypothesis names them
    seed: int, num_items: int, width: int, k: int, spread: float, scale: float,
    hidden_share: float | None,
) -> None:  # fmt: skip
    """Where it has a list, no item outside beats one inside, and none of them is hidden."""
    rng = np.random.default_rng(seed)
    queries = vectors(rng, 7, width, spread) * np.float32(scale)
    items = vectors(rng, num_items, width, spread)
    hidden = np.zeros((7, num_items), dtype=np.bool_)
    excluded = None
    if hidden_share is not None:
        hidden = rng.random((7, num_items)) < hidden_share
        excluded = sparse.csr_array(hidden.astype(np.float32))
    found_items, found_scores, found = quick_top_k(queries, items, k, excluded)
    exact = queries.astype(np.float64) @ items.astype(np.float64).T
    slack = 1e-5 * np.linalg.norm(queries, axis=1) * np.linalg.norm(items, axis=1).max()
    for row in np.flatnonzero(found):
        allowed = np.flatnonzero(~hidden[row])
        length = min(k, len(allowed))
        mine, scores = found_items[row, :length], found_scores[row, :length]
        assert (found_items[row, length:] == NO_ITEM).all()
        assert np.isneginf(found_scores[row, length:]).all()
        assert len(set(mine)) == length
        assert not hidden[row, mine].any()
        np.testing.assert_allclose(scores, exact[row, mine], atol=slack[row])
        best = -np.sort(-exact[row, allowed])[:length]
        np.testing.assert_allclose(scores, best, atol=slack[row])
        order = np.lexsort((mine, -scores))  # by score, equal ones by number
        np.testing.assert_array_equal(order, np.arange(length))


def test_of_equal_items_the_lowest_numbers_are_taken() -> None:
    """Also at the end of the list, where it decides who is left out."""
    items = np.repeat(np.eye(2, dtype=np.float32), 300, axis=0)[::-1].copy()
    query = np.array([[1.0, 0.5]], dtype=np.float32)
    found_items, _, found = quick_top_k(query, items, 5, None)
    assert found.all()
    np.testing.assert_array_equal(found_items[0], np.arange(300, 305))


def test_too_many_possible_items_are_left_to_the_plain_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing to tell items apart by: no list here, and the right one from `masked_top_k`."""
    items = np.ones((5000, 4), dtype=np.float32)
    queries = np.ones((300, 4), dtype=np.float32)
    assert not quick_top_k(queries, items, 3, None)[2].any()
    monkeypatch.setattr(topk, "bfloat16_is_fast", lambda: True)
    np.testing.assert_array_equal(
        topk.masked_top_k(queries, items, 3)[0], np.tile(np.arange(3), (300, 1))
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_have_no_list(bad: float) -> None:
    """One of them is enough: what the bound would be is not known."""
    rng = np.random.default_rng(0)
    items, queries = vectors(rng, 200, 4, 0.0), vectors(rng, 3, 4, 0.0)
    items[17, 2] = bad
    assert not quick_top_k(queries, items, 3, None)[2].any()


@pytest.mark.parametrize("fast", [True, False])
def test_the_search_is_the_same_either_way(monkeypatch: pytest.MonkeyPatch, *, fast: bool) -> None:
    """`masked_top_k` of a catalogue that is large enough, with seen items, both ways."""
    rng = np.random.default_rng(1)
    items, queries = vectors(rng, 6000, 16, 1.0), vectors(rng, 300, 16, 0.0)
    excluded = sparse.csr_array((rng.random((300, 6000)) < 0.01).astype(np.float32))
    monkeypatch.setattr(topk, "bfloat16_is_fast", lambda: fast)
    assert quick_topk.quick_top_k_helps(300, topk._tensor(items), 20)
    found_items, scores = topk.masked_top_k(queries, items, 20, excluded=excluded)
    exact = np.where(excluded.toarray() > 0, -np.inf, queries @ items.T)
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :20], atol=1e-4)
    np.testing.assert_allclose(scores, np.take_along_axis(exact, found_items, 1), atol=1e-4)
