"""Reasons why accounts and their transactions are suspicious, the strongest first.

Shapes: R suspicious transactions of the flagged accounts, A flagged accounts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.fraud.explain.families import FamilyStrengths, RankedFamily
from recsys.fraud.explain.scored import FlaggedRows, ScoredDay, flagged_rows
from recsys.fraud.explain.usual import Usual, usual_of
from recsys.fraud.explain.words import words_of
from recsys.fraud.report import wording
from recsys.fraud.report.content import Reason

_NUM_IN_TEXT = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """The flagged accounts of a day with all that explains them."""

    scored: ScoredDay
    """The day."""
    flagged: FlaggedRows
    """The rows of the accounts."""
    strengths: FamilyStrengths
    """What stands out in each suspicious transaction. R rows."""
    surprise: Float32Array
    """Surprise of each kind of evidence. Shape (R, J)."""
    usual: Usual
    """What was usual. R rows."""

    @classmethod
    def of(cls, scored: ScoredDay, flagged_A: Int64Array) -> Self:
        """Gather what explains some accounts.

        Args:
            scored: The day.
            flagged_A: Places of the accounts in the state; each has a transaction on the day.
        """
        flagged = flagged_rows(scored, flagged_A)
        rows = flagged.suspicious
        surprise_RJ = scored.scores.calibrated.surprise[rows]
        strengths = FamilyStrengths.of(
            np.where(_is_likely(scored, rows), 0, surprise_RJ).astype(np.float32),
            scored.model.scorer,
            scored.model.inputs.context,
            part_in_day_R=flagged.recent.part_in_day,
        )
        usual = usual_of(scored, rows, flagged.recent)
        return cls(
            scored=scored, flagged=flagged, strengths=strengths, surprise=surprise_RJ, usual=usual
        )

    @property
    def rows(self) -> list[Int64Array]:
        """Which of the R transactions each account has."""
        sizes = [len(one.suspicious) for one in self.flagged.accounts]
        return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]) if sizes else []

    def reasons(self, rows: Int64Array) -> tuple[Reason, ...]:
        """Reasons for some of the R transactions taken together.

        Args:
            rows: Which, one at least.
        """
        inputs = self.scored.model.inputs
        known = [] if inputs.context_terms is None else inputs.context_terms.terms.to_pylist()
        terms = ("other", *map(str, known))
        return tuple(
            self._reason(ranked, inputs.context, terms) for ranked in self.strengths.ranked(rows)
        )

    def _reason(self, ranked: RankedFamily, context: str, terms: tuple[str, ...]) -> Reason:
        kind = self.scored.model.scorer.kinds[ranked.kind]
        words = words_of(self.usual, ranked.row, kind, context, terms)
        return Reason(
            evidence=ranked.family,
            text=words.text,
            observed=words.observed,
            expected=words.expected,
            rarity=math.exp(-float(self.surprise[ranked.row, ranked.kind])),
            share=ranked.share,
        )


def _is_likely(scored: ScoredDay, rows: Int64Array) -> BoolArray:
    """Whether a value was the most likely one, even if it usually is more certain. Shape (R, J).

    Such a value is not a reason: it would read "EUR came where EUR was expected".
    """
    categorical = scored.model.inputs.encoder.categorical
    is_value_J = np.array(
        [
            kind == "category" or kind.removeprefix("reconstruction_") in categorical
            for kind in scored.model.scorer.kinds
        ]
    )
    is_likely_RJ = scored.scores.evidence[rows] < np.log(2)
    return np.asarray(is_likely_RJ & is_value_J, dtype=np.bool_)


def account_reasons(scored: ScoredDay, flagged_A: Int64Array) -> list[str]:
    """One line a flagged account that says why.

    Args:
        scored: The day.
        flagged_A: Places of the accounts in the state; each has a transaction on the day.
    """
    if not len(flagged_A):
        return []
    explained = Explained.of(scored, flagged_A)
    return [reasons_text(explained.reasons(rows)) for rows in explained.rows]


def reasons_text(reasons: Sequence[Reason]) -> str:
    """The strongest reasons in one line."""
    return "; ".join(
        f"{one.evidence}: {one.observed}, usually {one.expected} ({wording.odds(one.rarity)})"
        for one in reasons[:_NUM_IN_TEXT]
    )
