"""Fitting the judge: calibration, weights, and trees where they earn it.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.fitting.episodes import (
    Contrast,
    Neighbourhood,
    as_known,
    evidence_weights,
    has_unusual_neighbours,
    own_of,
    trust,
    trusted_weights,
    unusual_own,
)
from recsys.fraud.fitting.misuse_share import heat_weights, misused_share
from recsys.fraud.fitting.score_tails import fit_score_tail
from recsys.fraud.fitting.silent import silenced
from recsys.fraud.profiles.arrays import Codes, Floats
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.booster import Booster, fit_booster
from recsys.fraud.scoring.scorer import (
    Judge,
    booster_features,
    feature_names,
    plain_surprise,
    weighted_surprise,
)
from recsys.fraud.scoring.tails import Tail, excess_of, fit_tails, surprise_of

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_CLEARLY_BETTER = 1.1
"""How many times as trustworthy as the weights the trees have to be."""
_LEAST_TRUST = 0.05
"""Trust that the trees need at least: without episodes both are chance, and so is their ratio."""
_SHARPNESS = 4
"""Power of the shares of evidence that come in episodes: little is left of what is half noise."""
_UNFITTED = Tail(quantiles=np.zeros(2), rate=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A judge and how it was chosen."""

    judge: Judge
    """How evidence is weighed."""
    state: ProfileState
    """The state with what accounts piled up by the end of the log."""
    combined: Array
    """Combined scores of the log. Shape (N,)."""
    episode_shares: Array
    """Share of the high values of each kind that come in episodes. Shape (J,)."""
    trust_weights: float
    """Trust in the weights (see `episodes.trust`)."""
    trust_trees: float
    """Trust in trees, on accounts they did not see; NaN where none were fitted."""
    misused_share: float
    """Share of the transactions of hot accounts that are misuse (see `misused_share`), times
    how far episodes are trusted."""


