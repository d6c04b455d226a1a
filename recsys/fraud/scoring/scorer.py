"""From evidence to scores: calibrated, weighted, accumulated; one frozen object.

    evidence  ── tails ──►  surprise of each kind, in nats
    surprise  ── weights, or trees where they are trusted ──►  own score of the transaction
               (or the plain sum of all surprise, where that is much rarer)
    own score ── tail, plus what the account piled up before ──►  combined score
    combined  ── tail ──►  p-value, anomaly_score = 1 - p

Shapes: N transactions, J kinds of evidence, F features of the booster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.profiles.arrays import SHARED_EVIDENCE, Codes, Floats
from recsys.fraud.profiles.cumulative_score import add_heat
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.booster import Booster
from recsys.fraud.scoring.tails import TAIL_SHARE, Tail, surprise_of

Array = npt.NDArray[np.float64]

HEAT_CAP = 5.0
"""Nats that one transaction can add to what its account piled up."""
PLAIN_PENALTY = 2.0
"""Nats by which the sum of all evidence has to be rarer than the weighed one to count in its place.
Weights and trees know the fraud of the past; this keeps an eye open for another kind."""
_TIE_BREAK = 0.01
CONTEXT_FEATURES = ("amount", "hour_of_day", "context")
"""What the booster knows of a transaction beside its evidence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """Scores of transactions and what they are made of."""

    surprise: Floats
    """-log tail probability of each kind of evidence, in nats. Shape (N, J)."""
    own: Array
    """-log tail probability of the transaction taken alone. Shape (N,)."""
    heat: Floats
    """What the account had piled up before. Shape (N, NUM_HEATS)."""
    combined: Array
    """Nats of both. Shape (N,)."""
    p_value: Array
    """Probability of a score as high under normal behaviour, greater than 0. Shape (N,)."""

    @property
    def anomaly_score(self) -> Array:
        """1 - p. Shape (N,)."""
        return 1 - self.p_value


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """How evidence is weighed."""

    kinds: tuple[str, ...]
    """Names of the kinds of evidence."""
    tails: tuple[Tail, ...]
    """Calibration of each."""
    weights: Array
    """What the surprise of each is worth. Shape (J,)."""
    heat_kinds: Array
    """What the excess of each kind adds to what piles up. Shape (J,); all 0 where trees are used,
    since then that of the own score does."""
    heat_weights: tuple[float, float]
    """What the logs of what piled up in a day and in two weeks count for."""
    booster: Booster | None
    """Scores from all evidence at once; None where weights do as well."""
    own_tail: Tail
    """Calibration of the own score."""
    plain_tail: Tail
    """Calibration of the surprise of all kinds, none weighed."""
    combined_tail: Tail
    """Calibration of the combined score."""

    def judge(
        self,
        evidence_NJ: Floats,
        coded: CodedTransactions,
        account_N: Codes,
        state: ProfileState,
        *,
        num_threads: int,
    ) -> Judgement:
        """Score transactions; what accounts pile up moves on in place."""
        surprise_NJ = surprise_of(self.tails, evidence_NJ)
        own_N = self._own_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)
        heat_NH = add_heat(account_N, coded.day, self.heat_excess(own_N, evidence_NJ), state)
        combined_N = self.with_heat(own_N, heat_NH)
        return Judgement(
            surprise=surprise_NJ,
            own=own_N,
            heat=heat_NH,
            combined=combined_N,
            p_value=np.exp(-self.combined_tail.surprise(combined_N)),
        )

    def own_scores(
        self, evidence_NJ: Floats, coded: CodedTransactions, *, num_threads: int
    ) -> Array:
        """-log tail probability of transactions taken alone, as `judge` scores them. Shape (N,)."""
        surprise_NJ = surprise_of(self.tails, evidence_NJ)
        return self._own_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)

    def _own_scores(
        self,
        evidence_NJ: Floats,
        surprise_NJ: Floats,
        coded: CodedTransactions,
        *,
        num_threads: int,
    ) -> Array:
        raw_N = self.raw_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)
        plain_N = self.plain_tail.surprise(plain_surprise(surprise_NJ))
        return np.maximum(self.own_tail.surprise(raw_N), plain_N - PLAIN_PENALTY)

    def heat_excess(self, own_N: Array, evidence_NJ: Floats) -> Floats:
        """What each transaction adds to what its account piles up, in nats up to a cap. Shape (N,).

        Trees know what an unusual neighbour looks like. Weights do not: the sum over all kinds is
        mostly noise there, and those that speak of one aspect each tell more.
        """
        if self.heat_kinds.any():
            total_N = np.zeros(len(own_N))
            for place in np.flatnonzero(self.heat_kinds):
                excess_N = self.tails[place].excess(evidence_NJ[:, place])
                total_N += self.heat_kinds[place] * excess_N
        else:
            total_N = own_N + np.log(TAIL_SHARE)
        return np.clip(total_N, 0, HEAT_CAP).astype(np.float32)

    def with_heat(self, own_N: Array, heat_NH: Floats) -> Array:
        """Own scores and what piled up before, in nats. Shape (N,).

        The log keeps an old episode from outshouting a new one.
        """
        logs_NH = np.log1p(heat_NH.astype(np.float64))
        day_weight, fortnight_weight = self.heat_weights
        return np.asarray(own_N + logs_NH[:, 0] * day_weight + logs_NH[:, 1] * fortnight_weight)

    def raw_scores(
        self,
        evidence_NJ: Floats,
        surprise_NJ: Floats,
        coded: CodedTransactions,
        *,
        num_threads: int,
    ) -> Array:
        """Scores of transactions taken alone, on no particular scale. Shape (N,)."""
        weighted_N = weighted_surprise(self.weights, surprise_NJ)
        if self.booster is None:
            return weighted_N
        features_NF = booster_features(self.kinds, evidence_NJ, coded)
        scores_N = self.booster.score(features_NF, num_threads=num_threads)
        # Trees give many transactions the same score; a little of the surprise orders those.
        return scores_N + _TIE_BREAK * weighted_N


def booster_features(kinds: Sequence[str], evidence_NJ: Floats, coded: CodedTransactions) -> Floats:
    """Evidence of the transaction alone, beside amount, hour and context. Shape (N, F)."""
    beside_N3 = np.stack([coded.amount, coded.hour, coded.context], axis=1).astype(np.float32)
    alone = [place for place, kind in enumerate(kinds) if kind not in SHARED_EVIDENCE]
    return np.hstack([evidence_NJ[:, alone], beside_N3])


def feature_names(kinds: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of `booster_features`. Length F."""
    return (*(kind for kind in kinds if kind not in SHARED_EVIDENCE), *CONTEXT_FEATURES)


def plain_surprise(surprise_NJ: Floats) -> Array:
    """Sum of the surprise of all kinds. Shape (N,)."""
    return weighted_surprise(np.ones(surprise_NJ.shape[1]), surprise_NJ)


def weighted_surprise(weights_J: Array, surprise_NJ: Floats) -> Array:
    """Sum of the weighted surprise of all kinds, each column added in turn. Shape (N,)."""
    total_N = np.zeros(len(surprise_NJ))
    for weight, surprise_N in zip(weights_J, surprise_NJ.T, strict=True):
        if weight:
            total_N += weight * surprise_N.astype(np.float64)
    return total_N
