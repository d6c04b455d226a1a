"""How far a retraining changes lists: the difference between yesterday's model and the new one.

Both are measured on the same users and the same histories, before the newest events, so that the
effect of new events is not counted as an effect of the retraining.

Shapes: U users, C items, K list length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float64Array, Int64Array
from recsys.recommender.ranking.ranker import NO_ITEM


@dataclass(frozen=True, kw_only=True)
class RetrainingShift:
    """Differences between the lists of two models of one shop."""

    exposure_gain: float
    """Most that one item gained, as a share of all lists."""
    coverage_kept: float
    """Distinct items of the new lists, as a share of those of the earlier ones."""


def exposure(lists_UK: Int64Array, num_items: int) -> Float64Array:
    """Share of the lists that each item is in. Shape (C,)."""
    counts_C = np.bincount(lists_UK[lists_UK != NO_ITEM], minlength=num_items)
    return counts_C / max(len(lists_UK), 1)


def shift_between(new_C: Float64Array, before_C: Float64Array) -> RetrainingShift:
    """What the exposure of items by two models differs in."""
    num_before = int(np.count_nonzero(before_C))
    return RetrainingShift(
        exposure_gain=float(max((new_C - before_C).max(initial=0.0), 0.0)),
        coverage_kept=float(np.count_nonzero(new_C) / num_before) if num_before else 1.0,
    )
