"""Calibration: from a number that is higher the more unusual to its tail probability.

Up to the 95th percentile the probability is that of the calibration rows. Beyond it the tail is a
generalised Pareto distribution (Coles 2001, "An introduction to statistical modeling of extreme
values", chapter 4). Its rate is that between the 95th and the 99th percentile: fraud in the
calibration rows lies mostly beyond the latter and does not change it, and a value above all of them
still gets a lower probability. Its shape is a fixed 0.2, a tail heavier than an exponential one, so
that probabilities far out, where there is no data, do not become absurdly small.

Scores that are sums of surprise have another tail, see `score_tails`: it begins further out and is
exponential at first.

Shapes: N transactions, Q quantiles, J kinds of evidence.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float32Array, Float64Array, FloatArray, Int64Array
from recsys.compiled import compiled

TAIL_SHARE = 0.05
"""Share of normal transactions whose evidence lies in the tail."""

SHAPE = 0.2
"""Of the generalised Pareto distribution."""

_NUM_QUANTILES = 400
_SMALL = 0.05
_SIDE_BY_SIDE = 64
_ROWS_AT_ONCE = 2000  # rows of evidence and surprise that stay in the cache from column to column
_MAX_EXCESS = 1000.0  # a probability below 1e-13, at which 1 - p still differs from 1
_MAX_BEYOND = 68.0  # the same for an exponential tail, beyond its exponential part
_LARGEST = 1e100  # what infinity stands for: times a rate of 0 it is 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """Calibration of one number."""

    quantiles: Float64Array
    """Ascending, from the smallest value to the threshold, at equal steps of rank. Shape (Q,)."""
    rate: float
    """Excess for each unit beyond the threshold; 0 where the tail is a point."""
    share: float = TAIL_SHARE
    """Share of normal rows beyond the threshold."""
    exponential: float = 0.0
    """Excess up to which the tail is exponential; beyond it the tail is generalised Pareto."""

    @classmethod
    def fit(cls, values_N: FloatArray) -> Tail:
        """Calibrate on rows taken as normal; NaN and infinite values are left out."""
        finite = values_N[np.isfinite(values_N)].astype(np.float64)
        if not len(finite):
            return cls(quantiles=np.zeros(_NUM_QUANTILES), rate=0.0)
        quantiles = body_of(finite, TAIL_SHARE)
        high = float(np.quantile(finite, 1 - TAIL_SHARE / 5))
        width = high - float(quantiles[-1])
        if width <= 0:  # a number that is hardly ever anything else: go on to the largest one
            width = (float(finite.max()) - float(quantiles[-1])) * np.log(5)
            width /= np.log(max(len(finite), 2))
        # Between two quantiles of this distribution lie so many units of its scale.
        units = (5**SHAPE - 1) / SHAPE
        return cls(quantiles=quantiles, rate=float(units / width) if width > 0 else 0.0)

    @classmethod
    def silent(cls) -> Tail:
        """The calibration of a number that says nothing: no value is unusual."""
        return cls(quantiles=np.full(_NUM_QUANTILES, np.inf), rate=0.0)

    @property
    def threshold(self) -> float:
        """Where the tail begins: the 95th percentile, if not set otherwise."""
        return float(self.quantiles[-1])

    @property
    def median(self) -> float:
        """The value that half of the calibration rows lie below."""
        return float(self.quantiles[round(0.5 / (1 - self.share) * (len(self.quantiles) - 1))])

    def surprise(self, values_N: FloatArray) -> Float64Array:
        """-log probability of a value as high or higher, in nats. Shape (N,).

        A value at which many calibration rows lie counts as the least unusual of them, and NaN as
        not unusual at all.
        """
        surprise_N = np.empty(len(values_N))
        _fill_surprise(self, np.ascontiguousarray(values_N), surprise_N)
        return surprise_N

    def excess(self, values_N: FloatArray) -> Float64Array:
        """Distance beyond the threshold in units of the tail, 0 below it. Shape (N,).

        It keeps the size of a value, which a probability hides.
        """
        beyond_N = np.maximum(_settled(values_N) - self.threshold, 0)
        return np.minimum(beyond_N * self.rate, _MAX_EXCESS)


def body_of(values_N: Float64Array, tail_share: float) -> Float64Array:
    """Quantiles from the least up to where the tail begins. Shape (Q,)."""
    return np.asarray(np.quantile(values_N, np.linspace(0, 1 - tail_share, _NUM_QUANTILES)))


def _settled(values_N: FloatArray) -> Float64Array:
    """The numbers with NaN and positive infinity replaced, which would spread to all sums."""
    return np.nan_to_num(values_N.astype(np.float64), nan=-np.inf, posinf=_LARGEST, neginf=-np.inf)


def fit_tails(evidence_NJ: FloatArray) -> tuple[Tail, ...]:
    """One calibration a column."""
    return tuple(Tail.fit(column_N) for column_N in evidence_NJ.T)


def excess_of(tails: Sequence[Tail], evidence_NJ: FloatArray) -> Float32Array:
    """Excess of every column. Shape (N, J)."""
    excess_NJ = np.empty(evidence_NJ.shape, dtype=np.float32)
    for place, tail in enumerate(tails):
        excess_NJ[:, place] = tail.excess(evidence_NJ[:, place])
    return excess_NJ


def surprise_of(tails: Sequence[Tail], evidence_NJ: FloatArray) -> Float32Array:
    """Surprise of every column in nats. Shape (N, J)."""
    surprise_NJ = np.empty(evidence_NJ.shape, dtype=np.float32)
    for start in range(0, len(evidence_NJ), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for place, tail in enumerate(tails):
            _fill_surprise(tail, evidence_NJ[rows, place], surprise_NJ[rows, place])
    return surprise_NJ


def _fill_surprise(tail: Tail, values_N: FloatArray, surprise_N: FloatArray) -> None:
    """Surprise of each value, written in place."""
    beyond = (tail.rate, tail.share, tail.exponential)
    steps_2Q = _steps(len(tail.quantiles), tail.share)
    _surprise(values_N, tail.quantiles, beyond, steps_2Q, surprise_N)


@functools.cache
def _steps(num_quantiles: int, tail_share: float) -> Float64Array:
    """Surprise at each quantile, and what a step back from it subtracts from the log's argument.

    The second is relative to the probability at the quantile. Shape (2, Q).
    """
    share = (1 - tail_share) / (num_quantiles - 1)
    shares_Q = share * np.arange(num_quantiles)
    return np.stack([-np.log1p(-shares_Q), share / (1 - shares_Q)])


@compiled
def _surprise(
    values_N: FloatArray,
    quantiles_Q: Float64Array,
    beyond_threshold: tuple[float, float, float],
    steps_2Q: Float64Array,
    surprise_N: FloatArray,
) -> None:
    """Surprise of each value, written in place."""
    rate, tail_share, exponential = beyond_threshold
    threshold, at_threshold = quantiles_Q[-1], -math.log(tail_share)
    most = _MAX_BEYOND if exponential > 0 else _MAX_EXCESS
    surprise_Q, step_Q = steps_2Q
    value_R, place_R = np.empty(_SIDE_BY_SIDE), np.empty(_SIDE_BY_SIDE, dtype=np.int64)
    for start in range(0, len(values_N), _SIDE_BY_SIDE):
        num_rows = min(_SIDE_BY_SIDE, len(values_N) - start)
        for row in range(num_rows):
            value_R[row] = float(values_N[start + row])
        _first_not_below(quantiles_Q, value_R, place_R)
        for row in range(num_rows):
            value, place = value_R[row], place_R[row]
            if value > threshold:
                excess = (min(value, _LARGEST) - threshold) * rate
                beyond = min(max(excess - exponential, 0.0), most)
                nats = min(excess, exponential) + math.log1p(SHAPE * beyond) / SHAPE
                surprise_N[start + row] = nats + at_threshold
            elif value > quantiles_Q[0]:
                width = quantiles_Q[place] - quantiles_Q[place - 1]
                back = (quantiles_Q[place] - value) / width * step_Q[place]
                surprise = surprise_Q[place] - _log1p(back)
                surprise_N[start + row] = max(surprise, surprise_Q[place - 1])  # despite rounding
            else:  # NaN is not unusual at all
                surprise_N[start + row] = 0.0


@compiled
def _first_not_below(quantiles_Q: Float64Array, value_R: Float64Array, place_R: Int64Array) -> None:
    """Write the first quantile that is not below each value, the last one if all are.

    All values take the same steps in parallel, without branches.
    """
    place_R[:] = 0
    length = len(quantiles_Q)
    while length > 1:
        half = length >> 1
        for row in range(_SIDE_BY_SIDE):
            is_below = quantiles_Q[place_R[row] + half - 1] < value_R[row]
            place_R[row] += half * np.int64(is_below)
        length -= half


@compiled
def _log1p(x: float) -> float:
    """log(1 + x) from 0 to a twentieth, where so many terms of its series err by 1e-13."""
    if x > _SMALL:
        return math.log1p(x)
    rest = 1 / 6 - x * (1 / 7 - x / 8)
    return x * (1 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x * rest)))))
