"""Means and variances of few values, shrunk towards those of the level above.

Shapes: N values, any shape P of places that a level has, such as accounts by contexts.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float64Array, FloatArray, Int64Array
from recsys.fraud.profiles.measure import MIN_VARIANCE


def shrunk_moments(
    place_N: Int64Array,
    value_N: FloatArray,
    prior_mean_P: Float64Array,
    prior_var_P: Float64Array,
    *,
    strength: float,
) -> tuple[Float64Array, Float64Array]:
    """Mean and variance at each place, as if `strength` more values had come from the prior.

    Args:
        place_N: Place of each value, counted through P in the order of C.
        value_N: The values.
        prior_mean_P: What the level above expects at each place.
        prior_var_P: Its variance.
        strength: Values that the level above counts for. Returns: Two arrays of shape P.
    """
    shape, size = prior_mean_P.shape, prior_mean_P.size
    value_N = np.asarray(value_N, dtype=np.float64)
    counts_P = np.bincount(place_N, minlength=size).reshape(shape)
    sums_P = np.bincount(place_N, value_N, minlength=size).reshape(shape)
    squares_P = np.bincount(place_N, value_N**2, minlength=size).reshape(shape)
    mean_P = (sums_P + strength * prior_mean_P) / (counts_P + strength)
    m2_P = squares_P - 2 * mean_P * sums_P + counts_P * mean_P**2
    m2_P = m2_P + strength * (prior_var_P + (prior_mean_P - mean_P) ** 2)
    return mean_P, m2_P / (counts_P + strength)


def shrunk_estimate(
    count: Float64Array,
    mean: Float64Array,
    m2: Float64Array,
    prior_mean: FloatArray,
    prior_var: FloatArray,
    *,
    strength: float,
) -> tuple[Float64Array, Float64Array]:
    """The same from a count, mean and squared deviations, as `profiles.measure` does in the pass.

    Args:
        count: How many values there were.
        mean: Their mean.
        m2: Sum of their squared deviations.
        prior_mean: What the level above expects.
        prior_var: Its variance.
        strength: Values that the level above counts for.

    Returns:
        Mean and variance; the latter is not below the least one of the pass.
    """
    total = count + strength
    shrunk = (count * mean + strength * prior_mean) / total
    squares = m2 + count * (mean - shrunk) ** 2
    squares = squares + strength * (prior_var + (prior_mean - shrunk) ** 2)
    return shrunk, np.maximum(squares / total, MIN_VARIANCE)
