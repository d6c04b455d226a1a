"""Means and variances that few values are shrunk to: those of the values and imagined ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.shrinkage import shrunk_moments


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


def test_without_values_the_prior_holds() -> None:
    """A place that nobody has been to is like the level above."""
    nothing = np.zeros(0)
    mean, var = shrunk_moments(
        nothing.astype(np.int64), nothing, np.array([2.0]), np.array([3.0]), strength=20
    )
    assert (mean.tolist(), var.tolist()) == ([2.0], [3.0])
