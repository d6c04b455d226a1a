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


def test_what_is_unusual_in_every_third_transaction_is_learnt_in_the_end() -> None:
    """An account that goes on paying much now and then is not flagged for ever."""
    rows = changed_after(days_apart=0.5, num_after=400)
    after_N = np.arange(400)
    rows.amount[NUM_BEFORE:][after_N % 3 > 0] -= np.float32(np.log(100))
    excess_N = passed_of(rows).excess[NUM_BEFORE:][after_N % 3 == 0]
    assert (excess_N[:30] > LIMIT).all()
    assert excess_N[-1] < excess_N[:30].min()


def test_two_bursts_a_month_apart_are_not_learnt() -> None:
    """A burst counts as one day: what comes a month later finds the account as it was."""
    first, second = changed_after(days_apart=0.01), changed_after(days_apart=0.01)
    rows = Rows._make(
        np.concatenate([one, other]) for one, other in zip(first, second, strict=True)
    )
    rows.day[NUM_BEFORE + NUM_AFTER :] += 130.0
    rows.amount[NUM_BEFORE + NUM_AFTER : -NUM_AFTER] = rows.amount[:NUM_BEFORE]
    excess_N = passed_of(rows).excess[-NUM_AFTER:]
    assert (excess_N > LIMIT).all()


def test_an_account_finds_its_peer_group_through_what_it_is_refused() -> None:
    """Taken for a group of others at first, it is refused most, and is measured by its own then."""
    priors = some_priors(np.random.default_rng(1))
    rows = some_rows(np.random.default_rng(0), NUM_BEFORE, num_accounts=1)
    rows.context[:] = 0
    priors.amount_mean[:, 0] = [3.0, 12.0]
    priors.amount_var[:, 0] = 0.5
    rows.amount[:] = 12.0
    passed = passed_over(rows, priors, excess_on_amounts(limit=LIMIT)).passed
    assert passed.peer[0] == 0
    assert passed.excess[0] > LIMIT
    assert (passed.peer[5:] == 1).all()
    assert (passed.excess[5:] < LIMIT).all()


def test_what_is_refused_alone_is_learnt_days_later_and_what_comes_in_pairs_is_not() -> None:
    """One high payment makes the next one less unusual, once it has stood alone; two do not."""
    rows = some_rows(np.random.default_rng(0), NUM_BEFORE, num_accounts=1)
    rows.day[:] = 19_000 + np.arange(NUM_BEFORE)
    rows.context[:], rows.amount[:] = 0, 3.0
    rows.amount[[150, 160]] = 7.0
    alone = passed_of(rows)
    assert alone.num_known[153] == alone.num_known[150] + 2
    assert alone.num_known[154] == alone.num_known[150] + 4
    assert LIMIT < alone.excess[160] < alone.excess[150]

    rows.amount[152] = 7.0
    pair = passed_of(rows)
    assert pair.excess[160] > alone.excess[160]
    assert pair.num_known[159] == alone.num_known[159] - 2
