"""Laws of choosing without swinging: chance moves nothing, what is clearly better is taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_search import START, Hill

from recsys.recommender.config import TwoTowerConfig
from recsys.recommender.evaluation.steady import steady_choice, steady_epochs
from recsys.recommender.fitting.search import TEMPERATURES, chosen_before, search


def drawn(rng: np.random.Generator, mean: float, num_users: int = 300) -> np.ndarray:
    """Qualities of users around a mean."""
    return rng.beta(1, (1 - mean) / mean, num_users)


@given(seed=st.integers(0, 10_000), kept=st.integers(0, 8))
def test_of_settings_that_are_alike_the_kept_one_stays(seed: int, kept: int) -> None:
    """Nine settings of one quality, user by user, differ by a hundredth at most: none replaces."""
    rng = np.random.default_rng(seed)
    base_V = drawn(rng, 0.3)
    qualities = [base_V * (1 + rng.uniform(0, 0.0099)) for _ in range(9)]
    assert steady_choice(qualities, kept=kept) == kept


def test_days_of_chance_change_little() -> None:
    """Over a hundred days of fresh validation users a choice among equals changes twice at most."""
    rng, kept, changes = np.random.default_rng(0), 4, 0
    for _ in range(100):
        qualities = [drawn(rng, 0.3) for _ in range(9)]
        found = steady_choice(qualities, kept=kept)
        changes += found != kept
        kept = found
    assert changes <= 2


@given(seed=st.integers(0, 1000), best=st.integers(0, 8), kept=st.integers(0, 8))
def test_what_is_clearly_better_replaces(seed: int, best: int, kept: int) -> None:
    """A gain of a third for everybody is taken, whatever was chosen before."""
    base_V = drawn(np.random.default_rng(seed), 0.3)
    qualities = [base_V * (4 / 3 if place == best else 1) for place in range(9)]
    assert steady_choice(qualities, kept=kept) == best


def test_without_a_choice_before_the_smoothest_of_equals_is_taken() -> None:
    """Within a standard error of the best the first one is taken; without slack, the best."""
    rng = np.random.default_rng(0)
    base_V = drawn(rng, 0.3, 5000)
    noise_V = rng.normal(scale=0.1, size=5000)
    near_V = base_V + noise_V - noise_V.mean() - 0.5 * 0.1 / 5000**0.5
    assert steady_choice([base_V * 0.5, near_V, base_V], kept=None, slack_errors=1.0) == 1
    assert steady_choice([base_V * 0.5, near_V, base_V], kept=None) == 2


@pytest.mark.parametrize(("best", "kept", "expected"), [(3, None, 3), (9, 3, 6), (4, 4, 4)])
def test_epochs_go_half_way(best: int, kept: int | None, expected: int) -> None:
    """The number of epochs is shrunk towards that of the day before."""
    assert steady_epochs(best, kept) == expected


def test_the_search_keeps_its_start_where_others_are_not_clearly_better() -> None:
    """Differences of chance leave every setting; a clear hill is climbed all the same."""
    flat = Hill(0.235, 0.6, history_dropout=0.0)

    def almost_flat(selection: object) -> object:
        trial = flat(selection)
        return replace(trial, qualities=0.5 + trial.qualities * 1e-3)

    assert search(START, TwoTowerConfig(), almost_flat, keeps_start=True).selection == START
    found = search(START, TwoTowerConfig(), flat, keeps_start=True).selection
    assert (found.temperature, found.propagation, found.history_dropout) == (0.235, 0.6, 0.0)


def test_what_was_chosen_before_gives_way_to_the_config() -> None:
    """A given setting holds, one that is on no ladder is not started from."""
    before = replace(START, temperature=TEMPERATURES[0], propagation=0.6, history_dropout=0.123)
    start = chosen_before(START, before, TwoTowerConfig(propagation=0.3))
    assert start is not None
    assert (start.temperature, start.propagation) == (TEMPERATURES[0], START.propagation)
    assert start.history_dropout == START.history_dropout
    assert chosen_before(START, None, TwoTowerConfig()) is None
