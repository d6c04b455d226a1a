"""Tails of scores in nats: uniform p-values, frauds left out, an estimate against its oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from recsys.fraud.fitting.score_tails import exponential_scale, fit_score_tail
from recsys.fraud.scoring.tails import SHAPE, Tail

NUM_DRAWS = 20_000
SEEDS = range(5)
FAR = (1e-3, 1e-4)


def exponential(seed: int) -> np.ndarray:
    """Scores of the family: nats."""
    return np.random.default_rng(seed).exponential(size=NUM_DRAWS)


def light(seed: int) -> np.ndarray:
    """Surprise of exponential evidence under a tail of shape 0.2: lighter than the family."""
    return np.log1p(SHAPE * exponential(seed)) / SHAPE


def with_frauds(scores: np.ndarray, share: float) -> np.ndarray:
    """The scores with frauds 12 to 16 nats out in place of some."""
    spoilt = scores.copy()
    count = round(share * len(scores))
    spoilt[:count] = np.random.default_rng(1).uniform(12, 16, count)
    return spoilt


def p_values(tail: Tail, values: np.ndarray) -> np.ndarray:
    """Probabilities of a value as high or higher."""
    return np.exp(-tail.surprise(values))


@pytest.mark.parametrize("seed", SEEDS)
def test_p_values_of_held_out_scores_are_uniform(seed: int) -> None:
    """To a distance of 0.02 over all, and within chance at one in a thousand and ten thousand."""
    tail = fit_score_tail(exponential(seed))
    held_out = np.random.default_rng(100 + seed).exponential(size=50 * NUM_DRAWS)

    p = np.sort(p_values(tail, held_out))

    assert np.abs(p - np.arange(1, len(p) + 1) / len(p)).max() <= 0.02
    # 200 rows give the rate to 7 % (sd): e-folds from the hundredth on, three times 7 % of them.
    for level in FAR:
        ratio = (p <= level).mean() / level
        slack = 3 * 0.07 * (1 + math.log(0.01 / level))
        assert math.exp(-slack) <= ratio <= math.exp(slack)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lighter_tail_gets_no_p_values_that_are_too_low(seed: int) -> None:
    """Scores of exponential evidence fall off faster than the family: fewer have low p-values."""
    tail = fit_score_tail(light(seed))
    held_out = np.concatenate([light(100 + 20 * seed + draw) for draw in range(20)])
    for level in FAR:
        assert (p_values(tail, held_out) <= level).mean() <= 1.1 * level


@pytest.mark.parametrize("share", [0.001, 0.005, 0.0075])
def test_frauds_among_the_rows_are_left_out(share: float) -> None:
    """Normal scores are as surprising as they would be without frauds, to a tenth."""
    clean, spoilt = (
        fit_score_tail(exponential(0)),
        fit_score_tail(with_frauds(exponential(0), share)),
    )
    at = np.array([3.0, 5.0, 7.0, 9.0])
    np.testing.assert_allclose(spoilt.surprise(at), clean.surprise(at), rtol=0.1)


def test_more_frauds_than_that_make_scores_modest() -> None:
    """From a hundredth on they hide each other; normal scores are called less rare."""
    clean, spoilt = (
        fit_score_tail(exponential(0)),
        fit_score_tail(with_frauds(exponential(0), 0.02)),
    )
    at = np.array([3.0, 5.0, 7.0, 9.0])
    assert (spoilt.surprise(at) < clean.surprise(at)).all()


def test_what_a_far_tail_claims_is_bounded() -> None:
    """However far out, more is more unusual, and 1 - p is told from 1."""
    tail = fit_score_tail(exponential(0))
    surprise = tail.surprise(np.array([5.0, 10.0, 20.0, 40.0, 60.0, 1e9, np.inf]))
    assert (np.diff(surprise[:5]) > 0).all()
    assert surprise[-1] == surprise[-2]
    assert 1 - math.exp(-surprise[-1]) < 1


@given(seed=st.integers(0, 10_000), mean=st.floats(0.1, 10), limit=st.floats(1.0, 8.0))
def test_the_scale_is_that_of_the_highest_likelihood(seed: int, mean: float, limit: float) -> None:
    """The estimate is where a search over the likelihood of the cut-off distribution ends."""
    draws = np.random.default_rng(seed).exponential(mean, size=200)
    limit *= mean
    seen = draws[draws < limit]

    def minus_log_likelihood(log_scale: float) -> float:
        scale = math.exp(log_scale)
        inside = -math.expm1(-limit / scale)
        return float(len(seen) * math.log(scale * inside) + seen.sum() / scale)

    found = exponential_scale(seen, limit)

    if not math.isfinite(found):
        assert seen.mean() >= limit / 2
        return
    centre = math.log(found)
    oracle = minimize_scalar(
        minus_log_likelihood, bounds=(centre - 3, centre + 3), method="bounded"
    )
    assert minus_log_likelihood(centre) <= oracle.fun + 1e-6


def test_without_a_limit_the_scale_is_the_mean() -> None:
    """As for a distribution that was seen whole; nothing is known without rows."""
    assert exponential_scale(np.array([1.0, 2.0, 6.0]), math.inf) == 3.0
    assert math.isnan(exponential_scale(np.array([]), 5.0))


@pytest.mark.parametrize("values", [np.arange(300.0), np.zeros(5000), np.full(3, np.nan)])
def test_few_or_equal_scores_get_the_usual_tail(values: np.ndarray) -> None:
    """Where there is no tail to speak of, calibration is that of other numbers."""
    tail, usual = fit_score_tail(values), Tail.fit(values)
    at = np.array([-1.0, 0.0, 100.0, 1e4])
    np.testing.assert_array_equal(tail.surprise(at), usual.surprise(at))
