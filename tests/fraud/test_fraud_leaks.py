"""Nothing that comes later, and no way of cutting the work, changes a score by one bit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_transactions import (
    DAY_US,
    arrays_of,
    days_of,
    small_fit,
    small_fit_with_trees,
    small_log,
    times_of,
    with_column,
)

from recsys.errors import DataError
from recsys.fraud import model as model_module
from recsys.fraud.fitting.train import FittedFraud
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.arrays import SHARED_EVIDENCE
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.scores import Scores

FITS = {"weights": small_fit, "trees": small_fit_with_trees}
PERTURBATIONS = ("amounts", "features", "accounts", "counterparties", "removed", "added", "times")
pytestmark = pytest.mark.parametrize("by", FITS)


def scored(
    fitted: FittedFraud, table: pa.Table, state: ProfileState | None = None
) -> tuple[Scores, ProfileState]:
    """Scores from the state at the end of training, or from another."""
    return fitted.model.score(table, fitted.state if state is None else state, num_threads=1)


def assert_same(found: Scores, expected: Scores, rows: np.ndarray | slice = slice(None)) -> None:
    """Everything said of some of the expected rows is said again, to the bit."""
    for name, array in arrays_of(expected).items():
        np.testing.assert_array_equal(arrays_of(found)[name], array[rows], err_msg=name)


def assert_same_state(one: ProfileState, other: ProfileState) -> None:
    """Two states know the same of each account and counterparty, in whatever order."""
    assert one.until == other.until
    one_ids, other_ids = (
        {"account": state.account_ids, "counterparty": state.counterparty_ids}
        for state in (one, other)
    )
    for name, array in one.arrays().items():
        if name in {"until", "counterparty_last_account"}:
            continue
        if name.startswith("population"):
            np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name)
            continue
        owner = "counterparty" if name.startswith("counterparty") else "account"
        places = other_ids[owner].numbers(one_ids[owner].terms)
        assert len(places) == len(other_ids[owner])
        np.testing.assert_array_equal(array, other.arrays()[name][places], err_msg=name)


def perturbed(table: pa.Table, kind: str, rng: np.random.Generator) -> pa.Table:
    """Rows that are changed in one way, still in the order of time."""
    num_rows = table.num_rows
    if kind == "amounts":
        amounts = np.asarray(table["amount"]) * rng.lognormal(0, 3, num_rows)
        return with_column(table, "amount", pa.array(amounts))
    if kind == "features":
        for name in ("category", "channel", "country"):
            values = np.where(rng.random(num_rows) < 0.3, "new", np.asarray(table[name]))
            table = with_column(table, name, pa.array(rng.permutation(values)))
        return table
    if kind in {"accounts", "counterparties"}:
        name = "account_id" if kind == "accounts" else "counterparty_id"
        ids = np.where(rng.random(num_rows) < 0.3, "0new", np.asarray(table[name]))
        return with_column(table, name, pa.array(rng.permutation(ids)))
    if kind == "removed":
        return table.filter(pa.array(rng.random(num_rows) < rng.random()))
    if kind == "added":
        extra = table.take(np.sort(rng.integers(0, num_rows, 2 * num_rows))) if num_rows else table
        return pa.concat_tables([table, extra]).sort_by("event_time")
    later = np.sort(times_of(table) + rng.integers(0, 30 * DAY_US, num_rows))
    return with_column(table, "event_time", pa.array(later, pa.timestamp("us", tz="UTC")))


@settings(max_examples=12)
@given(
    share=st.floats(0.02, 1),
    kinds=st.lists(st.sampled_from(PERTURBATIONS), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_nothing_after_a_time_changes_a_score_up_to_it(
    by: str, share: float, kinds: Sequence[str], seed: int
) -> None:
    """Whatever is changed, removed or added after a time, all that was said before stays."""
    fitted, table, rng = FITS[by](), small_log()[1], np.random.default_rng(seed)
    moment = times_of(table)[int(share * (table.num_rows - 1))]
    place = int(np.searchsorted(times_of(table), moment, side="right"))
    later = table.slice(place)
    for kind in kinds:
        later = perturbed(later, kind, rng)
    found, _ = scored(fitted, pa.concat_tables([table.slice(0, place), later]))
    whole, _ = scored(fitted, table)
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(arrays_of(found)[name][:place], array[:place], err_msg=name)


def test_a_day_at_a_time_is_all_at_once(by: str) -> None:
    """Scoring day by day, with the state passed on, gives the scores and the state of one call."""
    fitted, table = FITS[by](), small_log()[1]
    whole, whole_state = scored(fitted, table)
    state, days = fitted.state, days_of(table)
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        found, state = scored(fitted, table.slice(rows[0], len(rows)), state)
        assert_same(found, whole, rows)
    assert_same_state(state, whole_state)


@settings(max_examples=5)
@given(cuts=st.lists(st.floats(0, 1), max_size=4))
def test_any_cut_of_the_log_gives_the_same_scores(by: str, cuts: list[float]) -> None:
    """Batches may end anywhere, also among transactions at one time, and may be empty."""
    fitted, table = FITS[by](), small_log()[1]
    whole, whole_state = scored(fitted, table)
    places = [0, *sorted(int(cut * table.num_rows) for cut in cuts), table.num_rows]
    state = fitted.state
    for start, end in itertools.pairwise(places):
        found, state = scored(fitted, table.slice(start, end - start), state)
        assert_same(found, whole, slice(start, end))
    assert_same_state(state, whole_state)


@pytest.mark.parametrize(("block_rows", "num_rows"), [(1, 40), (150, None)])
def test_blocks_do_not_matter(
    by: str, block_rows: int, num_rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of rows that are scored at once changes nothing."""
    fitted, table = FITS[by](), small_log()[1].slice(0, num_rows)
    whole, whole_state = scored(fitted, table)
    monkeypatch.setattr(model_module, "BLOCK_ROWS", block_rows)
    found, state = scored(fitted, table)
    assert_same(found, whole)
    assert_same_state(state, whole_state)


