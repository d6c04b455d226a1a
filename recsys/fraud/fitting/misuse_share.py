"""How much of the activity at a high cumulative score is misuse, estimated without labels.

The more of it is misuse, the more the cumulative score counts in the combined score.

Shapes: N transactions.
"""

from __future__ import annotations

import numpy as np

from recsys.arrays import Float32Array, Float64Array

_HIGH = 5.0
"""Cumulative score over a day, in nats, from which on it is high."""
_ORDINARY = (0.3, 0.9)
"""Quantiles of transaction scores between which hardly any misuse lies."""
_SEEN_BEFORE = 5.0
"""Pseudo-count: ordinary transactions assumed to be seen at a high cumulative score."""
_WEIGHT_OF_MISUSE = 4.0
_WEIGHT_BESIDE_TREES = 2.0
"""Smaller with trees, which have learnt to detect episodes themselves."""
_LEAST_WEIGHT = 0.5
_FORTNIGHT_WEIGHT = 0.1


def cumulative_weights(misused: float, *, with_trees: bool) -> tuple[float, float]:
    """Weights of the two cumulative scores in the combined score (see `misused_share`)."""
    per_share = _WEIGHT_BESIDE_TREES if with_trees else _WEIGHT_OF_MISUSE
    return max(per_share * misused, _LEAST_WEIGHT), _FORTNIGHT_WEIGHT


def misused_share(transaction_N: Float64Array, cumulative_N: Float32Array) -> float:
    """Share of misuse among transactions at a high cumulative score, 0 to 1; uses no labels.

    Misuse has extreme scores. So if ordinary scores are rarer at a high cumulative score than
    elsewhere, the missing part is misuse: the two-groups model of Efron 2008, "Microarrays,
    empirical Bayes and the two-groups model", which estimates the share of nulls from the centre.

    Args:
        transaction_N: Scores of transactions taken alone.
        cumulative_N: Cumulative score of the account over a day, before each transaction.
    """
    low, high = np.quantile(transaction_N, _ORDINARY)
    ordinary_N, is_high_N = (transaction_N > low) & (transaction_N < high), cumulative_N >= _HIGH
    usual_share = ordinary_N.mean()
    if usual_share == 0:
        return 0.0
    num_ordinary = (ordinary_N & is_high_N).sum() + _SEEN_BEFORE * usual_share
    share = num_ordinary / (is_high_N.sum() + _SEEN_BEFORE)
    return float(np.clip(1 - share / usual_share, 0, 1))
