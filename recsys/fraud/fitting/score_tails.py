"""The tail of scores in nats: of combined scores, and of the highest one in a day.

A score in nats falls off about exponentially, whatever the evidence was: surprise is minus the
logarithm of a probability. If the tail of the evidence is lighter than assumed in `tails`, a
generalised Pareto distribution of shape 0.2, scores fall off even faster, as in a Gompertz
distribution. So an exponential tail does not overstate how rare a score is, and has a single
parameter. Likely frauds are left out first.

Shapes: N calibration rows.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from recsys.arrays import Float64Array, FloatArray
from recsys.fraud.alerts.selection import fdr_limit
from recsys.fraud.scoring.tails import SHAPE, TAIL_SHARE, Tail, body_of

_LEAST_SHARE, _LEAST_ROWS = 0.01, 100
"""The tail begins at the 99th percentile, or lower so that it holds this many rows, but not below
the 95th."""
_MIN_ROWS = 20  # beyond the 95th percentile: fewer rows are too few for a tail of their own
_EXPONENTIAL = 12.0  # nats of an exponential tail; further out there is no data
_LEFT_OUT_RATE = 0.1
"""False discovery rate at which calibration rows are taken as fraud and left out."""


def fit_score_tail(values_N: FloatArray) -> Tail:
    """Calibrate scores in nats on rows most of which are normal.

    1. Rows flagged at a false discovery rate of 10 % are left out. Their p-values come from a tail
    that falls off faster than exponentially, so that few frauds remain. 2. Of the others the
    highest hundredth, but at least 100 rows, gives the scale: the maximum likelihood estimate for
    an exponential distribution that is cut off at the lowest row left out. So normal rows that were
    left out by mistake do not bias it.

    Args:
        values_N: Scores; NaN and infinite ones are left out. Too few or nearly equal ones get the
            tail of `Tail.fit`.
    """
    finite_N = values_N[np.isfinite(values_N)].astype(np.float64)
    if len(finite_N) * TAIL_SHARE < _MIN_ROWS:
        return Tail.fit(values_N)
    p_value_N = _light_tail_p_values(finite_N)
    is_fraud_N = p_value_N <= fdr_limit(p_value_N, _LEFT_OUT_RATE)
    kept_N = finite_N[~is_fraud_N]
    share = min(max(_LEAST_SHARE, _LEAST_ROWS / len(kept_N)), TAIL_SHARE)
    quantiles = body_of(kept_N, share)
    threshold = float(quantiles[-1])
    limit = float(finite_N[is_fraud_N].min(initial=np.inf)) - threshold
    scale = exponential_scale(kept_N[kept_N > threshold] - threshold, limit)
    if not 0 < scale < np.inf:
        return Tail.fit(values_N)
    return Tail(quantiles=quantiles, rate=1 / scale, share=share, exponential=_EXPONENTIAL)


def exponential_scale(excess_N: Float64Array, limit: float) -> float:
    """Mean of an exponential distribution, estimated from values below a limit.

    The likelihood is highest where the observed mean is that of the truncated distribution:
    mean = scale - limit / (exp(limit / scale) - 1).

    Args:
        excess_N: Observed values, none below 0.
        limit: The limit; may be infinite.

    Returns:
        NaN without rows; infinite where they do not fall off towards the limit.
    """
    mean = float(excess_N.mean()) if len(excess_N) else float("nan")
    if not mean > 0 or not np.isfinite(limit):
        return mean
    if mean >= limit / 2:
        return float("inf")

    def too_high(scale: float) -> float:
        ratio = limit / scale  # exp(ratio) would overflow where the scale is small
        return float(scale - limit * np.exp(-ratio) / -np.expm1(-ratio) - mean)

    highest = mean
    while too_high(highest) < 0:
        highest *= 2
    return float(brentq(too_high, mean / 2, highest))


def _light_tail_p_values(values_N: Float64Array) -> Float64Array:
    """Probabilities under a tail that falls off as scores do where evidence is exponential.

    Surprise s of an exponential excess x is log(1 + 0.2 x) / 0.2; so x = (exp(0.2 s) - 1) / 0.2 is
    what falls off exponentially. Its scale is that between the 95th and the 99th percentile.
    1 below the 95th percentile. Shape (N,).
    """
    threshold, high = np.quantile(values_N, [1 - TAIL_SHARE, 1 - TAIL_SHARE / 5])
    scale = np.expm1(SHAPE * (high - threshold)) / np.log(5)
    if not scale > 0:
        return np.ones(len(values_N))
    beyond_N = np.expm1(np.minimum(SHAPE * (values_N - threshold), 100))
    return np.where(values_N > threshold, TAIL_SHARE * np.exp(-beyond_N / scale), 1.0)
