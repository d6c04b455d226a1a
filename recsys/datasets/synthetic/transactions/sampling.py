"""Draws from many discrete distributions at once.

Shapes: K distributions, M outcomes, N draws.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float64Array, Int64Array

_BELOW_1 = 1 - 1e-9  # a draw of nearly 1 would round up into the next distribution


def draw_outcomes(
    rng: np.random.Generator,
    weights_KM: Float64Array,
    rows_N: Int64Array,
    *,
    first_N: Int64Array | None = None,
) -> Int64Array:
    """One outcome for each row number, with probability in proportion to the weights of that row.

    The cumulated weights of all rows are laid on one line, row k between k and k + 1, so that one
    search serves all draws.

    Args:
        rng: Source of the draws.
        weights_KM: Weights that are not negative, with a positive sum in every row.
        rows_N: The distribution to draw from.
        first_N: The least outcome that a draw may have; 0 when not given.

    Returns:
        Outcomes from 0 to M - 1. Shape (N,).
    """
    ends_KM = np.cumsum(weights_KM, axis=1)
    ends_KM = ends_KM / ends_KM[:, -1:]
    points_N = rng.random(len(rows_N)) * _BELOW_1
    if first_N is not None:
        starts_KM = np.concatenate([np.zeros((len(ends_KM), 1)), ends_KM[:, :-1]], axis=1)
        low_N = starts_KM[rows_N, first_N]
        points_N = low_N + (1 - low_N) * points_N
    num_rows, num_outcomes = ends_KM.shape
    line = (ends_KM + np.arange(num_rows)[:, None]).ravel()
    places_N = np.searchsorted(line, rows_N + points_N, side="right") - rows_N * num_outcomes
    return np.asarray(np.minimum(places_N, num_outcomes - 1), dtype=np.int64)
