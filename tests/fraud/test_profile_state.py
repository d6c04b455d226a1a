"""What accounts learn, what they do not learn from, and how their state grows and is kept."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_passes import (
    excess_on_amounts,
    passed_over,
    some_layout,
    some_priors,
    some_rows,
)

from recsys.features.vocabulary import Vocabulary
from recsys.fraud.profiles.arrays import Rows
from recsys.fraud.profiles.cumulative_score import HALF_LIVES, add_excess
from recsys.fraud.profiles.state import ProfileState, empty_state, extended, from_arrays

STRENGTH = 20.0


def filled_state() -> ProfileState:
    """A state of two accounts and one counterparty with no two values alike."""
    state = empty_state(
        Vocabulary.fit(pa.array(["a", "b"])),
        Vocabulary.fit(pa.array(["shop"])),
        num_values=5,
        until=7.5,
    )
    for number, array in enumerate(state.arrays().values(), start=1):
        if array is not state.arrays()["until"] and array.dtype != np.uint64:
            array[...] = number * 100 + np.arange(array.size).reshape(array.shape)
    state.accounts.sketch[1, 3] = 5
    return state


def equal_payments(num_rows: int, amount: float) -> Rows:
    """One account that pays the same amount to one shop every day at noon."""
    rows = some_rows(np.random.default_rng(0), num_rows, num_accounts=1)
    return rows._replace(
        counterparty=np.zeros(num_rows, np.int64),
        bit=np.zeros(num_rows, np.int64),
        day=19_000.5 + np.arange(num_rows),
        hour=np.full(num_rows, 12),
        context=np.zeros(num_rows, np.int64),
        amount=np.full(num_rows, amount, dtype=np.float32),
    )


def test_a_cold_account_is_expected_to_be_like_its_peers() -> None:
    """Without any known transaction, mean and variance are those of the peer group to the bit."""
    priors = some_priors(np.random.default_rng(1), strength=STRENGTH)
    rows = some_rows(np.random.default_rng(2), 40, num_accounts=40)
    run = passed_over(rows, priors, excess_on_amounts(limit=math.inf))
    cold = run.passed.num_known == 0
    context, peer = rows.context[cold], run.passed.peer[cold]
    assert cold.sum() > 10
    np.testing.assert_array_equal(run.passed.expected_mean[cold], priors.amount_mean[peer, context])
    np.testing.assert_allclose(
        run.passed.expected_var[cold], priors.amount_var[peer, context], rtol=1e-6
    )


@given(amount=st.floats(0, 8, width=32), seed=st.integers(0, 100))
def test_the_expectation_goes_from_the_peers_to_the_account(amount: float, seed: int) -> None:
    """Of equal payments, each moves the expected amount nearer to its own, n / (n + s) of the way.

    All groups expect the same here, so that none is changed for another.
    """
    priors = some_priors(np.random.default_rng(seed), strength=STRENGTH)
    usual = float(priors.amount_mean[0, 0])
    priors = priors._replace(amount_mean=np.full_like(priors.amount_mean, usual))
    run = passed_over(equal_payments(400, amount), priors, excess_on_amounts(limit=math.inf))
    known = np.arange(400)
    way = known / (known + STRENGTH)
    np.testing.assert_allclose(
        run.passed.expected_mean, usual + way * (amount - usual), rtol=1e-4, atol=1e-4
    )
    gap = np.abs(run.passed.expected_mean - amount)
    assert (np.diff(gap) <= 1e-5).all()
    assert gap[-1] <= 0.06 * gap[0] + 1e-4


def test_an_account_does_not_learn_from_a_burst() -> None:
    """Payments far out leave amounts, hours, clusters and counts as they were; normal ones do not.

    What was paid lately goes on all the same: it is a fact and not a habit. So do the peer groups.
    """
    layout, priors = some_layout(), some_priors(np.random.default_rng(3), strength=STRENGTH)
    excess = excess_on_amounts(limit=3.0)
    amount = float(priors.amount_mean[0, 0])
    calm = equal_payments(60, amount)
    burst = calm._replace(amount=np.where(np.arange(60) >= 50, amount + 12, calm.amount))
    burst = burst._replace(amount=burst.amount.astype(np.float32))
    before, after, normal = (
        passed_over(rows, priors, excess).accounts.values[0]
        for rows in (Rows._make(array[:50] for array in calm), burst, calm)
    )
    habits = np.r_[layout.num_known : layout.num_excluded, layout.velocity_mean : layout.peers]
    np.testing.assert_array_equal(after[habits], before[habits])
    assert normal[layout.contexts] == before[layout.contexts] + 10
    assert normal[layout.hours + 12] > before[layout.hours + 12]
    recent = slice(layout.velocity, layout.velocity_mean)
    assert (after[recent] != before[recent]).any()


def test_a_burst_is_measured_against_what_was_before_it() -> None:
    """The tenth payment of a burst is as unusual in amount as the first one."""
    priors = some_priors(np.random.default_rng(3), strength=STRENGTH)
    amount = float(priors.amount_mean[0, 0])
    rows = equal_payments(60, amount)
    rows.amount[50:] += 12
    high = passed_over(rows, priors, excess_on_amounts(limit=3.0)).evidence("amount_high")
    assert high[50] > 10
    np.testing.assert_array_equal(high[50:], high[50])


def test_what_many_accounts_find_unusual_counts_against_a_counterparty() -> None:
    """Excess of others at a shop raises the next account's evidence, and one's own does not."""
    priors = some_priors(np.random.default_rng(4), strength=STRENGTH)
    rows = equal_payments(8, float(priors.amount_mean[0, 0]) + 8)
    excess = excess_on_amounts(limit=3.0)
    day = 19_000.5 + np.arange(8) / 100
    alone = passed_over(rows._replace(day=day), priors, excess)
    others = passed_over(rows._replace(day=day, account=np.arange(8)), priors, excess)
    assert (alone.evidence("counterparty_excess") == 0).all()
    assert (np.diff(others.evidence("counterparty_excess")) > 0).all()


def test_heat_fades_by_half_in_a_half_life() -> None:
    """What piled up before a transaction is the sum of earlier excess, each halved by its age."""
    state = empty_state(
        Vocabulary.fit(pa.array(["a", "b"])), Vocabulary(pa.array([], pa.string())),
        num_values=1, until=0.0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    account, day = rng.integers(0, 2, 200), np.sort(rng.uniform(0, 30, 200))
    excess = rng.exponential(size=200).astype(np.float32)
    cumulative_score = add_excess(account, day, excess, state)
    for row in range(200):
        before = np.flatnonzero(account[:row] == account[row])
        for place, half_life in enumerate(HALF_LIVES):
            expected = (excess[before] * 0.5 ** ((day[row] - day[before]) / half_life)).sum()
            assert cumulative_score[row, place] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_state_grows_without_changing_what_is_known() -> None:
    """New accounts and counterparties are appended as empty ones; the old state stays as it is."""
    state = filled_state()
    kept = {name: array.copy() for name, array in state.arrays().items()}
    grown = state.grown(
        pa.chunked_array([["c", "a", None, "0"]]), pa.chunked_array([["x", "shop"]])
    )
    assert grown.account_ids.terms.to_pylist() == ["a", "b", "0", "c"]
    assert grown.counterparty_ids.terms.to_pylist() == ["shop", "x"]
    fresh = empty_state(grown.account_ids, grown.counterparty_ids, num_values=5, until=7.5)
    for name, array in grown.arrays().items():
        np.testing.assert_array_equal(array[: len(kept[name])], kept[name])
        np.testing.assert_array_equal(
            array[len(kept[name]) :], fresh.arrays()[name][len(kept[name]) :]
        )
        array[...] = 0
        np.testing.assert_array_equal(state.arrays()[name], kept[name])


def test_a_state_comes_back_from_its_arrays() -> None:
    """Arrays and ids hold all of a state, and a copy shares no memory with it."""
    state = filled_state()
    back = from_arrays(state.account_ids, state.counterparty_ids, state.arrays())
    assert back.until == state.until
    for name, array in state.arrays().items():
        for other in (back.arrays()[name], state.copy().arrays()[name]):
            np.testing.assert_array_equal(other, array)
            assert other.dtype == array.dtype
            assert not np.shares_memory(other, array)


@given(
    known=st.lists(st.text("ab", max_size=3), unique=True),
    column=st.lists(st.text("abc", max_size=3) | st.none()),
)
def test_known_ids_keep_their_numbers(known: list[str], column: list[str | None]) -> None:
    """Ids that are added come after those known, each once, whatever order they come in."""
    before = Vocabulary(pa.array(known, pa.string()))
    after = extended(before, pa.chunked_array([pa.array(column, pa.string())]))
    new = sorted({term for term in column if term is not None} - set(known))
    assert after.terms.to_pylist() == [*known, *new]
