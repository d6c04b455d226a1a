"""What clustering in time tells of evidence, on evidence whose worth is planted.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.features.encoder import EncodedTable
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.fitting.episodes import (
    Contrast,
    Neighbourhood,
    evidence_weights,
    has_unusual_neighbours,
    lift_among_top,
    unusual_own,
    weights_of_shares,
)
from recsys.fraud.fitting.misuse_share import cumulative_weights, misused_share
from recsys.fraud.fitting.weighing import Weighed, fit_scorer
from recsys.fraud.profiles.arrays import EVIDENCE, SHARED_EVIDENCE
from recsys.fraud.profiles.state import empty_state
from recsys.fraud.scoring.scorer import booster_features, feature_names
from recsys.fraud.scoring.tails import excess_of, fit_tails

KINDS = ("amount_high", "hour", "category", "new_counterparty")
NUM_INFORMATIVE = 2
SEEDS = st.integers(0, 10_000)
NUM_ACCOUNTS, NUM_DAYS, ROWS_PER_DAY = 200, 300, 400


@dataclass(frozen=True, eq=False)
class Planted:
    """Evidence of which the first two kinds are high in episodes, and the others by chance."""

    around: Neighbourhood
    evidence: np.ndarray
    in_episode: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """Excess of each kind. Shape (N, J)."""
        return excess_of(fit_tails(self.evidence), self.evidence)


OWN = np.ones(len(KINDS), dtype=np.bool_)


def planted(*, num_episodes: int, seed: int = 0) -> Planted:
    """A log in which each episode is six transactions of an account within a few hours."""
    rng = np.random.default_rng(seed)
    num_rows = NUM_DAYS * ROWS_PER_DAY
    account = rng.integers(0, NUM_ACCOUNTS, num_rows)
    day = rng.uniform(0, NUM_DAYS, num_rows)
    account_E = rng.integers(0, NUM_ACCOUNTS, num_episodes)
    start_E = rng.uniform(0, NUM_DAYS - 1, num_episodes)
    account = np.concatenate([account, np.repeat(account_E, 6)])
    day = np.concatenate([day, np.repeat(start_E, 6) + rng.uniform(0, 0.3, 6 * num_episodes)])
    evidence = rng.exponential(size=(len(day), len(KINDS)))
    evidence[num_rows:, :NUM_INFORMATIVE] += rng.uniform(3, 9, (6 * num_episodes, NUM_INFORMATIVE))
    order = np.argsort(day, kind="stable")
    return Planted(
        around=Neighbourhood(
            account=account[order], day=day[order], usable=np.ones(len(day), dtype=np.bool_)
        ),
        evidence=evidence[order].astype(np.float32),
        in_episode=(np.arange(len(day)) >= num_rows)[order],
    )


def lift_of(log: Planted, score: np.ndarray) -> float:
    """Trust in a score, the kinds counting as far as they come in episodes."""
    shares = evidence_weights(log.around, log.excess, OWN)
    return lift_among_top(
        log.around, Contrast.of(log.around, unusual_own(log.excess, shares, OWN)), score
    )


@pytest.mark.parametrize("seed", range(3))
def test_shares_tell_evidence_from_noise(seed: int) -> None:
    """Kinds that are high in episodes get shares near 1, kinds that are high by chance near 0."""
    log = planted(num_episodes=40, seed=seed)
    shares = evidence_weights(log.around, log.excess, OWN)
    assert shares[:NUM_INFORMATIVE].min() > 0.85
    assert shares[NUM_INFORMATIVE:].max() < 0.45
    assert (weights_of_shares(shares, 1.0, sharpness=4)[NUM_INFORMATIVE:] < 0.05).all()


@pytest.mark.parametrize("seed", range(3))
def test_trust_is_high_only_where_there_are_episodes(seed: int) -> None:
    """A score that is high in episodes is trusted; noise is not, nor any score without episodes."""
    log, calm = planted(num_episodes=40, seed=seed), planted(num_episodes=0, seed=seed)
    informative = log.excess[:, :NUM_INFORMATIVE].sum(1).astype(float)
    noise = log.excess[:, NUM_INFORMATIVE:].sum(1).astype(float)
    assert lift_of(log, informative) > 0.3
    assert abs(lift_of(log, noise)) < 0.05
    assert abs(lift_of(calm, calm.excess.sum(1).astype(float))) < 0.05


def test_unusual_neighbours_are_found_where_they_were_planted() -> None:
    """Almost all parts of episodes are among those with the most unusual neighbours."""
    log = planted(num_episodes=60)
    unusual = unusual_own(log.excess, np.array([1.0, 1, 0, 0]), OWN)
    found = has_unusual_neighbours(log.around, unusual)
    assert found.mean() <= 0.0051
    assert found[log.in_episode].mean() > 0.9


def test_rows_that_are_not_usable_say_nothing() -> None:
    """The evidence of accounts that are not known changes neither shares nor trust."""
    log = planted(num_episodes=100)
    usable = log.around.account < NUM_ACCOUNTS // 2
    around = Neighbourhood(account=log.around.account, day=log.around.day, usable=usable)
    excess = log.excess
    spoilt = np.where(usable[:, None], excess, 50).astype(np.float32)
    np.testing.assert_array_equal(
        evidence_weights(around, excess, OWN), evidence_weights(around, spoilt, OWN)
    )
    contrasts = [
        Contrast.of(around, unusual_own(each, np.ones(4), OWN)) for each in (excess, spoilt)
    ]
    scores = [each.sum(1).astype(float) for each in (excess, spoilt)]
    assert lift_among_top(around, contrasts[0], scores[0]) == lift_among_top(
        around, contrasts[1], scores[1]
    )


def test_without_any_high_value_all_kinds_count_half() -> None:
    """Constant evidence says nothing, so that no kind is preferred."""
    log = planted(num_episodes=0)
    nothing = np.zeros((len(log.evidence), len(KINDS)), dtype=np.float32)
    assert evidence_weights(log.around, nothing, OWN).tolist() == [0.5] * len(KINDS)


def test_shares_count_as_far_as_they_are_trusted() -> None:
    """Without trust all kinds count alike, with full trust by their shares; in between, between."""
    shares = np.array([0.0, 0.3, 1.0])
    np.testing.assert_array_equal(weights_of_shares(shares, -0.3, sharpness=4), [1, 1, 1])
    np.testing.assert_allclose(weights_of_shares(shares, 0.9, sharpness=2), shares**2)
    weights = [weights_of_shares(shares, lift, sharpness=1) for lift in np.linspace(0, 0.3, 7)]
    assert (np.diff(weights, axis=0) <= 1e-12).all()


def test_heat_counts_for_more_the_more_of_it_is_misuse() -> None:
    """The weights grow with the share, and never vanish."""
    for with_trees in (False, True):
        shares = np.linspace(0, 1, 9)
        weights = np.array([cumulative_weights(share, with_trees=with_trees) for share in shares])
        assert (np.diff(weights, axis=0) >= 0).all()
        assert weights.min() > 0


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, share=st.floats(0, 1))
def test_the_share_of_misuse_is_found_without_a_label(seed: int, share: float) -> None:
    """Among many hot transactions, as far out as misuse is, the share that was planted is found."""
    rng = np.random.default_rng(seed)
    transaction_N, cumulative_N = rng.exponential(size=100_000), np.zeros(100_000, dtype=np.float32)
    is_high_N = np.arange(len(transaction_N)) < 3_000
    cumulative_N[is_high_N] = 6.0
    transaction_N[is_high_N & (rng.random(len(transaction_N)) < share)] += 4.0
    assert misused_share(transaction_N, cumulative_N) == pytest.approx(share, abs=0.1)


@given(own=st.lists(st.floats(0, 30), min_size=1, max_size=30), seed=SEEDS)
def test_the_share_of_misuse_is_a_share_whatever_the_scores(own: list[float], seed: int) -> None:
    """Few scores, equal ones, no hot account: a number from 0 to 1, and 0 where nothing is hot."""
    cumulative_score = np.random.default_rng(seed).uniform(0, 10, len(own)).astype(np.float32)
    assert 0 <= misused_share(np.array(own), cumulative_score) <= 1
    assert misused_share(np.array(own), np.zeros_like(cumulative_score)) == pytest.approx(
        0, abs=1e-9
    )


def coded_at(day: np.ndarray) -> CodedTransactions:
    """Transactions of which nothing is known but their time."""
    zeros = np.zeros(len(day), dtype=np.int64)
    nothing = EncodedTable(
        categorical=torch.zeros(len(day), 0, dtype=torch.int64),
        multi_hot=(),
        numeric=torch.zeros(len(day), 0),
        dense=(),
    )
    return CodedTransactions(
        day=day,
        hour=zeros,
        amount=zeros.astype(np.float32),
        context=zeros,
        bit=zeros,
        columns=nothing,
    )


def fitted(log: Planted) -> Weighed:
    """A judge that is fitted on the first four fifths."""
    num_rows = len(log.evidence)
    state = empty_state(
        Vocabulary(pa.array(np.arange(NUM_ACCOUNTS))), Vocabulary(pa.array([], pa.string())),
        num_values=1, until=0.0,
    )  # fmt: skip
    return fit_scorer(
        KINDS, log.evidence, coded_at(log.around.day), log.around.account, state, covered=(),
        silent=(), known_N=log.around.usable, num_fit=int(0.8 * num_rows), config=FraudConfig(),
        num_threads=1,
    )  # fmt: skip


def test_a_log_without_episodes_is_judged_by_equal_weights() -> None:
    """Without fraud no trees are used, all kinds count about alike, and trust is near 0."""
    weighed = fitted(planted(num_episodes=0))
    assert weighed.scorer.booster is None
    assert abs(weighed.lift_of_weights) < 0.05
    assert weighed.scorer.weights.min() > 0.7


def test_a_log_with_episodes_is_judged_by_what_comes_in_them() -> None:
    """With fraud in the training rows, what is noise counts for little, and episodes stand out."""
    log = planted(num_episodes=40)
    weighed = fitted(log)
    assert weighed.lift_of_weights > 0.3
    assert weighed.scorer.weights[:NUM_INFORMATIVE].min() > 0.5
    assert weighed.scorer.weights[NUM_INFORMATIVE:].max() < 0.2
    limit = np.quantile(weighed.combined, 0.99)
    assert (weighed.combined[log.in_episode] > limit).mean() > 0.5


def test_few_neighbours_do_not_make_an_episode() -> None:
    """One unusual neighbour near by and none far away is no certainty; a hundred are nearly one."""
    rates = {
        number: Contrast(
            near=np.array([number]),
            far=np.zeros(1),
            near_all=np.array([number]),
            far_all=np.zeros(1),
        ).rates(np.ones(1, dtype=np.bool_))
        for number in (0.0, 1.0, 100.0)
    }
    assert rates[0.0][0] == rates[0.0][1]
    assert rates[1.0][0] - rates[1.0][1] < 0.05
    assert rates[100.0][0] - rates[100.0][1] > 0.5


def test_the_kinds_here_are_kinds_of_the_pass() -> None:
    """The names under which evidence is planted are those that the pass uses."""
    assert set(KINDS) <= set(EVIDENCE)


def test_trees_do_not_read_what_neighbours_share() -> None:
    """Counts of an account tell the number of its neighbours, and are no feature of the trees."""
    rng = np.random.default_rng(0)
    kinds = ("amount_high", *SHARED_EVIDENCE, "hour")
    evidence = rng.normal(size=(20, len(kinds))).astype(np.float32)
    changed = evidence.copy()
    changed[:, 1:-1] = 99
    coded = coded_at(np.arange(20.0))
    features = booster_features(kinds, evidence, coded)
    np.testing.assert_array_equal(features, booster_features(kinds, changed, coded))
    assert features.shape[1] == len(feature_names(kinds))
    assert feature_names(kinds)[:2] == ("amount_high", "hour")