def fit_judge(
    kinds: tuple[str, ...],
    evidence_NJ: Floats,
    coded: CodedTransactions,
    account_N: Codes,
    state: ProfileState,
    *,
    covered: tuple[str, ...],
    silent: tuple[str, ...],
    known_N: Flags,
    num_fit: int,
    config: FraudConfig,
    num_threads: int,
) -> Weighed:
    """Learn from the first rows what evidence is worth; calibrate it on the others.

    Args:
        kinds: Names of the evidence.
        evidence_NJ: Evidence of a log in the order of time.
        coded: Its transactions as numbers.
        account_N: Place of the account of each in the state.
        state: What is known after the log, nothing piled up yet; it stays as it is.
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
    tails = silenced(fit_tails(evidence_NJ[held_out_N]), kinds, silent)
    surprise_NJ, own_J = surprise_of(tails, evidence_NJ), own_of(kinds, covered)
    found = _Episodes.of(around, tails, evidence_NJ, surprise_NJ, own_J)
    trees = _Trees(
        features=booster_features(kinds, evidence_NJ, coded),
        names=feature_names(kinds),
        target=has_unusual_neighbours(around, found.unusual),
        around=around,
        config=config,
        num_threads=num_threads,
    )
    trust_trees, booster = _chosen_trees(trees, found)
    judge = _judge_without_heat(
        kinds, tails, surprise_NJ[held_out_N], found=found, own_J=own_J, booster=booster
    )
    raw_N = judge.raw_scores(evidence_NJ, surprise_NJ, coded, num_threads=num_threads)
    judge, after = replace(judge, own_tail=Tail.fit(raw_N[held_out_N])), state.copy()
    judged = judge.judge(evidence_NJ, coded, account_N, after, num_threads=num_threads)
    # Bursts that are no misuse, such as a day in town, are hot too; trust tells them apart.
    trusted = as_known(found.trust if booster is None else trust_trees)
    misused = trusted * misused_share(judged.own[usable_N], judged.heat[usable_N, 0])
    heat = heat_weights(misused, with_trees=booster is not None)
    combined_N = replace(judge, heat_weights=heat).with_heat(judged.own, judged.heat)
    combined_tail = fit_score_tail(combined_N[held_out_N])
    return Weighed(
        judge=replace(judge, heat_weights=heat, combined_tail=combined_tail),
        state=after,
        combined=combined_N,
        episode_shares=found.shares,
        trust_weights=found.trust,
        trust_trees=trust_trees,
        misused_share=misused,
    )


def _judge_without_heat(
    kinds: tuple[str, ...],
    tails: tuple[Tail, ...],
    held_out_MJ: Floats,
    *,
    found: _Episodes,
    own_J: Flags,
    booster: Booster | None,
) -> Judge:
    """A judge that knows what evidence is worth; its own scores are not calibrated yet.

    Args:
        kinds: Names of the evidence.
        tails: Calibration of each.
        held_out_MJ: Surprise of the rows to calibrate on.
        found: What episodes say.
        own_J: Kinds that are aspects of one transaction.
        booster: Trees, if they are trusted.
    """
    weights_J = trusted_weights(found.shares, found.trust, sharpness=_SHARPNESS)
    return Judge(
        kinds=kinds,
        tails=tails,
        weights=weights_J,
        heat_kinds=weights_J * own_J * (booster is None),
        heat_weights=(0.0, 0.0),
        booster=booster,
        own_tail=_UNFITTED,
        plain_tail=Tail.fit(plain_surprise(held_out_MJ)),
        combined_tail=_UNFITTED,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Episodes:
    """What the neighbours of transactions tell of the evidence."""

    shares: Array  # (J,)
    unusual: Array  # (N,)
    contrast: Contrast
    trust: float  # in the shares as weights

    @classmethod
    def of(
        cls,
        around: Neighbourhood,
        tails: tuple[Tail, ...],
        evidence_NJ: Floats,
        surprise_NJ: Floats,
        own_J: Flags,
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
            trust=trust(around, contrast, sharp_N),
        )


def _chosen_trees(trees: _Trees, found: _Episodes) -> tuple[float, Booster | None]:
    """Trust in trees, and trees if they are clearly better than weights."""
    if trees.config.scoring.learn_episodes == "never" or not trees.can_be_fitted:
        return float("nan"), None
    trusted = trust(trees.around, found.contrast, trees.cross_scores())
    if trusted <= max(_CLEARLY_BETTER * found.trust, _LEAST_TRUST):
        return trusted, None
    return trusted, trees.fit(trees.around.usable)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trees:
    """Trees that tell from a transaction whether its neighbours are unusual."""

    features: Floats
    names: tuple[str, ...]
    target: Flags
    around: Neighbourhood
    config: FraudConfig
    num_threads: int

    @property
    def can_be_fitted(self) -> bool:
        """Whether each half of the accounts has examples of both kinds for several leaves."""
        least = 2 * self.config.scoring.min_rows_per_leaf
        usable = self.around.usable
        return all(
            (self.target & usable & half_N).sum() >= least // 4 and (usable & half_N).sum() > least
            for half_N in self._halves()
        )

    def cross_scores(self) -> Array:
        """Scores of each half of the accounts from trees that were fitted on the other half."""
        scores_N = np.zeros(len(self.target))
        for half_N in self._halves():
            booster = self.fit(self.around.usable & ~half_N)
            scores_N[half_N] = booster.score(self.features[half_N], num_threads=self.num_threads)
        return scores_N

    def fit(self, chosen_N: Flags) -> Booster:
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

    def _halves(self) -> tuple[Flags, Flags]:
        """The accounts in two halves, whatever their order means."""
        num_accounts = int(self.around.account.max()) + 1
        rng = np.random.default_rng(self.config.seed)
        first_A = rng.permutation(num_accounts) < num_accounts / 2
        first_N = first_A[self.around.account]
        return first_N, ~first_N


def _some(preferred_N: Flags, otherwise_N: Flags) -> Flags:
    """The rows that are preferred, if there are a fair number of them."""
    return preferred_N if preferred_N.sum() >= 0.2 * otherwise_N.sum() else otherwise_N
