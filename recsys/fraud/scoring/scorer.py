"""From evidence to scores: calibrated, weighted, accumulated; one frozen object.

    evidence  ── tails ──►  surprise of each kind, in nats
    surprise  ── weights, or trees where they are trusted ──►  transaction score
               (or the plain sum of all surprise, where that is much rarer)
    transaction score ── plus the account's cumulative scores ──►  combined score
    combined  ── tail ──►  p-value, anomaly_score = 1 - p

Shapes: N transactions, J kinds of evidence, F features of the booster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.profiles.arrays import SHARED_EVIDENCE
from recsys.fraud.profiles.cumulative_score import add_excess
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.booster import Booster
from recsys.fraud.scoring.tails import TAIL_SHARE, Tail, surprise_of

ADDED_CAP = 5.0
"""Nats that one transaction adds at most to the cumulative scores of its account."""
PLAIN_PENALTY = 2.0
"""The plain sum of all evidence replaces the weighted score where it is rarer by this many nats.
Weights and trees know the fraud of the past; the plain sum also finds other kinds."""
_TIE_BREAK = 0.01
CONTEXT_FEATURES = ("amount", "hour_of_day", "context")
"""Inputs of the booster beside the evidence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibratedScores:
    """Scores of transactions and what they are made of."""

    surprise: Float32Array
    """-log tail probability of each kind of evidence, in nats. Shape (N, J)."""
    transaction_score: Float64Array
    """-log tail probability of the transaction taken alone. Shape (N,)."""
    cumulative_score: Float32Array
    """Cumulative scores of the account before the transaction. Shape (N, NUM_CUMULATIVE)."""
    combined: Float64Array
    """Transaction score and weighted cumulative scores together, in nats. Shape (N,)."""
    p_value: Float64Array
    """Probability of a score as high under normal behaviour, greater than 0. Shape (N,)."""

    @property
    def anomaly_score(self) -> Float64Array:
        """1 - p. Shape (N,)."""
        return 1 - self.p_value


