"""How much each kind of evidence is worth, learnt without labels: fraud comes in episodes.

A card is misused for hours or days. So a transaction that is unusual because of fraud has other
unusual transactions of the same account near it in time. One that is unusual by chance has no more
of them near than a month or two away. Both rates are of the same account, so accounts that always
look strange have no effect.

This is used three times. The weight of each kind of evidence is the share of its high values that
the clustering explains. A booster learns, from everything known of one transaction, whether its
neighbours are unusual: its evidence and theirs agree only in an episode. And the same contrast, on
accounts that the booster did not see, measures how good its scores are: the lift among the top
scores.

The idea is that of co-training (Blum and Mitchell 1998, "Combining labeled and unlabeled data with
co-training"): two views, here a transaction and its neighbours, that are independent given the
truth.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from recsys.fraud.accumulate import sum_around
from recsys.fraud.profiles.arrays import OWN_EVIDENCE

NEAR_DAYS = 1.0
"""How far apart the transactions of an episode are at most."""
FAR_DAYS = (30.0, 60.0)
"""Distances at which the usual rate of the account is measured."""


_HIGH_SHARE = 0.01  # of transactions that count as unusual
_PRIOR_NEIGHBOURS = 50.0  # unusual at the usual rate: few real ones must not tell 0 from all
_EPISODE_SHARE = 0.005  # of transactions that count as parts of an episode
_NEIGHBOUR_CAP = 5.0  # most nats of one neighbour
_FULL_LIFT = 0.2  # lift from which on the shares of episodes alone give the weights
_TOP_SHARE = 0.002  # of transactions, those with the top scores, that the lift is measured on


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """Transactions with their neighbours in time, in the order of time."""

    account: Int64Array
    """Account of each transaction. Shape (N,)."""
    day: Float64Array
    """Its time in days. Shape (N,)."""
    usable: BoolArray
    """Which of them count, also as neighbours: those of accounts with enough history. Shape
    (N,)."""

    def around(self, values_N: Float64Array, *, window_days: float) -> Float64Array:
        """Sum over the usable neighbours within a window. Shape (N,)."""
        return sum_around(
            self.account, self.day, np.where(self.usable, values_N, 0.0), window_days=window_days
        )


def evidence_weights(
    around: Neighbourhood, excess_NJ: Float32Array, own_J: BoolArray
) -> Float64Array:
    """Share of the high values of each kind of evidence that come in episodes, 0 to 1.

    With r the rate of unusual neighbours near by and f that far away it is 1 - f / r.

    Args:
        around: Transactions, in the order of time.
        excess_NJ: Excess of each kind of evidence in nats.
        own_J: Kinds by which a neighbour is unusual (see `is_own`).

    Returns:
        Shape (J,); one half for all kinds if no kind comes in episodes.
    """
    high_NJ = _high(excess_NJ, around.usable)
    weights_J = np.ones(excess_NJ.shape[1])
    for _ in range(2):  # the second time, kinds that turned out to be noise do not count
        unusual_N = unusual_own(excess_NJ, weights_J, own_J)
        contrast = Contrast.of(around, unusual_N)
        rates = [contrast.rates(high_N) for high_N in high_NJ.T]
        weights_J = np.array([max(0.0, 1 - far / near) if near > 0 else 0.0 for near, far in rates])
        if not weights_J[own_J].any():
            return np.full(excess_NJ.shape[1], 0.5)
    return weights_J


def is_own(kind: str, covered: Sequence[str]) -> bool:
    """Whether a kind of evidence is an aspect of one transaction that no other kind measures.

    Args:
        kind: Name of the evidence.
        covered: Columns that the pass measures itself, so that their reconstruction adds nothing.

    Examples:
        >>> is_own("hour", ()), is_own("count_1h", ())
        (True, False)
        >>> is_own("reconstruction_country", ("hour_of_day",))
        True
        >>> is_own("reconstruction_hour_of_day", ("hour_of_day",))
        False
    """
    prefix, _, column = kind.partition("_")
    return kind in OWN_EVIDENCE or (prefix == "reconstruction" and column not in covered)


def own_of(kinds: Sequence[str], covered: Sequence[str]) -> BoolArray:
    """Which kinds are aspects of one transaction that no other kind measures. Shape (J,)."""
    return np.array([is_own(kind, covered) for kind in kinds])


def weights_of_shares(shares_J: Float64Array, lift: float, *, sharpness: int) -> Float64Array:
    """Weights from the shares of episodes, moved towards equal weights where the lift is small.

    A log without fraud has no episodes, and the shares measured on it are noise: then all kinds
    get the same weight.

    Args:
        shares_J: See `evidence_weights`.
        lift: Lift of the score that they give (see `lift_among_top`).
        sharpness: Power of the shares; a high one leaves little weight to kinds that are half
            noise.
    """
    known = as_known(lift)
    return np.asarray(known * shares_J**sharpness + (1 - known))


def as_known(lift: float) -> float:
    """How far episodes decide the weights, 0 to 1."""
    return float(np.clip(lift / _FULL_LIFT, 0, 1))


def unusual_own(excess_NJ: Float32Array, weights_J: Float64Array, own_J: BoolArray) -> Float64Array:
    """Weighted excess of the kinds that concern one transaction alone, capped. Shape (N,).

    The cap makes several unusual neighbours count for more than a single extreme one.
    """
    total_N = np.zeros(len(excess_NJ))
    for kind in np.flatnonzero(own_J):
        total_N += excess_NJ[:, kind] * weights_J[kind]
    return np.minimum(total_N, _NEIGHBOUR_CAP)


def has_unusual_neighbours(around: Neighbourhood, unusual_N: Float64Array) -> BoolArray:
    """Whether the neighbours are among the 0.5 % most unusual ones for their number. Shape (N,).

    The sum over them is compared with that over equally many random transactions: in a busy month
    all accounts have more neighbours, some of them unusual by chance.
    """
    near_N = around.around(unusual_N, window_days=NEAR_DAYS)
    count_N = around.around(np.ones(len(unusual_N)), window_days=NEAR_DAYS)
    mean, variance = unusual_N[around.usable].mean(), unusual_N[around.usable].var()
    beyond_N = (near_N - mean * count_N) / np.sqrt(max(variance, 1e-12) * (count_N + 1))
    limit = float(np.quantile(beyond_N[around.usable], 1 - _EPISODE_SHARE))
    return np.asarray(beyond_N > limit, dtype=np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """Numbers of neighbours near and far, and of the unusual ones among them."""

    near: Float64Array
    """Unusual neighbours near by. Shape (N,)."""
    far: Float64Array
    """Unusual transactions of the account far away. Shape (N,)."""
    near_all: Float64Array
    """Neighbours near by. Shape (N,)."""
    far_all: Float64Array
    """Transactions of the account far away. Shape (N,)."""

    @classmethod
    def of(cls, around: Neighbourhood, unusual_N: Float64Array) -> Contrast:
        """Count neighbours; those from the 99th percentile on are unusual."""
        limit = float(np.quantile(unusual_N[around.usable], 1 - _HIGH_SHARE))
        high_N = ((unusual_N >= limit) & (unusual_N > 0)).astype(np.float64)  # many may be capped
        everyone_N = np.ones(len(unusual_N))

        def far(values_N: Float64Array) -> Float64Array:
            start, end = FAR_DAYS
            return around.around(values_N, window_days=end) - around.around(
                values_N, window_days=start
            )

        return cls(
            near=around.around(high_N, window_days=NEAR_DAYS),
            far=far(high_N),
            near_all=around.around(everyone_N, window_days=NEAR_DAYS),
            far_all=far(everyone_N),
        )

    def rates(self, chosen_N: BoolArray) -> tuple[float, float]:
        """Share of unusual ones among the neighbours of some transactions, near and far.

        Both are shrunk towards the usual share: where accounts have hardly any neighbours, or the
        log is too short for any far away, they are equal and say nothing.
        """
        near = _shrunk_share(self.near[chosen_N], self.near_all[chosen_N])
        far = _shrunk_share(self.far[chosen_N], self.far_all[chosen_N])
        return near, far


def _shrunk_share(unusual_M: Float64Array, all_M: Float64Array) -> float:
    unusual = unusual_M.sum() + _PRIOR_NEIGHBOURS * _HIGH_SHARE
    return float(unusual / (all_M.sum() + _PRIOR_NEIGHBOURS))


def lift_among_top(around: Neighbourhood, contrast: Contrast, score_N: Float64Array) -> float:
    """Lift among the top scores: how much more often they have unusual neighbours than usual.

    Returns:
        Difference of the rates near and far over the 0.2 % with the highest scores, -1 to 1.
    """
    limit = float(np.quantile(score_N[around.usable], 1 - _TOP_SHARE))
    near, far = contrast.rates(around.usable & (score_N > limit))
    return near - far


def _high(excess_NJ: Float32Array, usable_N: BoolArray) -> BoolArray:
    """Whether each kind of evidence is in its highest hundredth, and unusual at all."""
    high_NJ = np.zeros(excess_NJ.shape, dtype=np.bool_)
    for kind in range(excess_NJ.shape[1]):
        limit = float(np.quantile(excess_NJ[usable_N, kind], 1 - _HIGH_SHARE))
        high_NJ[:, kind] = usable_N & (excess_NJ[:, kind] > max(limit, 1e-9))
    return high_NJ
