"""Calibration: order, uniform p-values of normal rows, and what frauds among them can do."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.fraud.scoring.tails import TAIL_SHARE, Tail, excess_of, fit_tails, surprise_of

NUM_DRAWS = 20_000
CONTINUOUS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "lognormal": lambda rng, size: rng.lognormal(size=size),
}
DISCRETE = {
    "poisson": lambda rng, size: rng.poisson(2.0, size).astype(float),
    "coin": lambda rng, size: rng.integers(0, 2, size).astype(float),
    "mostly zero": lambda rng, size: np.where(
        rng.random(size) < 0.97, 0, rng.exponential(size=size)
    ),
}
VALUES = st.floats(-1e6, 1e6)


def samples(draw, seed: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN001
    """Draws to calibrate on, and others of the same distribution."""
    rng = np.random.default_rng(seed)
    return draw(rng, NUM_DRAWS), draw(rng, NUM_DRAWS)


def p_values(tail: Tail, values_N: np.ndarray) -> np.ndarray:
    """Probabilities of a value as high or higher."""
    return np.exp(-tail.surprise(values_N))


@given(
    column=arrays(np.float64, st.integers(1, 60), elements=VALUES | st.integers(0, 3)),
    values=arrays(np.float64, 40, elements=VALUES | st.integers(0, 3)),
)
def test_what_is_higher_is_at_least_as_surprising(column: np.ndarray, values: np.ndarray) -> None:
    """Surprise and excess never fall when the value rises, and lie within their limits."""
    tail = Tail.fit(column)
    values = np.sort(np.concatenate([values, column]))
    surprise, excess = tail.surprise(values), tail.excess(values)
    assert (np.diff(surprise) >= -1e-12).all()
    assert (np.diff(excess) >= 0).all()
    assert surprise.min() >= 0
    assert math.exp(-surprise.max()) > 0
    assert ((excess > 0) <= (values > tail.threshold)).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CONTINUOUS)
def test_p_values_of_normal_draws_are_uniform(name: str, seed: int) -> None:
    """Draws that calibration did not see have uniform p-values, to a distance of 0.02."""
    fitted, held_out = samples(CONTINUOUS[name], seed)
    p = np.sort(p_values(Tail.fit(fitted), held_out))
    shares = np.arange(1, NUM_DRAWS + 1) / NUM_DRAWS
    assert np.abs(p - shares).max() <= 0.02


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DISCRETE)
def test_p_values_of_discrete_draws_are_not_too_low(name: str, seed: int) -> None:
    """With ties, p-values lie below p in at most a share p of draws, to 0.02."""
    fitted, held_out = samples(DISCRETE[name], seed)
    p = p_values(Tail.fit(fitted), held_out)
    for level in np.linspace(0, 1, 201):
        assert (p <= level).mean() <= level + 0.02


@pytest.mark.parametrize("name", CONTINUOUS)
def test_frauds_among_the_rows_hardly_move_normal_p_values(name: str) -> None:
    """With 0.5 % far out, p-values at the 90th percentile move by a twentieth at most.

    At the 97th they move by a third at most, upwards: towards fewer alerts.
    """
    fitted, held_out = samples(CONTINUOUS[name], 0)
    spoilt = fitted.copy()
    spoilt[::200] = 1e4
    at = np.quantile(held_out, [0.9, 0.97])
    clean, moved = (p_values(Tail.fit(rows), at) for rows in (fitted, spoilt))
    np.testing.assert_allclose(moved, clean, rtol=0.33)
    np.testing.assert_allclose(moved[0], clean[0], rtol=0.05)
    assert (moved >= clean).all()
    assert p_values(Tail.fit(spoilt), np.array([1e4]))[0] < 1e-4


def test_the_tail_goes_on_beyond_all_calibration_rows() -> None:
    """Twice as far out is more unusual still, up to a limit that 1 - p tells from 1."""
    tail = Tail.fit(np.random.default_rng(0).normal(size=1000))
    surprise = tail.surprise(np.array([10.0, 20.0, 1e300]))
    assert (np.diff(surprise) > 0).all()
    assert 1 - math.exp(-surprise[-1]) < 1


def test_numbers_that_are_not_finite() -> None:
    """NaN is not unusual, infinity is as unusual as can be, and calibration leaves both out."""
    values = np.random.default_rng(0).normal(size=500)
    spoilt = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    for tail in (Tail.fit(values), Tail.fit(spoilt)):
        np.testing.assert_array_equal(tail.quantiles, Tail.fit(values).quantiles)
        surprise = tail.surprise(np.array([np.nan, -np.inf, np.inf, 1e90]))
        np.testing.assert_array_equal(surprise[:2], [0, 0])
        assert surprise[2] == surprise[3] > 20
        np.testing.assert_array_equal(tail.excess(np.array([np.nan, -np.inf])), [0, 0])


@pytest.mark.parametrize("constant", [0.0, -3.5, 1e7])
def test_a_constant_column_surprises_nobody(constant: float) -> None:
    """The constant has surprise 0, also from one row; all else that of the 95th percentile."""
    for size in (1, 2, 1000):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tail = Tail.fit(np.full(size, constant))
        assert tail.rate == 0
        surprise = tail.surprise(np.array([constant, constant - 1, constant + 1, np.inf]))
        np.testing.assert_allclose(surprise, [0, 0, -math.log(TAIL_SHARE), -math.log(TAIL_SHARE)])


@pytest.mark.parametrize("column", [np.array([]), np.array([np.nan, np.inf])])
def test_a_column_without_numbers_says_nothing(column: np.ndarray) -> None:
    """Where nothing was known, 0 has surprise 0 and no value has excess."""
    tail = Tail.fit(column)
    np.testing.assert_array_equal(tail.surprise(np.array([0.0, np.nan])), [0, 0])
    np.testing.assert_array_equal(tail.excess(np.array([5.0, np.inf])), [0, 0])


@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 1000))
def test_the_unit_does_not_matter(scale: float, shift: float, seed: int) -> None:
    """Evidence in another unit gets the same surprise."""
    rng = np.random.default_rng(seed)
    fitted, values = rng.normal(size=300), rng.normal(size=50) * 3
    there = Tail.fit(fitted * scale + shift).surprise(values * scale + shift)
    np.testing.assert_allclose(there, Tail.fit(fitted).surprise(values), rtol=1e-5, atol=1e-5)


def test_columns_are_calibrated_one_by_one() -> None:
    """Surprise and excess of a table are those of its columns."""
    evidence = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    tails = fit_tails(evidence)
    surprise, excess = surprise_of(tails, evidence), excess_of(tails, evidence)
    for kind, column in enumerate(evidence.T):
        tail = Tail.fit(column)
        np.testing.assert_array_equal(surprise[:, kind], tail.surprise(column).astype(np.float32))
        np.testing.assert_array_equal(excess[:, kind], tail.excess(column).astype(np.float32))


@given(seed=st.integers(0, 10_000), num_rows=st.integers(0, 200))
@settings(max_examples=50)
def test_surprise_is_that_of_the_formula(seed: int, num_rows: int) -> None:
    """Quantiles with ties, values at, between and beyond them: linear in the probability."""
    rng = np.random.default_rng(seed)
    tail = Tail.fit(np.round(rng.lognormal(size=500), seed % 4))
    values = np.concatenate([rng.choice(tail.quantiles, num_rows), rng.lognormal(size=num_rows)])
    shares = np.linspace(0, 0.95, len(tail.quantiles))
    place = np.clip(np.searchsorted(tail.quantiles, values), 1, len(shares) - 1)
    low, high = tail.quantiles[place - 1], tail.quantiles[place]
    is_body = (values > tail.quantiles[0]) & (values <= tail.threshold)
    back = np.where(is_body, high - values, 0.0) / np.where(is_body, high - low, 1.0)
    below = np.where(is_body, shares[place] - back * (shares[1] - shares[0]), 0.0)
    body = -np.log1p(-below)
    beyond = np.log1p(0.2 * tail.excess(values)) / 0.2 - np.log(0.05)
    expected = np.where(values > tail.threshold, beyond, body)
    np.testing.assert_allclose(tail.surprise(values), expected, rtol=1e-11, atol=1e-13)
