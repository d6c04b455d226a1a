"""What makes evidence worth something, learnt without a label: fraud comes in episodes.

A card is misused for hours or days. So transactions that are unusual because of fraud have other
unusual transactions of the same account near them in time, and those that are unusual by chance do
not: they have as many near as a month or two away. Both rates are of the same account, so that
accounts which always look strange gain nothing.

Three things follow. The weight of each kind of evidence is the share of its high values that this
clustering explains. A booster learns, from everything known of one transaction, whether its
neighbours are unusual; its own evidence and theirs agree only where there is an episode. And the
same contrast, on accounts that the booster did not see, tells whether to trust it.

The idea is that of co-training (Blum and Mitchell 1998, "Combining labeled and unlabeled data with
co-training"): two views, here a transaction and its neighbours, that are independent given the
truth.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.fraud.profiles.arrays import OWN_EVIDENCE, Codes, Days, Floats
from recsys.fraud.windows import sum_around

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NEAR_DAYS = 1.0
"""How far apart the transactions of an episode are at most."""
FAR_DAYS = (30.0, 60.0)
"""Where it is looked what is usual for the account."""


_HIGH_SHARE = 0.01  # of transactions that count as unusual
_EPISODE_SHARE = 0.005  # of transactions that count as parts of an episode
_NEIGHBOUR_CAP = 5.0  # nats that one neighbour counts for
_FULL_TRUST = 0.2  # from which on the shares of episodes alone count
_TOP_SHARE = 0.002  # of transactions that the trust in a score is measured on


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """Transactions whose neighbours are looked at, in the order of time."""

    account: Codes
    """Account of each transaction. Shape (N,)."""
    day: Days
    """Its time in days. Shape (N,)."""
    usable: Flags
    """Which are looked at and counted as neighbours: their account is known. Shape (N,)."""

    def around(self, values_N: Array, *, window_days: float) -> Array:
        """Sum over the usable neighbours within a window. Shape (N,)."""
        return sum_around(
            self.account, self.day, np.where(self.usable, values_N, 0.0), window_days=window_days
        )


def evidence_weights(around: Neighbourhood, excess_NJ: Floats, own_J: Flags) -> Array:
    """Share of the high values of each kind of evidence that come in episodes, 0 to 1.

    With r the rate of unusual neighbours near by and f that far away it is 1 - f / r.

    Args:
        around: Transactions, in the order of time.
        excess_NJ: Excess of each kind of evidence in nats.
        own_J: Kinds by which a neighbour is unusual (see `is_own`).

    Returns:
        Shape (J,); half for all kinds where nothing can be said.
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


def own_of(kinds: Sequence[str], covered: Sequence[str]) -> Flags:
    """Which kinds are aspects of one transaction that no other kind measures. Shape (J,)."""
    return np.array([is_own(kind, covered) for kind in kinds])


def trusted_weights(shares_J: Array, trusted: float, *, sharpness: int) -> Array:
    """Weights from the shares of episodes, as far as these are trusted.

    A log without fraud has no episodes, and shares measured on it are noise: then all kinds count
    alike.

    Args:
        shares_J: See `evidence_weights`.
        trusted: Trust in the score that they give (see `trust`).
        sharpness: Power of the shares; a high one leaves little of what is half noise.
    """
    known = as_known(trusted)
    return np.asarray(known * shares_J**sharpness + (1 - known))


def as_known(trusted: float) -> float:
    """How far what episodes say is taken as known, 0 to 1."""
    return float(np.clip(trusted / _FULL_TRUST, 0, 1))


def unusual_own(excess_NJ: Floats, weights_J: Array, own_J: Flags) -> Array:
    """Weighted excess of what each transaction alone says, up to a cap. Shape (N,).

    The cap lets several unusual neighbours count for more than a single absurd one.
    """
    total_N = np.zeros(len(excess_NJ))
    for kind in np.flatnonzero(own_J):
        total_N += excess_NJ[:, kind] * weights_J[kind]
    return np.minimum(total_N, _NEIGHBOUR_CAP)


def has_unusual_neighbours(around: Neighbourhood, unusual_N: Array) -> Flags:
    """Whether the neighbours are among the 0.5 % most unusual ones for their number. Shape (N,).

    The sum over them is compared with that over as many at random: in a busy month everybody has
    more neighbours, and some that are unusual by chance.
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

    near: Array
    """Unusual neighbours near by. Shape (N,)."""
    far: Array
    """Unusual transactions of the account far away. Shape (N,)."""
    near_all: Array
    """Neighbours near by. Shape (N,)."""
    far_all: Array
    """Transactions of the account far away. Shape (N,)."""

    @classmethod
    def of(cls, around: Neighbourhood, unusual_N: Array) -> Contrast:
        """Count neighbours, those from the 99th percentile on being unusual."""
        limit = float(np.quantile(unusual_N[around.usable], 1 - _HIGH_SHARE))
        high_N = ((unusual_N >= limit) & (unusual_N > 0)).astype(np.float64)  # many may be capped
        everyone_N = np.ones(len(unusual_N))

        def far(values_N: Array) -> Array:
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

    def rates(self, chosen_N: Flags) -> tuple[float, float]:
        """Share of unusual ones among the neighbours of some transactions, near and far."""
        near = self.near[chosen_N].sum() / max(self.near_all[chosen_N].sum(), 1.0)
        far = self.far[chosen_N].sum() / max(self.far_all[chosen_N].sum(), 1.0)
        return float(near), float(far)


def trust(around: Neighbourhood, contrast: Contrast, score_N: Array) -> float:
    """How much more often those with the highest scores have unusual neighbours than is usual.

    Returns:
        Difference of the rates near and far over the 0.2 % with the highest scores, -1 to 1.
    """
    limit = float(np.quantile(score_N[around.usable], 1 - _TOP_SHARE))
    near, far = contrast.rates(around.usable & (score_N > limit))
    return near - far


def _high(excess_NJ: Floats, usable_N: Flags) -> Flags:
    """Whether each kind of evidence is in its highest hundredth, and unusual at all."""
    high_NJ = np.zeros(excess_NJ.shape, dtype=np.bool_)
    for kind in range(excess_NJ.shape[1]):
        limit = float(np.quantile(excess_NJ[usable_N, kind], 1 - _HIGH_SHARE))
        high_NJ[:, kind] = usable_N & (excess_NJ[:, kind] > max(limit, 1e-9))
    return high_NJ
