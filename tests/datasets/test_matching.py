"""How much of a joined table was found: said always, a warning at little, held at nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.checks.matching import Match
from recsys.errors import CheckError


def match(num_rows: int, num_found: int) -> Match:
    """A table of labels."""
    return Match(
        what="labels", place="labels.csv", of="about transactions", num_rows=num_rows,
        num_found=num_found,
    )  # fmt: skip


@given(st.integers(1, 10**9), st.data())
def test_little_is_less_than_half_and_nothing_is_held(num_rows: int, data: st.DataObject) -> None:
    """Whatever is found is said with its number; only nothing is refused, with what to compare."""
    num_found = data.draw(st.integers(0, num_rows))
    found = match(num_rows, num_found)
    assert f"{num_found:,} of {num_rows:,}" in str(found)
    assert found.is_little == (2 * num_found < num_rows)
    if num_found:
        found.require_some()
    else:
        with pytest.raises(CheckError, match="zeros in front, case, spaces"):
            found.require_some()


@pytest.mark.parametrize(("num_rows", "knows_a_side", "is_held"), [
    (19, True, False), (20, True, True), (19, False, True), (1, False, True),
])  # fmt: skip
def test_a_few_pairs_of_users_who_are_gone_hold_no_night(
    num_rows: int, knows_a_side: bool, is_held: bool
) -> None:
    """Few pairs may match nothing by chance, where ids of one kind are written as expected."""
    match = Match(what="deny list", place="deny.csv", of="known", num_rows=num_rows, num_found=0,
                  knows_a_side=knows_a_side)  # fmt: skip
    if is_held:
        with pytest.raises(CheckError):
            match.require_some()
    else:
        match.require_some()


def test_an_empty_table_is_a_quiet_day() -> None:
    """A table without rows is no fault, unless something must be in it."""
    match(0, 0).require_some()
    assert not match(0, 0).is_little
    with pytest.raises(CheckError):
        match(0, 0).require_some(even_if_empty=True)
