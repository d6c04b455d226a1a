"""Scores of transactions: their evidence as it was measured, and the scores made from it.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.fraud.profiles.arrays import Passed
from recsys.fraud.scoring.scorer import CalibratedScores


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Scores of transactions in the order of their table."""

    account: Int64Array
    """Place of the account in the state. Shape (N,)."""
    evidence: Float32Array
    """All evidence as it was measured. Shape (N, J)."""
    passed: Passed
    """What the pass recorded."""
    calibrated: CalibratedScores
    """The scores."""

    def where(self, chosen_N: BoolArray) -> Scores:
        """The scores of some transactions."""
        calibrated = {
            name: getattr(self.calibrated, name)[chosen_N]
            for name in CalibratedScores.__dataclass_fields__
        }
        return Scores(
            account=self.account[chosen_N],
            evidence=self.evidence[chosen_N],
            passed=Passed._make(array[chosen_N] for array in self.passed),
            calibrated=CalibratedScores(**calibrated),
        )


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Arrays end to end; the array itself where there is one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def joined_scores(parts: Sequence[Scores]) -> Scores:
    """Scores of transactions that follow each other."""
    calibrated_parts = [part.calibrated for part in parts]
    names = CalibratedScores.__dataclass_fields__
    return Scores(
        account=joined([part.account for part in parts]),
        evidence=joined([part.evidence for part in parts]),
        passed=Passed(*map(joined, zip(*(part.passed for part in parts), strict=True))),
        calibrated=CalibratedScores(
            **{name: joined([getattr(one, name) for one in calibrated_parts]) for name in names}
        ),
    )
