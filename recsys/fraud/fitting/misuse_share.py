"""How much of what hot accounts do is misuse, and so what that counts for which they piled up.

Shapes: N transactions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.fraud.profiles.arrays import Floats

Array = npt.NDArray[np.float64]

_HOT = 5.0
"""Nats piled up in a day from which on an account is hot."""
_ORDINARY = (0.3, 0.9)
"""Quantiles of own scores between which hardly any misuse lies."""
_SEEN_BEFORE = 5.0
"""Ordinary transactions of hot accounts that are taken as seen before any was."""
_HEAT_OF_MISUSE = 4.0
_HEAT_BESIDE_TREES = 2.0
"""Trees were taught to see episodes and need less of what piled up."""
_LEAST_HEAT = 0.5
_FORTNIGHT_HEAT = 0.1


def heat_weights(misused: float, *, with_trees: bool) -> tuple[float, float]:
    """What piled up counts for more where hot accounts are misused (see `misused_share`)."""
    per_share = _HEAT_BESIDE_TREES if with_trees else _HEAT_OF_MISUSE
    return max(per_share * misused, _LEAST_HEAT), _FORTNIGHT_HEAT


def misused_share(own_N: Array, heat_N: Floats) -> float:
    """Share of the transactions of hot accounts that are misuse, found without a label, 0 to 1.

    Misuse lies far out, so that the ordinary scores that are missing among hot accounts tell how
    much of it there is: the two-groups model of Efron 2008, "Microarrays, empirical Bayes and the
    two-groups model", whose share of nulls is that of the centre.

    Args:
        own_N: Scores of transactions taken alone.
        heat_N: What their accounts had piled up in a day before.
    """
    low, high = np.quantile(own_N, _ORDINARY)
    ordinary_N, hot_N = (own_N > low) & (own_N < high), heat_N >= _HOT
    usual_share = ordinary_N.mean()
    if usual_share == 0:
        return 0.0
    num_ordinary = (ordinary_N & hot_N).sum() + _SEEN_BEFORE * usual_share
    share = num_ordinary / (hot_N.sum() + _SEEN_BEFORE)
    return float(np.clip(1 - share / usual_share, 0, 1))
