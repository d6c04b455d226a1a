"""Choosing alerts: slow twins, and what a higher score must never do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from recsys.fraud.alerts.selection import AlertConfig, choose_alerts, fdr_limit

MODES = ("budget", "fdr", "threshold")


@dataclass(frozen=True, eq=False)
class Day:
    """Accounts of a day, whose score is 1 - p."""

    scores: np.ndarray
    p_values: np.ndarray


@st.composite
def days(draw: st.DrawFn) -> Day:
    """Up to 40 accounts, with ties."""
    levels = st.integers(1, 64).map(lambda one: one**2 / 64**2)
    p_values = np.array(draw(st.lists(levels, max_size=40)), dtype=np.float64)
    return Day(1 - p_values, p_values)


def flagged_by_benjamini_hochberg(p_values: np.ndarray, rate: float) -> list[bool]:
    """The step-up procedure as a loop from the largest p-value down."""
    order = sorted(range(len(p_values)), key=lambda one: p_values[one])
    for place in range(len(order), 0, -1):
        if p_values[order[place - 1]] <= place / len(order) * rate:
            return [p <= p_values[order[place - 1]] for p in p_values]
    return [False] * len(p_values)


@given(days(), st.sampled_from([0.01, 0.1, 0.5]))
def test_fdr_equals_a_slow_twin(day: Day, rate: float) -> None:
    """The accounts of the mode fdr are those of the step-up procedure, one after the other."""
    config = AlertConfig(mode="fdr", false_discovery_rate=rate)

    alerts = choose_alerts(day.scores, day.p_values, config)

    assert alerts.alert.tolist() == flagged_by_benjamini_hochberg(day.p_values, rate)


@given(days(), st.integers(0, 45))
def test_the_budget_is_used_up_by_the_highest_scores(day: Day, budget: int) -> None:
    """As many accounts as the budget has, or all; none has a lower score than one left out."""
    alerts = choose_alerts(day.scores, day.p_values, AlertConfig(alert_budget=budget))

    assert alerts.alert.sum() == min(budget, len(day.scores))
    chosen, others = day.scores[alerts.alert], day.scores[~alerts.alert]
    assert chosen.min(initial=math.inf) >= others.max(initial=-math.inf)
    if 0 < budget <= len(day.scores):
        assert alerts.sufficient_score == chosen.min()
    else:
        assert alerts.sufficient_score == (1.0 if budget == 0 else 0.0)


@given(days(), st.sampled_from(MODES), st.data())
def test_a_higher_score_never_takes_an_alert_away(day: Day, mode: str, data: st.DataObject) -> None:
    """An account that is flagged stays so when its score rises and its p-value falls."""
    config = AlertConfig(mode=mode, alert_budget=3, threshold=0.5)
    before = choose_alerts(day.scores, day.p_values, config)
    for account in np.flatnonzero(before.alert):
        p_values = day.p_values.copy()
        p_values[account] *= data.draw(st.sampled_from([0.1, 0.9]))
        after = choose_alerts(1 - p_values, p_values, config)
        assert after.alert[account]


@given(days(), st.sampled_from(MODES), st.data())
def test_the_sufficient_score_suffices(day: Day, mode: str, data: st.DataObject) -> None:
    """An account whose score rises above the sufficient one is flagged, whichever it is."""
    config = AlertConfig(mode=mode, alert_budget=3, threshold=0.5)
    before = choose_alerts(day.scores, day.p_values, config)
    if len(day.scores):
        account = data.draw(st.integers(0, len(day.scores) - 1))
        p_values = day.p_values.copy()
        p_values[account] = min(p_values[account], (1 - before.sufficient_score) * (1 - 1e-9))
        assert choose_alerts(1 - p_values, p_values, config).alert[account]


@given(days())
def test_ranks_are_a_stable_order(day: Day) -> None:
    """Ranks count from 1 without a gap, by score and then by position."""
    ranks = choose_alerts(day.scores, day.p_values, AlertConfig()).rank

    expected = sorted(range(len(ranks)), key=lambda one: (-day.scores[one], one))
    assert np.argsort(ranks).tolist() == expected
    assert sorted(ranks.tolist()) == list(range(1, len(ranks) + 1))


def test_benjamini_hochberg_1995() -> None:
    """The example of section 3.3 of the paper rejects the four smallest p-values."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p_values += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]

    assert fdr_limit(np.array(p_values), 0.05) == 0.0095


@pytest.mark.parametrize(
    ("scores", "p_values", "expected"),
    [
        ([0.5, math.nan], [0.5, 0.5], "column 'account_score': expected numbers from 0 to 1"),
        ([0.5], [1.5], "column 'p_value': expected numbers from 0 to 1, got 1 others"),
        ([0.5, 0.5], [0.5], "a score and a p-value of each account"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    scores: list[float], p_values: list[float], expected: str
) -> None:
    """Scores that are not numbers from 0 to 1 end in one line."""
    with pytest.raises(DataError, match=expected):
        choose_alerts(np.array(scores), np.array(p_values), AlertConfig())


def test_a_rate_of_nothing_is_refused() -> None:
    """A false discovery rate of 0 would never flag anything."""
    with pytest.raises(ConfigError, match="false_discovery_rate"):
        AlertConfig(false_discovery_rate=0.0)
