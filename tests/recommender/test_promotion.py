"""Laws of promotion: what is worse, broken or too good is held, and chance decides nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from challengers import BAD, K, Make, compared, honest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.recommender.evaluation.evaluate import Evaluation
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.evaluation.promotion import find_canary_faults, find_faults
from recsys.recommender.nightly_config import PromotionConfig

CONFIG = PromotionConfig()
MEASURE = f"ndcg@{K}"


def evaluation(ndcg_U: np.ndarray) -> Evaluation:
    """An evaluation of nothing but NDCG."""
    overall = {MEASURE: float(np.mean(ndcg_U)), "num_users": float(len(ndcg_U))}
    return Evaluation(overall=overall, by_segment={}, per_user={MEASURE: ndcg_U})


def comparison(
    mine_U: np.ndarray,
    live_U: np.ndarray | None,
    *,
    baseline_U: np.ndarray | None = None,
    labels: list[str] | None = None,
) -> Comparison:
    """A comparison of plain values by user."""
    others = {} if baseline_U is None else {"most popular": evaluation(baseline_U)}
    return Comparison(
        evaluations={MODEL: evaluation(mine_U), **others},
        by_prefix={},
        part="test",
        num_new_items=0,
        segments={"country": labels or ["x"] * len(mine_U)},
        champion=None if live_U is None else evaluation(live_U),
    )


def rules(one: Comparison, config: PromotionConfig = CONFIG) -> list[str]:
    """The rules that a new model breaks."""
    return [fault.rule for fault in find_faults(one, config, k=K)]


def quality(num_users: int, *, seed: int = 0) -> np.ndarray:
    """NDCG of users who differ, 0.3 on average."""
    return np.random.default_rng(seed).beta(1, 7 / 3, num_users)


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_bad_challengers_are_held(make: Make) -> None:
    """Of every kind of bad challenger none passes; one that scores nothing finite is an error."""
    try:
        found = rules(compared(make(11)))
    except DataError as error:
        assert "finite" in str(error)  # noqa: PT017  either way it is not promoted
    else:
        assert found


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_an_honest_retrain_is_promoted(seed: int) -> None:
    """The same settings with another seed and two weeks of data more break no rule."""
    assert rules(compared(honest(seed))) == []


@given(loss=st.floats(0, 0.5), num_users=st.sampled_from([3000, 10_000]))
def test_a_loss_is_held_where_all_of_the_interval_is_beyond_the_margin(
    loss: float, num_users: int
) -> None:
    """An even loss is held where it is clearly above the margin, and passes where it is below."""
    live_U = quality(num_users)
    found = rules(comparison(live_U * (1 - loss), live_U))
    if loss < CONFIG.margin - 1e-6 or loss > 1.2 * CONFIG.margin:
        assert ("champion" in found) == (loss > CONFIG.margin)


@given(seed=st.integers(0, 10_000))
def test_chance_does_not_hold_a_model(seed: int) -> None:
    """Few users who go either way at random prove no loss, however the mean falls out."""
    rng = np.random.default_rng(seed)
    live_U = quality(20, seed=seed)
    change_U = rng.normal(size=20)
    change_U -= change_U.mean() + 0.3 * change_U.std()  # a loss of 0.3 sd: t is 1.3
    assert "champion" not in rules(comparison(live_U + change_U, live_U))


def test_a_loss_of_everything_is_held_with_few_users() -> None:
    """Six users are enough to see that nothing is found any more; of fewer, that is said."""
    live_U = np.array([0.3, 0.4, 0.5, 0.3, 0.4, 0.2])
    assert rules(comparison(np.zeros(6), live_U))[0] == "champion"
    assert rules(comparison(np.zeros(5), live_U[:5])) == ["too little to measure"]


def test_a_baseline_does_not_hold_what_is_no_worse_than_the_live_model() -> None:
    """Behind a baseline as the live model is, it may replace it; worse than that, it may not."""
    base_U = quality(500)
    noise_U = np.random.default_rng(2).normal(scale=0.02, size=500)
    live_U = base_U * 0.95
    assert rules(comparison(live_U + noise_U - noise_U.mean(), live_U, baseline_U=base_U)) == []
    worse = rules(comparison(live_U * 0.98, live_U, baseline_U=base_U))
    assert worse == ["baselines"]
    better_U = base_U + noise_U - noise_U.mean()
    assert rules(comparison(live_U, better_U, baseline_U=base_U)) == ["baselines"]
    strict = replace(CONFIG, baselines="ahead")
    assert rules(comparison(live_U, live_U, baseline_U=base_U), strict) == ["baselines"]


def test_a_slice_that_loses_is_held_by_its_name() -> None:
    """A loss in one country shows, though it is hidden in the whole; a small one is not judged."""
    live_U = quality(2000)
    labels = ["big"] * 1700 + ["small"] * 200 + ["tiny"] * 100
    for size, name, expected in ((200, "small", ["champion, country small"]), (99, "tiny", [])):
        mine_U = live_U * 1.01
        names = [name if i < size else "big" for i in range(2000)]
        mine_U[:size] *= 0.7
        assert rules(comparison(mine_U, live_U, labels=names)) == expected
    assert rules(comparison(live_U, live_U, labels=labels)) == []


def test_what_is_not_a_number_is_held() -> None:
    """A quality that is not finite is no quality, with a live model or without."""
    nothing_U = np.full(100, np.nan)
    for live_U in (None, quality(100)):
        one = comparison(nothing_U, live_U, baseline_U=quality(100))
        assert rules(one) == ["finite quality"]
        assert math.isnan(one.evaluations[MODEL].overall[MEASURE])


def test_baselines_hold_as_configured() -> None:
    """Behind by chance passes `not_behind`, not `ahead`; clearly behind passes `ignored` alone."""
    base_U = quality(500)
    noise_U = np.random.default_rng(1).normal(scale=0.1, size=500)
    near_U, behind_U = base_U + noise_U - noise_U.mean() - 1e-3, base_U * 0.8
    for mine_U, held_by in ((near_U, {"ahead"}), (behind_U, {"ahead", "not_behind"})):
        for how in ("ahead", "not_behind", "ignored"):
            config = replace(CONFIG, baselines=how)
            found = rules(comparison(mine_U, None, baseline_U=base_U), config)
            assert found == (["baselines"] if how in held_by else [])


def test_too_good_is_what_nothing_comes_near_to() -> None:
    """Twice the live model is held as a leak, unless a baseline of the night does as well."""
    live_U = quality(500) / 2
    assert rules(comparison(live_U * 2, live_U, baseline_U=live_U)) == ["too good to be true"]
    assert rules(comparison(live_U * 2, live_U, baseline_U=live_U * 1.9)) == []
    assert rules(comparison(live_U * 1.4, live_U, baseline_U=live_U)) == []


@given(
    before=st.lists(st.floats(0.05, 0.5), min_size=1, max_size=30),
    share=st.floats(0, 1.5),
)
def test_the_canary_goes_by_the_median_of_those_before(before: list[float], share: float) -> None:
    """A model is held where it is below the usual value by more than the margin, and only then."""
    usual = float(np.median(before))
    found = [one.rule for one in find_canary_faults(share * usual, share * usual, before, CONFIG)]
    if abs(share - (1 - CONFIG.canary_margin)) > 1e-6:
        assert found == (["canary"] if share < 1 - CONFIG.canary_margin else [])


@pytest.mark.parametrize("to_publish", [0.0, 0.1, math.nan])
def test_a_broken_refit_is_held_by_the_canary(to_publish: float) -> None:
    """What is published is asked as well: a sound measured model does not stand in for it."""
    (fault,) = find_canary_faults(0.3, to_publish, [0.3], CONFIG)
    assert (fault.rule, fault.place) == ("canary", "the model to publish")
    assert [*find_canary_faults(0.3, 0.29, [0.3], CONFIG)] == []
    assert [*find_canary_faults(0.0, 0.0, [], CONFIG)] == []
