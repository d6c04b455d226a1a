"""Warnings of what may be a mistake: ids that look the same, rows that may be told twice."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.checks.doubtful import num_look_alikes


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "b", None], 0),
        (["a", "a ", " a", "\ta\n", "a\N{NO-BREAK SPACE}"], 4),
        (["red shoe", "red  shoe", "redshoe"], 2),
        (["A", "a"], 0),
        ([1, 2, 1], 0),
    ],
)
def test_ids_that_differ_by_white_space_alone_are_counted(ids: list[object], expected: int) -> None:
    """However the white space is made and wherever it stands; numbers and case do not count."""
    assert num_look_alikes(pa.chunked_array([ids])) == expected


@given(st.lists(st.text("ab", max_size=4), max_size=20))
def test_plain_ids_are_never_doubted(ids: list[str]) -> None:
    """Without white space nothing is said."""
    assert num_look_alikes(pa.chunked_array([pa.array(ids, pa.string())])) == 0
