"""Paired differences and the verdict: planted differences, coverage of the interval, wording."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recsys.errors import DataError
from recsys.recommender.evaluation.comparison import paired_difference, verdict
from recsys.recommender.evaluation.evaluate import Evaluation

RECALL = "recall@20"


def evaluation(recall_U: np.ndarray) -> Evaluation:
    """An evaluation that knows recall only."""
    return Evaluation(
        overall={RECALL: float(np.nanmean(recall_U)) if len(recall_U) else math.nan},
        by_segment={},
        per_user={RECALL: recall_U},
    )


def test_the_difference_is_that_of_the_paired_t_test() -> None:
    """Mean and interval equal scipy's paired test on the users that both have a value for."""
    rng = np.random.default_rng(0)
    a_U, b_U = rng.random(50), rng.random(50)
    a_U[:3], b_U[2:5] = np.nan, np.nan
    known = ~np.isnan(a_U) & ~np.isnan(b_U)
    interval = stats.ttest_rel(a_U[known], b_U[known]).confidence_interval(0.95)
    difference = paired_difference(a_U, b_U)
    assert difference.num_users == 45
    assert difference.mean == pytest.approx(np.mean(a_U[known] - b_U[known]))
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))


def test_the_interval_covers_a_planted_difference_as_often_as_it_says() -> None:
    """Over many draws of skewed values about 95% of the intervals hold the true difference."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(500):
        base_U = rng.beta(0.3, 2, size=80)
        gain_U = 0.02 + rng.choice([-0.1, 0.1], size=80)
        difference = paired_difference(base_U + gain_U, base_U)
        covered += difference.low <= 0.02 <= difference.high
    assert 0.92 <= covered / 500 <= 0.98


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([0.25], 0.25)])
def test_too_few_users_give_no_interval(values: list[float], mean: float) -> None:
    """Without spread there is no interval, and that is said as NaN rather than as certainty."""
    difference = paired_difference(np.array(values), np.zeros(len(values)))
    assert difference.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(difference.low)
    assert math.isnan(difference.high)


def test_other_users_cannot_be_compared() -> None:
    """Values of different numbers of users are refused."""
    with pytest.raises(DataError, match="the same users in both"):
        paired_difference(np.zeros(3), np.zeros(4))


def spread(mean: float) -> np.ndarray:
    """Values of twelve users around a mean."""
    return mean + np.tile([-0.02, 0.0, 0.02], 4)


def test_the_verdict_names_every_baseline_that_is_not_beaten() -> None:
    """A loss comes first, with both figures and the interval; then what is level; then wins."""
    noise = np.tile([-0.1, 0.1], 6)
    baselines = {
        "most popular": evaluation(spread(0.1)),
        "item-item cosine": evaluation(spread(0.5) + noise / 10),
        "recently popular": evaluation(spread(0.4) + noise),
    }
    line = verdict(evaluation(spread(0.4)), baselines, [RECALL])
    loss, level, win = line.split(". ")
    assert loss.startswith("The model does NOT beat item-item cosine on recall@20 (0.4000 against ")
    assert "0.5000, 95% interval of the difference -0.1" in loss
    assert level.startswith("It is level with recently popular on recall@20 (0.4000 against 0.4000")
    assert win == "It beats most popular on recall@20."
    assert "\n" not in line


@pytest.mark.parametrize("sign", [1, -1])
def test_within_the_interval_it_is_level_both_ways(sign: int) -> None:
    """A mean that is ahead or behind by less than chance is neither a win nor a loss."""
    noise = np.tile([-0.1, 0.1], 6)
    line = verdict(evaluation(spread(0.4) + sign * 0.01 + noise), {"b": evaluation(spread(0.4))},
                   [RECALL])  # fmt: skip
    assert line.startswith("The model is level with b on recall@20 (")


def test_the_verdict_of_a_model_that_wins_everywhere() -> None:
    """A model that is better than every baseline on every measure is said to beat them all."""
    model = evaluation(np.append(spread(0.4), np.nan))
    baselines = {name: evaluation(np.append(spread(0.1), np.nan)) for name in ("popular", "cosine")}
    assert verdict(model, baselines, [RECALL]) == "The model beats popular and cosine on recall@20."


@pytest.mark.parametrize("num_users", [0, 1, 2, 5])
def test_too_few_users_are_too_little_to_measure(num_users: int) -> None:
    """With five users or fewer nothing is won, lost or level, however far apart the rankers are."""
    line = verdict(evaluation(np.ones(num_users)), {"b": evaluation(np.zeros(num_users))}, [RECALL])
    assert line.startswith(f"Too little to measure: {num_users} of at least 6 users")


def test_a_model_without_comparison_is_not_praised() -> None:
    """No baseline and no common user are no wins."""
    model = evaluation(np.array([0.5, np.nan]))
    assert verdict(model, {}, [RECALL]) == "The model was compared with no baseline."
    assert "Too little" in verdict(model, {"other": evaluation(np.array([np.nan, 0.1]))}, [RECALL])
