"""Robust scaling: what it does to typical, constant, extreme and missing values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from recsys.features.scaling import RobustScaler

VALUES = st_numpy.arrays(
    np.float32,
    st.integers(0, 30),
    elements=st.one_of(
        st.sampled_from([0.0, 1.0, float("nan"), float("inf"), float("-inf")]),
        st.floats(-(2.0**100), 2.0**100, width=32),
    ),
)


def test_normal_values_keep_about_unit_spread() -> None:
    """A normal column comes out with mean near 0 and standard deviation near 1."""
    values = np.random.default_rng(0).normal(50, 7, size=20_000).astype(np.float32)
    scaled = RobustScaler.fit(values).scale(values)
    assert abs(scaled.mean()) < 0.03
    assert abs(scaled.std() - 1) < 0.03


def test_outliers_do_not_set_the_scale() -> None:
    """One value a million times the others changes the scale of the others by little."""
    values = np.random.default_rng(0).normal(size=1000)
    spoilt = np.append(values, 1e6)
    before, after = RobustScaler.fit(values).scale(values), RobustScaler.fit(spoilt).scale(values)
    np.testing.assert_allclose(after, before, atol=0.02)
    assert RobustScaler.fit(spoilt).scale(np.array([1e6, -1e6])).tolist() == [10, -10]


@given(fitted=VALUES, scaled=VALUES)
def test_scaled_values_are_finite_and_bounded(fitted: np.ndarray, scaled: np.ndarray) -> None:
    """Whatever is fitted and whatever comes, the result is float32 within ±10, and 0 for NaN."""
    result = RobustScaler.fit(fitted).scale(scaled)
    assert result.dtype == np.float32
    assert (np.abs(result) <= 10).all()
    assert (result[np.isnan(scaled)] == 0).all()


@given(values=VALUES)
def test_scaling_keeps_order(values: np.ndarray) -> None:
    """A larger value never gets a smaller scaled value."""
    ordered = np.sort(values[~np.isnan(values)])
    assert (np.diff(RobustScaler.fit(values).scale(ordered)) >= 0).all()


@given(value=st.floats(-(2.0**100), 2.0**100, width=32), count=st.integers(1, 20))
def test_a_constant_column_scales_to_zero(value: float, count: int) -> None:
    """Without any spread the scale is not a division by zero, and the constant is the centre."""
    values = np.full(count, value, dtype=np.float32)
    scaler = RobustScaler.fit(values)
    assert scaler.spread == 1
    assert not scaler.scale(values).any()


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]], ids=["empty", "nothing finite"])
def test_without_finite_values_the_scale_is_the_identity(values: list[float]) -> None:
    """A column that says nothing is centred at 0 with spread 1."""
    scaler = RobustScaler.fit(np.array(values, dtype=np.float32))
    assert (scaler.median, scaler.spread) == (0, 1)


def test_a_column_that_is_mostly_one_value_keeps_its_rare_values_apart() -> None:
    """Where the quartiles coincide the standard deviation sets the scale, not 1."""
    values = np.zeros(100)
    values[:10] = 1000
    assert 2 < RobustScaler.fit(values).scale(np.array([1000.0]))[0] < 10
