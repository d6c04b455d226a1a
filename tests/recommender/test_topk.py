"""Exact search against a full sort, by the tie rule, and what it refuses."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_oracle import brute_force, csr

from recsys.errors import ConfigError, DataError
from recsys.recommender.ranking import topk
from recsys.recommender.ranking.ranker import NO_ITEM, top_k
from recsys.recommender.ranking.topk import masked_top_k, unit_vectors


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Small integer vectors, whose scores are exact and often equal, with random filters."""
    num_queries, num_items = draw(st.integers(0, 7)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    queries, items = (
        rng.integers(-1, 2, (count, 2)).astype(np.float32) for count in (num_queries, num_items)
    )
    excluded = rng.random((num_queries, num_items)) < draw(st.sampled_from([0, 0.3, 0.9, 1]))
    eligible = rng.random(num_items) < draw(st.sampled_from([0, 0.2, 0.8, 1]))
    return queries, items, excluded, eligible


@given(search=searches(), k=st.integers(1, 35), buffer=st.integers(1, 60), chunk=st.integers(1, 30))
def test_equals_brute_force(
    search: tuple[np.ndarray, ...], k: int, buffer: int, chunk: int
) -> None:
    """Items and scores are those of a full sort, ties included, however the work is cut."""
    queries, items, excluded, eligible = search
    sizes = mock.patch.multiple(topk, _BUFFER_SCORES=buffer, _CHUNK_ITEMS=chunk)
    with sizes:
        found = masked_top_k(queries, items, k, excluded=csr(excluded), eligible=eligible)

    expected = brute_force(queries, items, k, ~excluded & eligible)

    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1].astype(np.float32))


@given(search=searches(), k=st.integers(1, 35))
def test_no_filter_excludes_nothing(search: tuple[np.ndarray, ...], k: int) -> None:
    """Leaving a filter out is the same as one that lets every item pass."""
    queries, items, _, _ = search
    everything = np.ones(len(items), dtype=bool)
    nothing = csr(np.zeros((len(queries), len(items))))

    found = masked_top_k(queries, items, k)

    for twin in (
        masked_top_k(queries, items, k, eligible=everything),
        masked_top_k(queries, items, k, excluded=nothing),
    ):
        np.testing.assert_array_equal(found[0], twin[0])
        np.testing.assert_array_equal(found[1], twin[1])


def test_agrees_with_ranking_of_scores() -> None:
    """On real vectors it finds what ranking a full matrix of scores finds."""
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((2, 300, 16)).astype(np.float32)
    excluded = rng.random((300, 300)) < 0.2

    found_items, found_scores = masked_top_k(queries, items, 10, excluded=csr(excluded))

    scores = np.where(excluded, -np.inf, queries @ items.T).astype(np.float32)
    expected_items, expected_scores = top_k(scores, 10)
    np.testing.assert_array_equal(found_items, expected_items)
    np.testing.assert_allclose(found_scores, expected_scores, rtol=1e-4, atol=1e-5)


def test_zero_queries_get_the_lowest_items() -> None:
    """When all scores are equal, every list is items 0, 1, 2, ..."""
    items = np.random.default_rng(0).standard_normal((5000, 4)).astype(np.float32)

    found, _ = masked_top_k(np.zeros((50, 4), np.float32), items, 20)

    np.testing.assert_array_equal(found, np.tile(np.arange(20), (50, 1)))


@pytest.mark.filterwarnings("error")  # torch warns of memory that it must not write to
def test_inputs_of_any_layout() -> None:
    """Read-only and strided inputs are accepted and left as they are."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((20, 8)).astype(np.float32)[:, ::2]
    queries = rng.standard_normal((5, 4)).astype(np.float32)
    queries.flags.writeable = items.flags.writeable = False
    before = items.copy()

    found, _ = masked_top_k(queries, items, 3)

    np.testing.assert_array_equal(
        found, brute_force(queries, items, 3, np.ones((5, 20), dtype=bool))[0]
    )
    np.testing.assert_array_equal(items, before)


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_damaged_vectors_are_refused(damage: float) -> None:
    """A score that is not finite is an error that counts the queries, not a recommendation."""
    queries, items = np.ones((3, 2), np.float32), np.ones((50, 2), np.float32)
    items[30, 1] = damage

    with pytest.raises(DataError, match="for 3 of 3 queries"):
        masked_top_k(queries, items, 5)


def test_damaged_vectors_of_excluded_items_do_no_harm() -> None:
    """What is excluded is not looked at."""
    queries, items = np.ones((1, 2), np.float32), np.ones((5, 2), np.float32)
    items[2] = np.nan

    found, _ = masked_top_k(queries, items, 5, excluded=csr(np.arange(5)[None] == 2))

    assert found.tolist() == [[0, 1, 3, 4, NO_ITEM]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ConfigError, "at least 1"),
        ({"queries": np.ones((2, 4), np.float32)}, DataError, "one width"),
        ({"excluded": csr(np.ones((2, 4)))}, DataError, r"excluded: .*\(2, 5\).*got \(2, 4\)"),
        ({"eligible": np.ones(6, bool)}, DataError, r"eligible: .*\(5,\).*got \(6,\)"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """Arguments that do not fit together are refused with both shapes."""
    fitting = {"queries": np.ones((2, 3), np.float32), "k": 1, "excluded": None, "eligible": None}
    given = fitting | arguments

    with pytest.raises(error, match=message):
        masked_top_k(
            given["queries"],
            np.ones((5, 3), np.float32),
            given["k"],
            excluded=given["excluded"],
            eligible=given["eligible"],
        )


def test_unit_vectors() -> None:
    """Directions stay, lengths become one, and a zero vector does not become NaN."""
    units = unit_vectors(np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float32))

    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)
    assert units.dtype == np.float32