def test_threads_do_not_matter(by: str) -> None:
    """Two threads give the scores of one."""
    fitted, table = FITS[by](), small_log()[1]
    found, _ = fitted.model.score(table, fitted.state, num_threads=2)
    assert_same(found, scored(fitted, table)[0])


def test_accounts_that_share_nothing_do_not_matter(by: str) -> None:
    """Leaving out accounts changes nothing of those that share no counterparty with them.

    But for what is measured beside how busy everybody is; here accounts learn from all they do.
    """
    fitted, table = FITS[by](), small_log()[1]
    learns_all = fitted.model.excess._replace(limit=np.inf)
    fitted = replace(fitted, model=replace(fitted.model, excess=learns_all))
    accounts = np.asarray(table["account_id"])
    half = np.isin(accounts, np.unique(accounts)[::2])
    merchants = np.asarray(table["counterparty_id"])
    own = pa.array(np.where(half, np.char.add("half-", merchants.astype(str)), merchants))
    apart = with_column(table, "counterparty_id", own)
    whole, _ = scored(fitted, apart)
    found, _ = scored(fitted, apart.filter(pa.array(half)))
    alone_J = np.array([kind not in SHARED_EVIDENCE for kind in fitted.model.evidence_names])
    np.testing.assert_array_equal(found.evidence[:, alone_J], whole.evidence[half][:, alone_J])
    for place, kind in enumerate(fitted.model.evidence_names):
        differences = np.abs(found.evidence[:, place] - whole.evidence[half, place])
        assert np.median(differences) < 0.5, kind


def test_a_given_state_stays_as_it_is(by: str) -> None:
    """Scoring leaves the state it was given untouched, so that a day can be scored again."""
    fitted, table = FITS[by](), small_log()[1]
    before = fitted.state.copy()
    first, _ = scored(fitted, table)
    for name, array in before.arrays().items():
        np.testing.assert_array_equal(fitted.state.arrays()[name], array)
    assert_same(scored(fitted, table)[0], first)


def test_rows_that_a_state_has_seen_are_refused(by: str) -> None:
    """A fitted state refuses training rows, a later one what it has scored; equal times pass."""
    fitted, (training, table) = FITS[by](), small_log()
    with pytest.raises(DataError, match="in the order of time"):
        scored(fitted, training.slice(training.num_rows - 50))
    _, state = scored(fitted, table.slice(0, 100))
    with pytest.raises(DataError, match="in the order of time"):
        scored(fitted, table.slice(98), state)
    with pytest.raises(DataError, match="in the order of time"):
        scored(fitted, table.take(np.arange(99, -1, -1)))
    last = table.slice(99, 1)
    assert len(scored(fitted, last, state)[0].account) == 1


def test_no_rows_change_no_state(by: str) -> None:
    """A day without transactions gives no scores and the state that it was given."""
    fitted, table = FITS[by](), small_log()[1]
    found, state = scored(fitted, table.slice(0, 0))
    assert found.evidence.shape == (0, len(fitted.model.evidence_names))
    assert_same_state(state, fitted.state)


def test_the_two_models_differ(by: str) -> None:
    """The laws here are proven of weights and of trees: the two models are not one."""
    model: FraudModel = FITS[by]().model
    assert (model.scorer.booster is None) == (by == "weights")
