"""Laws of tracked names and values: they fit MLflow's limits and lose nothing unsaid."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from recsys.errors import RecsysError
from recsys.tracking.values import batches, cut, flat_params, valid_names, valid_tags

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab")
KEYS = st.text("abc", min_size=1, max_size=2)


@given(
    st.dictionaries(
        KEYS,
        st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6),
    )
)
def test_every_setting_is_found_under_its_dotted_name(params: dict[str, JsonValue]) -> None:
    """Each leaf of nested settings appears once, as a text that says what it was."""
    flat = flat_params(params)

    def leaves(value: JsonValue, path: list[str]) -> list[tuple[str, str]]:
        if isinstance(value, dict) and value:
            return [leaf for key, child in value.items() for leaf in leaves(child, [*path, key])]
        return [(".".join(path), value if isinstance(value, str) else json.dumps(value))]

    assert (dict(leaves(params, [])) if params else {}) == flat


def test_long_values_are_cut_and_say_so() -> None:
    """A text that is too long keeps its start and ends with an ellipsis."""
    long = flat_params({"users": list(range(10_000))})["users"]

    assert (len(long), long[:8], long[-1]) == (1500, "[0, 1, 2", "…")
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")
    assert len(valid_tags({"a": "x" * 9000})["a"]) == 8000


def test_names_become_valid() -> None:
    """Names that MLflow refuses get ones that it takes; the others stay."""
    values = {"recall@20": 0.5, "loss": 1.0, "by segment/0-5 events": 0.1, "a,b": 0.2}

    assert valid_names(values) == {
        "recall_at_20": 0.5,
        "loss": 1.0,
        "by segment/0-5 events": 0.1,
        "a_b": 0.2,
    }


def test_names_that_would_collide_are_refused() -> None:
    """No value is lost to another one's name."""
    with pytest.raises(RecsysError, match="names that stay apart"):
        valid_names({"a@b": 1, "a_at_b": 2})


@given(st.dictionaries(st.integers(), st.integers()), st.integers(1, 5))
def test_batches_hold_everything_once(values: dict[int, int], size: int) -> None:
    """Batches of bounded size add up to the whole, in order."""
    pieces = list(batches(values, size))

    assert list(values.items()) == [pair for piece in pieces for pair in piece.items()]
    assert all(1 <= len(piece) <= size for piece in pieces)
