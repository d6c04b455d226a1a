"""Fitting the scorer of evidence: calibration, weights, and trees where they are clearly better.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.fitting.episodes import (
    Contrast,
    Neighbourhood,
    as_known,
    evidence_weights,
    has_unusual_neighbours,
    lift_among_top,
    own_of,
    unusual_own,
    weights_of_shares,
)
from recsys.fraud.fitting.misuse_share import cumulative_weights, misused_share
from recsys.fraud.fitting.score_tails import fit_score_tail
<<<<<<< HEAD
from recsys.fraud.fitting.silent_evidence import fit_audible_tails, silent_kinds
=======
from recsys.fraud.fitting.silent import silenced
>>>>>>> main
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.booster import Booster, fit_booster
from recsys.fraud.scoring.scorer import (
    EvidenceScorer,
    booster_features,
    feature_names,
    plain_surprise,
    weighted_surprise,
)
from recsys.fraud.scoring.tails import Tail, excess_of, surprise_of

_CLEARLY_BETTER = 1.1
"""Factor by which the lift of the trees has to exceed that of the weights."""
_LEAST_LIFT = 0.05
"""Least lift of the trees: without episodes both lifts are chance, and so is their ratio."""
_SHARPNESS = 4
"""Power of the shares of evidence that come in episodes: kinds that are half noise get little
weight."""
_UNFITTED = Tail(quantiles=np.zeros(2), rate=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A fitted scorer and how it was chosen."""

    scorer: EvidenceScorer
    """How evidence is weighed."""
    state: ProfileState
    """The state with the cumulative scores at the end of the log."""
    combined: Float64Array
    """Combined scores of the log. Shape (N,)."""
    episode_shares: Float64Array
    """Share of the high values of each kind that come in episodes. Shape (J,)."""
    silent: tuple[str, ...]
    """Kinds that say nothing on this log (see `silent_kinds`)."""
    lift_of_weights: float
    """Lift among the top scores of the weights (see `episodes.lift_among_top`)."""
    lift_of_trees: float
    """Lift of trees, on accounts they did not see; NaN where none were fitted."""
    misused_share: float
    """Share of misuse at a high cumulative score (see `misused_share`), times how far episodes
    decide the weights."""


def fit_scorer(
    kinds: tuple[str, ...],
    evidence_NJ: Float32Array,
    coded: CodedTransactions,
    account_N: Int64Array,
    state: ProfileState,
    *,
    covered: tuple[str, ...],
    silent: tuple[str, ...],
    known_N: BoolArray,
    num_fit: int,
    config: FraudConfig,
    num_threads: int,
) -> Weighed:
    """Learn the weights of evidence from the first rows; calibrate on the others.

    Args:
        kinds: Names of the evidence.
        evidence_NJ: Evidence of a log in the order of time.
        coded: Its transactions as numbers.
        account_N: Place of the account of each in the state.
        state: The state after the log, its cumulative scores still 0; it is not changed.
        covered: Columns that the pass measures itself.
        silent: Columns that say nothing.
        known_N: Whether the account had enough history.
        num_fit: Number of the first rows.
        config: What to train.
        num_threads: Threads of the trees.
    """
    in_fit_N = np.arange(len(account_N)) < num_fit
    held_out_N = _some(~in_fit_N & known_N, ~in_fit_N)
    usable_N = _some(in_fit_N & known_N, in_fit_N)
    around = Neighbourhood(account=account_N, day=coded.day, usable=usable_N)
<<<<<<< HEAD
    silent_J = silent_kinds(kinds, evidence_NJ[held_out_N])
    tails = fit_audible_tails(evidence_NJ[held_out_N], silent_J)
=======
    tails = silenced(fit_tails(evidence_NJ[held_out_N]), kinds, silent)
>>>>>>> main
    surprise_NJ, own_J = surprise_of(tails, evidence_NJ), own_of(kinds, covered)
    found = _Episodes.of(around, tails, evidence_NJ, surprise_NJ, own_J)
    trees = _Trees(
        features=booster_features(kinds, np.where(silent_J, np.float32(0), evidence_NJ), coded),
        names=feature_names(kinds),
        target=has_unusual_neighbours(around, found.unusual),
        around=around,
        config=config,
        num_threads=num_threads,
    )
    lift_of_trees, booster = _chosen_trees(trees, found)
    scorer = _uncalibrated_scorer(
        kinds, tails, surprise_NJ[held_out_N], found=found, own_J=own_J, booster=booster
    )
    raw_N = scorer.raw_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)
    scorer, after = replace(scorer, transaction_tail=Tail.fit(raw_N[held_out_N])), state.copy()
    scored = scorer.score(evidence_NJ, coded, account_N, after, num_threads=num_threads)
    # Harmless bursts, as of a day in town, have high cumulative scores too: the lift corrects it.
    lift = as_known(found.lift if booster is None else lift_of_trees)
    transaction_N, cumulative_NH = scored.transaction_score, scored.cumulative_score
    misused = lift * misused_share(transaction_N[usable_N], cumulative_NH[usable_N, 0])
    weights = cumulative_weights(misused, with_trees=booster is not None)
    final = replace(scorer, cumulative_weights=weights)
    combined_N = final.combined_scores(transaction_N, cumulative_NH)
    return Weighed(
        scorer=replace(final, combined_tail=fit_score_tail(combined_N[held_out_N])),
        state=after,
        combined=combined_N,
        episode_shares=found.shares,
        silent=tuple(np.array(kinds)[silent_J].tolist()),
        lift_of_weights=found.lift,
        lift_of_trees=lift_of_trees,
        misused_share=misused,
    )


