"""What made a score: how much of it each family of evidence brought in.

A family's part is the mean of two differences: what the score loses without the family, all others
as they came, and what the family alone adds to a transaction that is typical in everything. Those
are the first and the last of the terms that a Shapley value averages (Lundberg and Lee 2017, "A
unified approach to interpreting model predictions"). It asks the very model that scored.

Shapes: R transactions to explain, N those of the day, J kinds of evidence, F families, C columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.fraud.explain.families import (
    AMOUNTS,
    EARLIER,
    VELOCITY,
    evidence_family,
    feature_family,
)
from recsys.fraud.explain.scored import ScoredDay
from recsys.fraud.labels.memory import RecentTransactions
from recsys.fraud.labels.supervised import meta_model_features
from recsys.schema import TRANSACTION_ID

_CAP = 5.0
"""Nats that a family counts for in one transaction: a single absurd value does not outshout what
many transactions show."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contributions:
    """What each family brought to the score of some transactions."""

    families: tuple[str, ...]
    """Their names."""
    nats: Float64Array
    """What each brought in, 0 where it spoke for the transaction. Shape (R, F)."""

    def total(self, rows: Int64Array) -> dict[str, float]:
        """What the families brought to some transactions taken together, the most first.

        Args:
            rows: Which, from 0 to R - 1.
        """
        nats = np.minimum(self.nats[rows], _CAP)
        # A count speaks of all that it counts, early ones too.
        is_count_F = np.array([family == VELOCITY for family in self.families])
        total_F = np.where(is_count_F, nats.max(0) * len(rows), nats.sum(0))
        order = np.argsort(-total_F, kind="stable")
        return {self.families[place]: float(total_F[place]) for place in order}

    def strongest(self, family: str, rows: Int64Array) -> Int64Array:
        """Some transactions, those to which a family brought most first."""
        nats = self.nats[rows, self.families.index(family)]
        return rows[np.argsort(-nats, kind="stable")]


def contributions_of(scored: ScoredDay, rows: Int64Array) -> Contributions:
    """What made the scores of some transactions.

    Args:
        scored: The day.
        rows: Rows of its table. Shape (R,).
    """
    of_labels = _with_labels(scored, rows) if scored.with_labels else None
    return of_labels or _without_labels(scored, rows)


def _without_labels(scored: ScoredDay, rows: Int64Array) -> Contributions:
    """Parts of the own score, and what piled up before the day."""
    model, scorer = scored.model, scored.model.scorer
    evidence_RJ = scored.scores.evidence[rows]
    coded = model.inputs.encode(scored.table.take(pa.array(rows)))
    typical_J = np.array([tail.median for tail in scorer.tails], dtype=np.float32)
    families_J = [evidence_family(kind, model.inputs.context) for kind in scorer.kinds]

    def score(kept: frozenset[str]) -> Float64Array:
        is_kept_J = np.array([family in kept for family in families_J])
        usual = scored.scores.passed.expected_mean[rows]
        seen = coded if AMOUNTS in kept else replace(coded, amount=usual)
        return scorer.transaction_scores(
            np.where(is_kept_J, evidence_RJ, typical_J), seen, num_threads=1
        )

    families = tuple(dict.fromkeys(families_J))
    parts = _parts(families, score)
    earlier_R = scorer.combined_scores(np.zeros(len(rows)), heat_before(scored, rows))
    return Contributions(
        families=(*families, EARLIER), nats=np.column_stack([parts, earlier_R]).clip(0)
    )


def heat_before(scored: ScoredDay, rows: Int64Array) -> Float32Array:
    """What the accounts had piled up before their first transaction of the day. Shape (R, H).

    Args:
        scored: The day.
        rows: Rows of its table. Shape (R,).
    """
    accounts, first = np.unique(scored.scores.account, return_index=True)
    places = first[np.searchsorted(accounts, scored.scores.account[rows])]
    return scored.scores.calibrated.cumulative_score[places]


def _with_labels(scored: ScoredDay, rows: Int64Array) -> Contributions | None:
    """Parts of the log odds; None where the state no longer knows the day, or never knew labels."""
    model, supervised = scored.model, scored.model.supervised
    recent = _recent_up_to(scored)
    if supervised is None or recent is None:
        return None
    features_NC, names = meta_model_features(
        model.scorer, scored.scores.evidence, scored.scores.passed,
        model.inputs.encode(scored.table).hour, recent, recent.label, supervised.delay_days,
    )  # fmt: skip
    families_C = [feature_family(name, model.inputs.context, model.scorer.kinds) for name in names]
    features_RC = features_NC[rows]
    typical_C = np.median(features_NC, axis=0)  # NaN, which is not known, where any row has it

    def score(kept: frozenset[str]) -> Float64Array:
        is_kept_C = np.array([family in kept for family in families_C])
        mixed_RC = np.where(is_kept_C, features_RC, typical_C).astype(np.float32)
        return supervised.meta_model.score(mixed_RC)

    families = tuple(dict.fromkeys(families_C))
    return Contributions(families=families, nats=_parts(families, score).clip(0))


def _recent_up_to(scored: ScoredDay) -> RecentTransactions | None:
    """What the state remembers up to the last transaction of the day."""
    if scored.state.recent is None:
        return None
    ids, wanted = scored.state.recent[TRANSACTION_ID], scored.table[TRANSACTION_ID]
    end = 1 + int(pc.index(ids, wanted[-1]).as_py())
    start = end - len(wanted)
    if start < 0 or not ids.slice(start, len(wanted)).equals(wanted):
        return None
    return RecentTransactions(table=scored.state.recent.slice(0, end))


def _parts(
    families: tuple[str, ...], score: Callable[[frozenset[str]], Float64Array]
) -> Float64Array:
    """Part of each family in a score, without what sums up all columns. Shape (R, F)."""
    every, none = frozenset(families), frozenset[str]()
    whole_R, typical_R = score(every), score(none)
    return np.stack(
        [
            (whole_R - score(every - {family}) + score(frozenset({family})) - typical_R) / 2
            for family in families
        ],
        axis=1,
    )
