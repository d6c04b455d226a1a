"""From evidence to scores: what raises them, what does not, and what a judgement holds.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.features.encoder import EncodedTable
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.profiles.state import ProfileState, empty_state
from recsys.fraud.scoring.scorer import ADDED_CAP, CalibratedScores, EvidenceScorer
from recsys.fraud.scoring.tails import TAIL_SHARE, Tail, fit_tails, surprise_of

NUM_ACCOUNTS = 20
KINDS = ("amount_high", "hour", "noise")
CALIBRATION = np.random.default_rng(0).normal(size=(5000, len(KINDS)))
SEEDS = st.integers(0, 10_000)


def scorer(*, weights: tuple[float, ...] = (1.0, 0.5, 0.0)) -> EvidenceScorer:
    """A judge that knows what normal rows look like and uses no trees."""
    tails = fit_tails(CALIBRATION)
    surprise = sum(
        weight * tail.surprise(column)
        for weight, tail, column in zip(weights, tails, CALIBRATION.T, strict=True)
    )
    transaction_tail = Tail.fit(surprise)
    plain = sum(tail.surprise(column) for tail, column in zip(tails, CALIBRATION.T, strict=True))
    return EvidenceScorer(
        kinds=KINDS,
        tails=tails,
        weights=np.array(weights),
        cumulative_kinds=np.zeros(len(KINDS)),
        cumulative_weights=(0.8, 0.2),
        booster=None,
        transaction_tail=transaction_tail,
        plain_tail=Tail.fit(plain),
        combined_tail=Tail.fit(transaction_tail.surprise(surprise)),
    )


def fresh() -> ProfileState:
    """A state in which nothing has piled up."""
    return empty_state(
        Vocabulary(pa.array(range(NUM_ACCOUNTS))),
        Vocabulary(pa.array([], pa.string())),
        num_values=1,
        until=0.0,
    )


def coded(day_N: np.ndarray) -> CodedTransactions:
    """Transactions of which only the time matters."""
    zeros = np.zeros(len(day_N), dtype=np.int64)
    return CodedTransactions(
        day=day_N,
        hour=zeros,
        amount=zeros.astype(np.float32),
        context=zeros,
        bit=zeros,
        columns=EncodedTable(
            categorical=torch.zeros(len(day_N), 0, dtype=torch.int64),
            multi_hot=(),
            numeric=torch.zeros(len(day_N), 0),
            dense=(),
        ),
    )


def scored(
    evidence_NJ: np.ndarray,
    day_N: np.ndarray,
    account_N: np.ndarray,
    *,
    by: EvidenceScorer | None = None,
    state: ProfileState | None = None,
) -> CalibratedScores:
    """Judge transactions."""
    return (by or scorer()).score(
        evidence_NJ.astype(np.float32),
        coded(day_N),
        account_N,
        fresh() if state is None else state,
        num_threads=1,
    )


def random_log(seed: int, num_rows: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence, times and accounts."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_t(2, size=(num_rows, len(KINDS))),
        np.sort(rng.uniform(0, 20, num_rows)),
        rng.integers(0, NUM_ACCOUNTS, num_rows),
    )


@given(seed=SEEDS)
def test_scores_are_probabilities_in_the_order_of_the_combined_score(seed: int) -> None:
    """Anomaly scores lie in [0, 1), rise with the combined score, and that is own plus heat."""
    found = scored(*random_log(seed))
    order = np.argsort(found.combined, kind="stable")
    assert (np.diff(found.anomaly_score[order]) >= -1e-12).all()
    assert found.anomaly_score.min() >= 0
    assert found.anomaly_score.max() < 1
    logs = np.log1p(found.cumulative_score.astype(np.float64))
    np.testing.assert_allclose(
        found.combined, found.transaction_score + logs @ [0.8, 0.2], rtol=1e-12
    )


@given(seed=SEEDS, kind=st.integers(0, 1), more=st.floats(0, 20))
def test_more_evidence_never_lowers_a_score(seed: int, kind: int, more: float) -> None:
    """Raising one kind of evidence of one row lowers no score of its own account."""
    evidence, day, account = random_log(seed)
    raised = evidence.copy()
    raised[100, kind] += more
    before, after = scored(evidence, day, account), scored(raised, day, account)
    same = account == account[100]
    assert (after.combined[same] >= before.combined[same] - 1e-6).all()
    np.testing.assert_array_equal(after.combined[~same], before.combined[~same])
    np.testing.assert_array_equal(after.combined[:100], before.combined[:100])


@given(seed=SEEDS)
def test_what_has_no_weight_has_no_effect(seed: int) -> None:
    """Evidence of weight 0 may be anything, also not a number, without a weighed score changing."""
    evidence, day, _ = random_log(seed)
    other = evidence.copy()
    other[:, 2] = np.where(np.arange(200) % 2, 1e30, np.nan)
    one, two = (
        scorer().raw_scores(each, surprise_of(scorer().tails, each), coded(day), num_threads=1)
        for each in (evidence, other)
    )
    np.testing.assert_array_equal(one, two)


def test_what_has_no_weight_counts_once_it_is_far_out() -> None:
    """Weights know the fraud of the past; another kind that is rare enough still shows."""
    evidence, day, account = random_log(0)
    other = evidence.copy()
    other[50, 2] += 30.0
    before, after = scored(evidence, day, account), scored(other, day, account)
    assert after.p_value[50] < 0.01 < before.p_value[50]


def test_evidence_that_is_not_finite_harms_no_later_transaction() -> None:
    """NaN and infinity give finite scores, and what piles up stays finite."""
    evidence, day, account = random_log(0)
    evidence[3], evidence[7, 0], evidence[9, 0] = np.nan, np.inf, -np.inf
    state = fresh()
    found = scored(evidence, day, account, state=state)
    assert np.isfinite(found.combined).all()
    assert np.isfinite(found.anomaly_score).all()
    assert np.isfinite(state.cumulative_score).all()


def test_heat_is_what_the_account_piled_up_before() -> None:
    """A transaction adds the nats of its own score in the tail, capped, to those after it alone."""
    evidence = np.array([[60.0, 60, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    found = scored(evidence, np.array([1.0, 1.0, 1.5, 8.0]), np.array([3, 3, 3, 3]))
    assert found.transaction_score[0] > ADDED_CAP - np.log(TAIL_SHARE)
    np.testing.assert_allclose(
        found.cumulative_score[:, 0], ADDED_CAP * np.array([0, 1, 0.5, 0.5**14])
    )
    np.testing.assert_allclose(
        found.cumulative_score[:, 1], ADDED_CAP * np.array([0, 1, 0.5 ** (1 / 14), 0.5])
    )
    assert found.combined[1] > found.combined[2] > found.combined[3] > found.transaction_score[3]


@given(seed=SEEDS, place=st.integers(0, 200))
def test_judging_in_two_parts_is_judging_at_once(seed: int, place: int) -> None:
    """With the state passed on, rows are judged the same in whatever parts they come."""
    evidence, day, account = random_log(seed)
    whole, state = scored(evidence, day, account), fresh()
    parts = [
        scored(evidence[rows], day[rows], account[rows], state=state)
        for rows in (slice(0, place), slice(place, None))
    ]
    for name in ("surprise", "transaction_score", "cumulative_score", "combined", "p_value"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_normal_rows_have_the_p_values_they_claim() -> None:
    """Rows like those of the calibration, one an account, have uniform p-values to 0.03."""
    rng = np.random.default_rng(1)
    evidence = rng.normal(size=(20_000, len(KINDS)))
    without_cumulative = replace(scorer(), cumulative_weights=(0.0, 0.0))
    found = scored(evidence, np.zeros(20_000), rng.integers(0, 20, 20_000), by=without_cumulative)
    shares = np.arange(1, 20_001) / 20_000
    assert np.abs(np.sort(found.p_value) - shares).max() < 0.03


@given(seed=SEEDS, weight=st.floats(0.1, 3))
def test_beside_weights_only_chosen_kinds_pile_up(seed: int, weight: float) -> None:
    """Each adds its excess times its weight, up to the cap; the own score adds nothing."""
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(50, len(KINDS))).astype(np.float32) * 3
    chosen = replace(scorer(), cumulative_kinds=np.array([weight, 0.0, 0.0]))
    expected = np.minimum(weight * chosen.tails[0].excess(evidence[:, 0]), ADDED_CAP)
    for own in (np.zeros(50), np.full(50, 20.0)):
        np.testing.assert_allclose(chosen.added_excess(own, evidence), expected, rtol=1e-5)


def test_beside_trees_the_own_score_piles_up() -> None:
    """What lies beyond the tail's threshold adds up, to the cap, whatever the kinds say."""
    own = np.array([0.0, -np.log(TAIL_SHARE), 1 - np.log(TAIL_SHARE), 30.0])
    high = np.full((4, len(KINDS)), 9.0, dtype=np.float32)
    np.testing.assert_allclose(scorer().added_excess(own, high), [0, 0, 1, ADDED_CAP], atol=1e-6)
