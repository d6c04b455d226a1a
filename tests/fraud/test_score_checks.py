"""Laws of the guards of fraud scores: what finds nothing, or everything, does not become live."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_transactions import FEATURES, QUICK, cut, log_of, with_column

from recsys.fraud.alerts.canary import CanaryRecall, plant_and_score
from recsys.fraud.alerts.checks_config import ScoreChecksConfig
from recsys.fraud.alerts.output_checks import NightFigures, check_canary, check_night
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.model import FraudModel
from recsys.fraud.scoring.scorer import CalibratedScores, EvidenceScorer

CONFIG = ScoreChecksConfig()
Fault = Literal["constant low", "constant high", "inverted", "not a number", "random"]


@functools.cache
def days() -> tuple[pa.Table, pa.Table]:
    """Forty days to fit on, and a week without a plant."""
    return cut(log_of(num_days=47), 40)


@functools.cache
def ordinary() -> FittedFraud:
    """A scorer of the forty days."""
    return fit_fraud_model(days()[0], FEATURES, QUICK, num_threads=1)


class _Broken:
    """A judge whose scores went wrong."""

    def __init__(self, scorer: EvidenceScorer, fault: Fault) -> None:
        self._scorer, self._fault = scorer, fault

    def __getattr__(self, name: str) -> object:
        return getattr(self._scorer, name)

    def score(self, *args: object, **kwargs: object) -> CalibratedScores:
        """The judgement of the sound judge, with other scores."""
        found = self._scorer.score(*args, **kwargs)
        scores = found.anomaly_score
        wrong = {
            "constant low": np.full_like(scores, 0.5),
            "constant high": np.full_like(scores, 0.999),
            "inverted": 1 - scores,
            "not a number": np.full_like(scores, np.nan),
            "random": np.random.default_rng(0).random(len(scores)),
        }[self._fault]
        return _with_scores(found, wrong)


def _with_scores(calibrated: CalibratedScores, scores: np.ndarray) -> CalibratedScores:
    other = replace(calibrated)
    object.__setattr__(other, "p_value", 1 - scores)
    assert np.allclose(other.anomaly_score, scores, equal_nan=True)
    return other


def broken(fault: Fault) -> FraudModel:
    """The scorer with a judge whose scores went wrong."""
    model = ordinary().model
    other = replace(model)
    object.__setattr__(other, "scorer", _Broken(model.scorer, fault))
    return other


def recall(model: FraudModel, fitted: FittedFraud, *, seed: int = 0) -> CanaryRecall:
    """What a model finds the day after the training."""
    return plant_and_score(model, fitted.state, days()[0], seed=seed, num_threads=1)


@functools.cache
def usual() -> CanaryRecall:
    """What the sound model finds."""
    return recall(ordinary().model, ordinary())


def rules_of_night(
    scores: np.ndarray, before: list[float] | None = None, alert_share: float = 0.0
) -> list[str]:
    """The rules that a night's scores break, after nights with these shares of high scores."""
    night = NightFigures(high_share=float(np.mean(scores >= 0.99)), alert_share=alert_share)
    earlier = [NightFigures(high_share=one, alert_share=one) for one in before or []]
    return [one.rule for one in check_night(scores, night, earlier, CONFIG, place="night")]


def test_a_sound_model_finds_most_of_what_is_planted() -> None:
    """Most takeovers are found, and the same ones each time."""
    assert usual().share > 0.8
    assert usual() == recall(ordinary().model, ordinary())
    assert usual().planted >= 1000


@pytest.mark.parametrize(
    "fault", ["constant low", "constant high", "inverted", "not a number", "random"]
)
def test_a_broken_judge_is_held_by_the_canary(fault: Fault) -> None:
    """Scores that are all alike, turned round, drawn or no numbers find no takeover by merit."""
    found = recall(broken(fault), ordinary())
    assert found.share < usual().share / 2
    (held,) = check_canary(found, usual().share, CONFIG, place="night")
    assert held.rule == "canary"
    # Without a model before, whatever finds no more than chance is held all the same.
    assert [*check_canary(found, math.nan, CONFIG, place="night")]


def test_chance_and_another_draw_do_not_hold_a_model() -> None:
    """Other accounts and donors, or a model trained anew, find about as many."""
    config = replace(QUICK, seed=9)
    again = fit_fraud_model(days()[0], FEATURES, config, num_threads=1)
    found = [recall(ordinary().model, ordinary(), seed=seed) for seed in (1, 2)]
    for one in (*found, recall(again.model, again)):
        assert [*check_canary(one, usual().share, CONFIG, place="night")] == []


def test_the_canary_leaves_the_state_as_it_is() -> None:
    """Planting moves nothing that later nights go on from."""
    before = {name: array.copy() for name, array in ordinary().state.arrays().items()}
    recall(ordinary().model, ordinary(), seed=3)
    for name, array in ordinary().state.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_ordinary_nights_pass() -> None:
    """A week after the training every night passes its guards and the canary."""
    model, state, earlier = ordinary().model, ordinary().state, list[float]()
    for day in range(40, 47):
        _, rows = cut(cut(days()[1], day + 1)[0], day)
        scores, state = model.score(rows, state, num_threads=1)
        state = replace(state, until=float(math.ceil(state.until)))
        anomaly = scores.calibrated.anomaly_score
        assert rules_of_night(anomaly, earlier) == []
        earlier.append(float(np.mean(anomaly >= 0.99)))
    found = plant_and_score(model, state, days()[1], seed=0, num_threads=1)
    assert [*check_canary(found, usual().share, CONFIG, place="night")] == []


