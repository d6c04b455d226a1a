"""Means and variances that few values are shrunk to: those of the values and imagined ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.profiles.shrinkage import shrunk_estimate, shrunk_moments


@given(seed=st.integers(0, 100), strength=st.integers(1, 40))
def test_the_prior_counts_for_as_many_values(seed: int, strength: int) -> None:
    """As if `strength` values of the prior's mean and variance stood beside the own ones."""
    rng = np.random.default_rng(seed)
    place_N, value_N = rng.integers(0, 6, 40), rng.normal(3, 2, 40)
    prior_mean, prior_var = rng.normal(size=(2, 3)), rng.uniform(0.1, 2, (2, 3))
    mean, var = shrunk_moments(place_N, value_N, prior_mean, prior_var, strength=2 * strength)
    for place in range(6):
        usual, spread = prior_mean.flat[place], np.sqrt(prior_var.flat[place])
        imagined = [usual - spread, usual + spread] * strength
        together = np.concatenate([value_N[place_N == place], imagined])
        np.testing.assert_allclose(mean.flat[place], together.mean(), atol=1e-12)
        np.testing.assert_allclose(var.flat[place], together.var(), atol=1e-9)


@given(seed=st.integers(0, 100), strength=st.integers(1, 40))
def test_what_a_state_keeps_gives_the_same(seed: int, strength: int) -> None:
    """Count, mean and squared deviations say what the values themselves say."""
    rng = np.random.default_rng(seed)
    value_N, prior_mean, prior_var = rng.normal(3, 2, 40), rng.normal(size=1), np.ones(1)
    places_N = np.zeros(40, dtype=np.int64)
    mean, var = shrunk_moments(places_N, value_N, prior_mean, prior_var, strength=strength)
    count, m2 = np.array([40.0]), np.array([40 * value_N.var()])
    kept = shrunk_estimate(
        count, value_N.mean(keepdims=True), m2, prior_mean, prior_var, strength=strength
    )
    np.testing.assert_allclose(kept, [mean, var], atol=1e-9)


def test_without_values_the_prior_holds() -> None:
    """A place that nobody has been to is like the level above."""
    nothing = np.zeros(0)
    mean, var = shrunk_moments(
        nothing.astype(np.int64), nothing, np.array([2.0]), np.array([3.0]), strength=20
    )
    assert (mean.tolist(), var.tolist()) == ([2.0], [3.0])
