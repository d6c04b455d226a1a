"""How much of what hot accounts do is misuse, and so what that counts for which they piled up.

Shapes: N transactions.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float32Array, Float64Array

_HIGH = 5.0
"""Nats piled up in a day from which on an account is hot."""
_ORDINARY = (0.3, 0.9)
"""Quantiles of own scores between which hardly any misuse lies."""
_SEEN_BEFORE = 5.0
"""Ordinary transactions of hot accounts that are taken as seen before any was."""
_WEIGHT_OF_MISUSE = 4.0
_WEIGHT_BESIDE_TREES = 2.0
"""Trees were taught to see episodes and need less of what piled up."""
_LEAST_WEIGHT = 0.5
_FORTNIGHT_WEIGHT = 0.1


def cumulative_weights(misused: float, *, with_trees: bool) -> tuple[float, float]:
    """What piled up counts for more where hot accounts are misused (see `misused_share`)."""
    per_share = _WEIGHT_BESIDE_TREES if with_trees else _WEIGHT_OF_MISUSE
    return max(per_share * misused, _LEAST_WEIGHT), _FORTNIGHT_WEIGHT


def misused_share(transaction_N: Float64Array, cumulative_N: Float32Array) -> float:
    """Share of the transactions of hot accounts that are misuse, found without a label, 0 to 1.

    Misuse lies far out, so that the ordinary scores that are missing among hot accounts tell how
    much of it there is: the two-groups model of Efron 2008, "Microarrays, empirical Bayes and the
    two-groups model", whose share of nulls is that of the centre.

    Args:
        transaction_N: Scores of transactions taken alone.
        cumulative_N: What their accounts had piled up in a day before.
    """
    low, high = np.quantile(transaction_N, _ORDINARY)
    ordinary_N, is_high_N = (transaction_N > low) & (transaction_N < high), cumulative_N >= _HIGH
    usual_share = ordinary_N.mean()
    if usual_share == 0:
        return 0.0
    num_ordinary = (ordinary_N & is_high_N).sum() + _SEEN_BEFORE * usual_share
    share = num_ordinary / (is_high_N.sum() + _SEEN_BEFORE)
    return float(np.clip(1 - share / usual_share, 0, 1))