def _uncalibrated_scorer(
    kinds: tuple[str, ...],
    tails: tuple[Tail, ...],
    held_out_MJ: Float32Array,
    *,
    found: _Episodes,
    own_J: BoolArray,
    booster: Booster | None,
) -> EvidenceScorer:
    """A scorer with its weights or trees; its transaction scores are not calibrated yet.

    Args:
        kinds: Names of the evidence.
        tails: Calibration of each.
        held_out_MJ: Surprise of the rows to calibrate on.
        found: What episodes say.
        own_J: Kinds that are aspects of one transaction.
        booster: Trees, if they are trusted.
    """
    weights_J = weights_of_shares(found.shares, found.lift, sharpness=_SHARPNESS)
    return EvidenceScorer(
        kinds=kinds,
        tails=tails,
        weights=weights_J,
        cumulative_kinds=weights_J * own_J * (booster is None),
        cumulative_weights=(0.0, 0.0),
        booster=booster,
        transaction_tail=_UNFITTED,
        plain_tail=Tail.fit(plain_surprise(held_out_MJ)),
        combined_tail=_UNFITTED,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Episodes:
    """What the neighbours of transactions show about the evidence."""

    shares: Float64Array  # (J,)
    unusual: Float64Array  # (N,)
    contrast: Contrast
    lift: float  # of the score that the shares give as weights

    @classmethod
    def of(
        cls,
        around: Neighbourhood,
        tails: tuple[Tail, ...],
        evidence_NJ: Float32Array,
        surprise_NJ: Float32Array,
        own_J: BoolArray,
    ) -> _Episodes:
        excess_NJ = excess_of(tails, evidence_NJ)
        shares_J = evidence_weights(around, excess_NJ, own_J)
        unusual_N = unusual_own(excess_NJ, shares_J, own_J)
        del excess_NJ
        contrast = Contrast.of(around, unusual_N)
        sharp_N = weighted_surprise(shares_J**_SHARPNESS, surprise_NJ)
        return cls(
            shares=shares_J,
            unusual=unusual_N,
            contrast=contrast,
            lift=lift_among_top(around, contrast, sharp_N),
        )


def _chosen_trees(trees: _Trees, found: _Episodes) -> tuple[float, Booster | None]:
    """Lift of trees, and the trees if they are clearly better than weights."""
    if trees.config.scoring.learn_episodes == "never" or not trees.can_be_fitted:
        return float("nan"), None
    lift = lift_among_top(trees.around, found.contrast, trees.cross_scores())
    if lift <= max(_CLEARLY_BETTER * found.lift, _LEAST_LIFT):
        return lift, None
    return lift, trees.fit(trees.around.usable)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trees:
    """Trees that predict from a transaction whether its neighbours are unusual."""

    features: Float32Array
    names: tuple[str, ...]
    target: BoolArray
    around: Neighbourhood
    config: FraudConfig
    num_threads: int

    @property
    def can_be_fitted(self) -> bool:
        """Whether each half of the accounts has examples of both classes for several leaves."""
        least = 2 * self.config.scoring.min_rows_per_leaf
        usable = self.around.usable
        return all(
            (self.target & usable & half_N).sum() >= least // 4 and (usable & half_N).sum() > least
            for half_N in self._halves()
        )

    def cross_scores(self) -> Float64Array:
        """Scores of each half of the accounts from trees that were fitted on the other half."""
        scores_N = np.zeros(len(self.target))
        for half_N in self._halves():
            booster = self.fit(self.around.usable & ~half_N)
            scores_N[half_N] = booster.score(self.features[half_N], num_threads=self.num_threads)
        return scores_N

    def fit(self, chosen_N: BoolArray) -> Booster:
        """Trees from some of the rows."""
        scoring = self.config.scoring
        return fit_booster(
            self.features[chosen_N],
            self.target[chosen_N],
            names=self.names,
            categorical=("context",),
            num_rounds=scoring.num_rounds,
            min_rows_per_leaf=scoring.min_rows_per_leaf,
            seed=self.config.seed,
            num_threads=self.num_threads,
        )

    def _halves(self) -> tuple[BoolArray, BoolArray]:
        """The transactions of two random halves of the accounts."""
        num_accounts = int(self.around.account.max()) + 1
        rng = np.random.default_rng(self.config.seed)
        first_A = rng.permutation(num_accounts) < num_accounts / 2
        first_N = first_A[self.around.account]
        return first_N, ~first_N


def _some(preferred_N: BoolArray, otherwise_N: BoolArray) -> BoolArray:
    """The preferred rows if there are enough of them, else the others."""
    return preferred_N if preferred_N.sum() >= 0.2 * otherwise_N.sum() else otherwise_N
