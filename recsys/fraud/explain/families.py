"""Families of evidence: several kinds may measure the same thing, such as the amount.

Shapes: R transactions to explain, J kinds of evidence, F families of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.fraud.scoring.scorer import EvidenceScorer
from recsys.fraud.scoring.tails import TAIL_SHARE

VELOCITY = "velocity"
"""The family of counts and sums over recent transactions."""
BEHAVIOUR = "behaviour"
"""The family of what sums up all columns: a reason only where no single one stands out."""

_RECONSTRUCTION = "reconstruction_"
_FAMILIES = {
    "amount_high": "amount",
    "amount_low": "amount",
    "counterparty_amount": "amount",
    "reconstruction_log_amount": "amount",
    "hour": "hour",
    "reconstruction_hour_of_day": "hour",
    "reconstruction_weekday": "hour",
    "count_1h": VELOCITY,
    "count_1d": VELOCITY,
    "amount_1d": VELOCITY,
    "new_counterparty": "counterparty",
    "counterparty_excess": "counterparty",
    "reconstruction_counterparty_id": "counterparty",
    "category": "category",
    "account_distance": BEHAVIOUR,
}
_SHARPNESS = 0.25
"""Weights are fourth powers of the share of high values that come in episodes: they decide which
account is flagged. To say why, the share itself is what counts."""
_CAP = 5.0
"""Nats that one kind of evidence in one transaction counts for: a single absurd value does not
outshout what many transactions show."""
_AGREEMENT = 0.5
"""What the weaker kinds of a family add: measures that agree are less likely to err."""
_OWN_SUM = 0.5
"""Part of a day's sum from which on the sum says no more than the amount of the transaction."""
_MAX_REASONS = 5


def evidence_family(kind: str, context: str) -> str:
    """The family of a kind of evidence.

    Args:
        kind: Name of the evidence.
        context: The column that amounts depend on; empty when on none.

    Examples:
        >>> evidence_family("amount_high", "category"), evidence_family("count_1h", "category")
        ('amount', 'velocity')
        >>> evidence_family("reconstruction_mcc", "mcc")
        'category'
        >>> evidence_family("reconstruction_country", "mcc")
        'country'
    """
    column = kind.removeprefix(_RECONSTRUCTION)
    if context and kind == _RECONSTRUCTION + context:
        return "category"
    return _FAMILIES.get(kind, column)


@dataclass(frozen=True, kw_only=True)
class RankedFamily:
    """A family that stands out among some transactions."""

    family: str
    """Its name."""
    row: int
    """The transaction that shows it most, from 0 to R - 1."""
    kind: int
    """The kind of evidence that shows it most there."""
    share: float
    """Its share of all that stands out, 0 to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyStrengths:
    """How much of each family there is in each transaction, and which kind shows it most."""

    families: tuple[str, ...]
    """Names of the families."""
    beyond: Float64Array
    """Weighted surprise beyond what one in twenty normal transactions has. Shape (R, F)."""
    beyond_kind: Int64Array
    """The kind of evidence with most of it. Shape (R, F)."""
    plain: Float64Array
    """Weighted surprise of the kind with most of it. Shape (R, F)."""
    plain_kind: Int64Array
    """The kind of evidence with most of it. Shape (R, F)."""

    @classmethod
    def of(
        cls,
        surprise_RJ: Float32Array,
        scorer: EvidenceScorer,
        context: str,
        *,
        part_in_day_R: Float64Array,
    ) -> FamilyStrengths:
        """Strengths of the evidence of some transactions.

        Args:
            surprise_RJ: Surprise of each kind of evidence in nats.
            scorer: Has the names and weights of the kinds.
            context: The column that amounts depend on; empty when on none.
            part_in_day_R: Part of each transaction in what its account paid within a day.
        """
        names = np.array([evidence_family(kind, context) for kind in scorer.kinds])
        families = tuple(dict.fromkeys(names.tolist()))
        members = [np.flatnonzero(names == family) for family in families]
        worth_J = scorer.weights**_SHARPNESS
        is_sum_J = np.array(scorer.kinds) == "amount_1d"
        worth_RJ = np.where(is_sum_J & (part_in_day_R >= _OWN_SUM)[:, None], 0.0, worth_J)
        surprise = surprise_RJ.astype(np.float64)
        plain_RJ = surprise * worth_RJ
        beyond_RJ = np.clip(surprise + np.log(TAIL_SHARE), 0, None) * worth_RJ
        highest, beyond_kind = _strongest(beyond_RJ, members)
        plain, plain_kind = _strongest(plain_RJ, members)
        return cls(
            families=families,
            beyond=_with_agreement(np.minimum(beyond_RJ, _CAP), np.minimum(highest, _CAP), members),
            beyond_kind=beyond_kind,
            plain=plain,
            plain_kind=plain_kind,
        )

    def ranked(self, rows: Int64Array) -> tuple[RankedFamily, ...]:
        """Families that stand out among some transactions taken together, the strongest first.

        If none does, as for an account that is flagged for earlier transactions, it is the one
        family that is least usual.

        Args:
            rows: Transactions, one at least.
        """
        summary_F = np.array(self.families) == BEHAVIOUR
        for values_RF in (np.where(summary_F, 0.0, self.beyond), self.beyond):
            total_F = self._totals(values_RF[rows])
            if total_F.any():
                return self._ranked(total_F, values_RF, self.beyond_kind, rows)
        return self._ranked(self._totals(self.plain[rows]), self.plain, self.plain_kind, rows)[:1]

    def _totals(self, values_RF: Float64Array) -> Float64Array:
        """Sums over transactions; a count already covers the transactions that it counts."""
        is_count_F = np.array(self.families) == VELOCITY
        total_F = np.where(is_count_F, values_RF.max(0) * len(values_RF), values_RF.sum(0))
        return np.asarray(total_F)

    def _ranked(
        self, total_F: Float64Array, values_RF: Float64Array, kind_RF: Int64Array, rows: Int64Array
    ) -> tuple[RankedFamily, ...]:
        order = np.argsort(-total_F, kind="stable")
        chosen = [family for family in order if total_F[family] > 0] or [order[0]]
        ranked = []
        for family in chosen[:_MAX_REASONS]:
            row = int(rows[np.argmax(values_RF[rows, family])])
            ranked.append(
                RankedFamily(
                    family=self.families[family],
                    row=row,
                    kind=int(kind_RF[row, family]),
                    share=float(total_F[family] / max(total_F.sum(), 1e-12)),
                )
            )
        return tuple(ranked)


def _strongest(
    values_RJ: Float64Array, members: list[Int64Array]
) -> tuple[Float64Array, Int64Array]:
    """Highest value of each family, and its kind. Shapes (R, F)."""
    highest = np.stack([values_RJ[:, kinds].max(1) for kinds in members], axis=1)
    kinds = [kinds[values_RJ[:, kinds].argmax(1)] for kinds in members]
    return highest, np.stack(kinds, axis=1)


def _with_agreement(
    values_RJ: Float64Array, highest_RF: Float64Array, members: list[Int64Array]
) -> Float64Array:
    """The strongest kind of each family, and a part of the others. Shape (R, F)."""
    total_RF = np.stack([values_RJ[:, kinds].sum(1) for kinds in members], axis=1)
    return np.asarray(highest_RF + _AGREEMENT * (total_RF - highest_RF))