@dataclass(frozen=True, kw_only=True, eq=False)
class EvidenceScorer:
    """Turns evidence into scores: calibration of each kind, weights or trees, and their tails."""

    kinds: tuple[str, ...]
    """Names of the kinds of evidence."""
    tails: tuple[Tail, ...]
    """Calibration of each."""
    weights: Float64Array
    """What the surprise of each is worth. Shape (J,)."""
    cumulative_kinds: Float64Array
    """Weight of the excess of each kind in the cumulative scores. Shape (J,); all 0 where trees are
    used, since then the excess of the transaction score is added."""
    cumulative_weights: tuple[float, float]
    """Weights of the logs of both cumulative scores, over a day and over two weeks, in the combined
    score."""
    booster: Booster | None
    """Scores from all evidence at once; None where weights do as well."""
    transaction_tail: Tail
    """Calibration of the transaction score."""
    plain_tail: Tail
    """Calibration of the plain sum of all surprise."""
    combined_tail: Tail
    """Calibration of the combined score."""

    def score(
        self,
        evidence_NJ: Float32Array,
        coded: CodedTransactions,
        account_N: Int64Array,
        state: ProfileState,
        *,
        num_threads: int,
    ) -> CalibratedScores:
        """Score transactions; the cumulative scores in the state are updated in place."""
        surprise_NJ = surprise_of(self.tails, evidence_NJ)
        transaction_N = self._transaction_scores(
            evidence_NJ, surprise_NJ, coded, num_threads=num_threads
        )
        cumulative_NH = add_excess(
            account_N, coded.day, self.added_excess(transaction_N, evidence_NJ), state
        )
        combined_N = self.combined_scores(transaction_N, cumulative_NH)
        return CalibratedScores(
            surprise=surprise_NJ,
            transaction_score=transaction_N,
            cumulative_score=cumulative_NH,
            combined=combined_N,
            p_value=np.exp(-self.combined_tail.surprise(combined_N)),
        )

    def transaction_scores(
        self, evidence_NJ: Float32Array, coded: CodedTransactions, *, num_threads: int
    ) -> Float64Array:
        """Scores of transactions taken alone, as `score` gives them. Shape (N,)."""
        surprise_NJ = surprise_of(self.tails, evidence_NJ)
        return self._transaction_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)

    def _transaction_scores(
        self,
        evidence_NJ: Float32Array,
        surprise_NJ: Float32Array,
        coded: CodedTransactions,
        *,
        num_threads: int,
    ) -> Float64Array:
        weighed_N = self.transaction_tail.surprise(
            self.raw_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)
        )
        plain_N = self.plain_tail.surprise(plain_surprise(surprise_NJ))
        return np.maximum(weighed_N, plain_N - PLAIN_PENALTY)

    def added_excess(self, transaction_N: Float64Array, evidence_NJ: Float32Array) -> Float32Array:
        """What each transaction adds to the cumulative scores, capped, in nats. Shape (N,).

        Trees have learnt what an unusual neighbour looks like. With weights the sum over all kinds
        is mostly noise, and the kinds that measure a single aspect say more.
        """
        if self.cumulative_kinds.any():
            total_N = np.zeros(len(transaction_N))
            for place in np.flatnonzero(self.cumulative_kinds):
                excess_N = self.tails[place].excess(evidence_NJ[:, place])
                total_N += self.cumulative_kinds[place] * excess_N
        else:
            total_N = transaction_N + np.log(TAIL_SHARE)
        return np.clip(total_N, 0, ADDED_CAP).astype(np.float32)

    def combined_scores(
        self, transaction_N: Float64Array, cumulative_NH: Float32Array
    ) -> Float64Array:
        """Transaction scores plus weighted logs of cumulative scores, in nats. Shape (N,).

        The logarithm keeps an old episode from outweighing a new one.
        """
        logs_NH = np.log1p(cumulative_NH.astype(np.float64))
        day_weight, fortnight_weight = self.cumulative_weights
        return np.asarray(
            transaction_N + logs_NH[:, 0] * day_weight + logs_NH[:, 1] * fortnight_weight
        )

    def raw_scores(
        self,
        evidence_NJ: Float32Array,
        surprise_NJ: Float32Array,
        coded: CodedTransactions,
        *,
        num_threads: int,
    ) -> Float64Array:
        """Scores of transactions taken alone, on no particular scale. Shape (N,)."""
        weighted_N = weighted_surprise(self.weights, surprise_NJ)
        if self.booster is None:
            return weighted_N
        features_NF = booster_features(self.kinds, evidence_NJ, coded)
        scores_N = self.booster.score(features_NF, num_threads=num_threads)
        # Trees give many transactions the same score; a little of the surprise orders those.
        return scores_N + _TIE_BREAK * weighted_N


def booster_features(
    kinds: Sequence[str], evidence_NJ: Float32Array, coded: CodedTransactions
) -> Float32Array:
    """Evidence of the transaction alone, beside amount, hour and context. Shape (N, F)."""
    beside_N3 = np.stack([coded.amount, coded.hour, coded.context], axis=1).astype(np.float32)
    alone = [place for place, kind in enumerate(kinds) if kind not in SHARED_EVIDENCE]
    return np.hstack([evidence_NJ[:, alone], beside_N3])


def feature_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of `booster_features`. Length F."""
    return (*(kind for kind in kinds if kind not in SHARED_EVIDENCE), *CONTEXT_FEATURES)


def plain_surprise(surprise_NJ: Float32Array) -> Float64Array:
    """Sum of the surprise of all kinds. Shape (N,)."""
    return weighted_surprise(np.ones(surprise_NJ.shape[1]), surprise_NJ)


def weighted_surprise(weights_J: Float64Array, surprise_NJ: Float32Array) -> Float64Array:
    """Sum of the weighted surprise of all kinds, each column added in turn. Shape (N,)."""
    total_N = np.zeros(len(surprise_NJ))
    for weight, surprise_N in zip(weights_J, surprise_NJ.T, strict=True):
        if weight:
            total_N += weight * surprise_N.astype(np.float64)
    return total_N
