"""Work done ahead: the same results in the same order, no more than one item ahead."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.prefetch import prefetched


@given(items=st.lists(st.integers(), max_size=20))
def test_results_are_those_of_map(items: list[int]) -> None:
    """Also of no item at all."""
    assert list(prefetched(lambda item: item * 2 + 1, items)) == [2 * one + 1 for one in items]


def test_one_item_is_taken_ahead_and_no_more() -> None:
    """So that memory does not grow with the number of items."""
    taken: list[int] = []

    def items() -> object:
        for item in range(10):
            taken.append(item)
            yield item

    results = prefetched(lambda item: item, items())  # type: ignore[arg-type]
    for number in range(9):
        assert next(results) == number
        assert taken == list(range(number + 2))


def test_an_error_is_raised_where_its_result_is_due() -> None:
    """Results before it are given, and none after it."""
    results = prefetched(lambda item: 6 // item, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_a_closed_generator_starts_nothing_more_and_leaves_no_thread() -> None:
    """Who stops early, by an error too, waits for the call that goes on and for no other."""
    before, taken = threading.active_count(), []
    results = prefetched(taken.append, range(10))
    next(results)
    results.close()
    assert taken == [0, 1]
    assert threading.active_count() == before
