"""The search of settings: it climbs, it stops when time is up, it takes the smoothest of equals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.recommender.config import TwoTowerConfig, of_width
from recsys.recommender.fitting.search import (
    HISTORY_DROPOUTS,
    PROPAGATIONS,
    START_HISTORY_DROPOUT,
    START_PROPAGATION,
    START_TEMPERATURE,
    TEMPERATURES,
    Trial,
    search,
    trial_dim,
)
from recsys.recommender.model import Selection

START = Selection(
    num_epochs=8,
    popularity_half_life_days=None,
    training_half_life_days=None,
    popularity_weight=0.0,
    temperature=START_TEMPERATURE,
    propagation=START_PROPAGATION,
    history_dropout=START_HISTORY_DROPOUT,
    embedding_dim=256,
)


class Hill:
    """Quality that falls with the distance from a top, and the trials that were made."""

    def __init__(
        self,
        temperature: float,
        propagation: float,
        error: float = 0.0,
        history_dropout: float = START_HISTORY_DROPOUT,
    ) -> None:
        self.top = TEMPERATURES.index(temperature), PROPAGATIONS.index(propagation)
        self.history_dropout = history_dropout
        self.error = error
        self.tried: list[Selection] = []

    def __call__(self, selection: Selection) -> Trial:
        """A trial."""
        self.tried.append(selection)
        away = abs(TEMPERATURES.index(selection.temperature) - self.top[0])
        away += abs(PROPAGATIONS.index(selection.propagation) - self.top[1])
        away += selection.history_dropout != self.history_dropout
        spread = self.error * 2**0.5  # of two users
        qualities = np.array([1 - 0.1 * away - spread, 1 - 0.1 * away + spread])
        return Trial(qualities=qualities, selection=selection)


@given(
    temperature=st.sampled_from(TEMPERATURES),
    propagation=st.sampled_from(PROPAGATIONS),
    dropout=st.sampled_from(HISTORY_DROPOUTS),
)
def test_it_finds_the_top_wherever_it_is(
    temperature: float, propagation: float, dropout: float
) -> None:
    """One coordinate after the other, each setting once."""
    hill = Hill(temperature, propagation, history_dropout=dropout)
    found = search(START, TwoTowerConfig(), hill).selection
    assert (found.temperature, found.propagation) == (temperature, propagation)
    assert found.history_dropout == dropout
    tried = {(one.temperature, one.propagation, one.history_dropout) for one in hill.tried}
    assert len(tried) == len(hill.tried)


def test_settings_that_are_given_stay() -> None:
    """What the config says is not searched; with all given one trial is made."""
    hill = Hill(0.3, 0.0)
    config = TwoTowerConfig(temperature=0.15, propagation=0.3, history_dropout=0.3)
    assert search(START, config, hill).selection == START
    assert hill.tried == [START]
    found = search(START, replace(config, propagation=None), hill).selection
    assert (found.temperature, found.propagation) == (0.15, 0.0)


@pytest.mark.parametrize("num_trials", [1, 2, 3])
def test_without_time_the_best_so_far_is_taken(num_trials: int) -> None:
    """The first trial is always made."""
    hill = Hill(0.3, 0.3)
    found = search(START, TwoTowerConfig(), hill, has_time=lambda: len(hill.tried) < num_trials)
    assert len(hill.tried) == num_trials
    assert found.selection.temperature == TEMPERATURES[3 + num_trials - 1]


@pytest.mark.parametrize(("error", "expected"), [(0.05, 0.1), (0.15, 0.3), (0.25, 0.6)])
def test_of_equals_the_smoothest_is_taken(error: float, expected: float) -> None:
    """Within a standard error of the best, more propagation; beyond it, the best."""
    hill = Hill(START_TEMPERATURE, 0.1, error)
    assert search(START, TwoTowerConfig(), hill).selection.propagation == expected


@pytest.mark.parametrize(
    ("config", "width", "heads", "prefixes"),
    [
        (TwoTowerConfig(embedding_dim=256, prefix_dims=(64, 128)), 128, 1, (64,)),
        (TwoTowerConfig(embedding_dim=256, num_heads=2), 128, 2, ()),
        (TwoTowerConfig(embedding_dim=192, num_heads=3), 128, 1, ()),
        (TwoTowerConfig(embedding_dim=96, num_heads=3), 96, 3, ()),
    ],
)
def test_trials_have_a_config_that_is_allowed(
    config: TwoTowerConfig, width: int, heads: int, prefixes: tuple[int, ...]
) -> None:
    """As many heads as divide the width, and prefixes below it."""
    narrow = of_width(config, trial_dim(config))
    assert narrow.embedding_dim == width
    assert (narrow.num_heads, narrow.prefix_dims) == (heads, prefixes)