def test_a_bad_week_does_not_hold_a_sound_model() -> None:
    """Takeovers of a tenth of the accounts in the last days leave the canary as it was."""
    rng = np.random.default_rng(0)
    accounts = sorted(set(days()[0]["account_id"].to_pylist()))
    stolen = [str(one) for one in rng.permutation(accounts)[: len(accounts) // 10]]
    week = days()[1]
    is_stolen = np.asarray(pc.is_in(week["account_id"], pa.array(stolen, week["account_id"].type)))
    high = pa.array(np.where(is_stolen, 40.0, 1.0))
    week = with_column(week, "amount", pc.multiply(week["amount"], high))
    _, state = ordinary().model.score(week, ordinary().state, num_threads=1)
    state = replace(state, until=float(math.ceil(state.until)))
    found = plant_and_score(ordinary().model, state, week, seed=0, num_threads=1)
    assert found.accounts <= len(accounts) - len(stolen) + 3
    assert [*check_canary(found, usual().share, CONFIG, place="night")] == []


def test_scores_that_are_all_alike_are_held() -> None:
    """A night with fewer than ten different scores tells nothing apart; a small one is let be."""
    assert rules_of_night(np.full(500, 0.3)) == ["score spread"]
    assert rules_of_night(np.full(500, np.nan)) == ["score spread"]
    assert "high_share" in rules_of_night(np.full(500, 0.995))
    assert rules_of_night(np.full(50, 0.995)) == []
    assert rules_of_night(np.random.default_rng(0).random(500) * 0.98) == []


@given(before=st.lists(st.floats(0, 0.02), max_size=20), high=st.integers(0, 400))
def test_too_many_high_scores_are_held(before: list[float], high: int) -> None:
    """More high scores than limit and chance, and than three times the usual, are held."""
    scores = np.random.default_rng(0).random(1000) * 0.98
    scores[:high] = 0.995
    limit = max(CONFIG.max_high_share, 3 * float(np.median(before)) if before else 0)
    limit += 3 * math.sqrt(limit * (1 - limit) / 1000)
    assert ("high_share" in rules_of_night(scores, before)) == (high / 1000 > limit)


def test_shares_that_grow_each_night_are_held_soon() -> None:
    """Threefold from night to night never becomes usual: the median is what counts."""
    nights, share = [0.01] * 10, 0.02
    while "high_share" not in rules_of_night(_with_high(share), nights):
        nights.append(share)
        share *= 1.5
    assert share < 3 * CONFIG.max_high_share
    assert rules_of_night(_with_high(0.01), nights, alert_share=0.5) == ["alert_share"]


def _with_high(share: float) -> np.ndarray:
    scores = np.random.default_rng(0).random(1000) * 0.98
    scores[: round(share * 1000)] = 0.995
    return scores


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_contaminated_training_is_held_or_harmless(share: float) -> None:
    """With takeovers in the log as if they were normal, the model is held, or finds as many."""
    log = days()[0]
    rng = np.random.default_rng(1)
    rows = np.flatnonzero(rng.random(log.num_rows) < share)
    donors = rng.integers(0, log.num_rows, len(rows))
    taken = np.arange(log.num_rows)
    taken[rows] = donors
    changed = log
    for name in ("amount", "counterparty_id", *("category", "channel", "country")):
        changed = with_column(changed, name, log[name].take(pa.array(taken)))
    factor = np.ones(log.num_rows)
    factor[rows] = 3.0
    changed = with_column(changed, "amount", pc.multiply(changed["amount"], pa.array(factor)))
    fitted = fit_fraud_model(changed, FEATURES, QUICK, num_threads=1)
    found = plant_and_score(fitted.model, fitted.state, log, seed=0, num_threads=1)
    is_held = bool([*check_canary(found, usual().share, CONFIG, place="the new model")])
    assert is_held or found.share > usual().share - 0.1


def test_without_accounts_nothing_is_planted() -> None:
    """A log of one account has no donors: the canary says nothing, and nothing is held for it."""
    log = days()[0]
    first = log["account_id"][0]
    one = log.filter(pc.equal(log["account_id"], first))
    found = plant_and_score(ordinary().model, ordinary().state, one, seed=0, num_threads=1)
    assert found.planted == 0
    assert math.isnan(found.share)
    assert [*check_canary(found, usual().share, CONFIG, place="night")] == []


def test_a_loss_beyond_points_and_chance_is_held() -> None:
    """With many plants a loss of ten points is held and one of four is not."""
    for share, expected in ((0.80, True), (0.86, False)):
        found = CanaryRecall(found=round(share * 1200), planted=1200, accounts=1200)
        assert bool([*check_canary(found, 0.9, CONFIG, place="night")]) is expected
