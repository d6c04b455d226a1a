"""Evidence that says nothing on a log: calibrated to ranks, its noise would count like any other.

Times without hours, a single category and accounts of three transactions leave kinds of evidence
whose values are all alike. A calibration looks at ranks alone, so that the highest of these would
be as unusual as a real oddity. The sum over all kinds would be noise for the most part.

Shapes: M transactions, J kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.arrays import BoolArray, Float32Array
from recsys.fraud.scoring.tails import Tail, fit_tails

_IN_NATS = ("hour", "category", "new_counterparty", "account_distance")
"""Kinds that are minus a log probability, as reconstruction errors are."""
_LEAST_NATS = float(np.log(2))
"""How far the most unusual of a thousand lies beyond the median: half as likely, or it is noise."""
_UNUSUAL = 0.999


def silent_kinds(kinds: Sequence[str], evidence_MJ: Float32Array) -> BoolArray:
    """Kinds of which hardly any value is less likely than the usual one.

    Args:
        kinds: Names of the evidence.
        evidence_MJ: Evidence of the transactions to calibrate on.

    Returns:
        Shape (J,).
    """
    middle_J, high_J = np.quantile(np.nan_to_num(evidence_MJ), (0.5, _UNUSUAL), axis=0)
    least_J = np.array([_LEAST_NATS if _is_in_nats(kind) else 0.0 for kind in kinds])
    return np.asarray(high_J - middle_J <= least_J, dtype=np.bool_)


def fit_audible_tails(evidence_MJ: Float32Array, silent_J: BoolArray) -> tuple[Tail, ...]:
    """One calibration a kind; to a silent one nothing is unusual."""
    tails = fit_tails(evidence_MJ)
    return tuple(
        Tail.silent() if is_silent else tail
        for tail, is_silent in zip(tails, silent_J, strict=True)
    )


def _is_in_nats(kind: str) -> bool:
    return kind in _IN_NATS or kind.startswith("reconstruction_")
