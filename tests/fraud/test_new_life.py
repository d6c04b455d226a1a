"""Accounts whose habits change for good are learnt anew; those that are misused are not."""

from __future__ import annotations

import numpy as np
from small_passes import excess_on_amounts, passed_over, some_priors, some_rows

from recsys.fraud.profiles.arrays import Passed, Rows

NUM_BEFORE, NUM_AFTER = 200, 60
LIMIT = 2.0


def changed_after(days_apart: float, num_after: int = NUM_AFTER) -> Rows:
    """An account that pays a hundred times as much from one day on."""
    num_rows = NUM_BEFORE + num_after
    rows = some_rows(np.random.default_rng(0), num_rows, num_accounts=1)
    rows.day[:NUM_BEFORE] = 19_000 + np.arange(NUM_BEFORE) / 2
    rows.day[NUM_BEFORE:] = 19_100 + np.arange(num_after) * days_apart
    rows.amount[:] = np.random.default_rng(2).normal(3, 0.3, num_rows)
    rows.amount[NUM_BEFORE:] += np.log(100)
    rows.context[:] = 0
    return rows


def passed_of(rows: Rows) -> Passed:
    """What the pass writes down of a log."""
    priors = some_priors(np.random.default_rng(1))
    return passed_over(rows, priors, excess_on_amounts(limit=LIMIT)).passed


def test_a_change_that_lasts_is_learnt() -> None:
    """After a month and many transactions the account is expected to pay what it pays now."""
    rows = changed_after(days_apart=1.0)
    passed = passed_of(rows)
    excess_N = passed.excess[NUM_BEFORE:]
    assert (excess_N[:30] > LIMIT).all()
    assert (passed.num_known[NUM_BEFORE : NUM_BEFORE + 30] == passed.num_known[NUM_BEFORE]).all()
    assert passed.num_known[-1] > passed.num_known[NUM_BEFORE]
    assert excess_N[-1] < excess_N[:30].min()


def test_a_burst_is_not_learnt_however_long_it_is() -> None:
    """Many transactions within days are an episode: the account stays what it was."""
    rows = changed_after(days_apart=0.1, num_after=200)
    passed = passed_of(rows)
    assert (passed.num_known[NUM_BEFORE:] == passed.num_known[NUM_BEFORE]).all()
