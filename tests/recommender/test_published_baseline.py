"""Baselines in the place of a model: they rank as measured, and go live as they should."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from challengers import EVALUATION, SELECTION, K, SmallNight, night
from small_logs import small_config
from test_promotion import comparison, evaluation, quality

from recsys.recommender.evaluation.champion import ChampionRanker
from recsys.recommender.evaluation.evaluate import Evaluation
from recsys.recommender.evaluation.holdout import MODEL, Comparison, compare
from recsys.recommender.evaluation.published_baseline import (
    RANKINGS,
    as_baseline,
    baseline_to_publish,
)
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.index import IndexConfig
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model, save_model
from recsys.recommender.nightly_config import PromotionConfig
from recsys.recommender.serving import Recommender, build_index, load_recommender

CONFIG = PromotionConfig()
MEASURE = f"ndcg@{K}"


@functools.cache
def model_of(*, filter_seen: bool) -> tuple[RecommenderModel, SmallNight]:
    """A small model for lists with or without what users had."""
    tonight = night()
    chosen = replace(SELECTION, popularity_half_life_days=16.0, filter_seen=filter_seen)
    return fit_recommender(tonight.before, small_config({}), chosen)[0], tonight


def measured(model: RecommenderModel, tonight: SmallNight) -> Comparison:
    """A model beside the baselines, and beside itself as the live one."""
    return compare(model, tonight.before, tonight.test, EVALUATION, champion=model)


@pytest.mark.parametrize(
    ("name", "filter_seen"),
    [*((name, False) for name in RANKINGS), ("most popular", True), ("item-item cosine", True)],
)
def test_it_ranks_as_the_baseline_was_measured(name: str, *, filter_seen: bool) -> None:
    """Of every user NDCG is that of the baseline, as the new model and as the live one."""
    model, tonight = model_of(filter_seen=filter_seen)
    log = tonight.before.interactions
    found = measured(as_baseline(model, name, log), tonight)
    expected = measured(model, tonight).evaluations[name].per_user[MEASURE]
    for mine in (found.evaluations[MODEL], found.champion):
        assert mine is not None
        got = mine.per_user[MEASURE]
        assert np.nanmean(np.abs(got - expected)) < 2e-3


@pytest.mark.parametrize("name", RANKINGS)
def test_it_survives_the_bundle_and_the_index(name: str, tmp_path: Path) -> None:
    """Lists of the saved and opened bundle are those of the model, with a source that says so."""
    model, tonight = model_of(filter_seen=name != "own most frequent")
    baseline = as_baseline(model, name, tonight.before.interactions)
    bundle = save_model(baseline, tmp_path / "model", data_digests={})
    index = build_index(baseline, IndexConfig(), model_fingerprint=bundle.fingerprint, seed=0)
    index.save(tmp_path / "index")
    users = model.users.terms[:50]
    opened = load_recommender(tmp_path / "model", tmp_path / "index").recommend_table(users, K)
    assert opened.equals(Recommender(model=baseline, index=index).recommend_table(users, K))
    sources = {"popular": "popularity", "own": "own items", "item-item": "similar items"}
    assert set(opened["source"].to_pylist()) == {sources[RANKINGS[name]]}
    ranker = ChampionRanker.of(
        load_model(tmp_path / "model")[0], tonight.before, users=users, items=model.items
    )
    hidden = ranker.histories if model.selection.filter_seen else None
    lists, _ = ranker.rank(np.arange(50), k=K, train=hidden)
    assert opened["item_id"].combine_chunks().equals(model.items.lookup(lists.ravel()))


def beside(**rivals: Evaluation) -> Comparison:
    """A model of quality 0.3 beside rivals by the name of a baseline."""
    one = comparison(quality(500), None)
    named = {name.replace("_", " "): found for name, found in rivals.items()}
    return replace(one, evaluations={**one.evaluations, **named})


def test_on_a_first_night_the_best_baseline_that_is_clearly_ahead_goes_live() -> None:
    """Of two that are ahead the better; level ones, and ones that cannot be published, do not."""
    mine_U = quality(500)
    noise_U = np.random.default_rng(1).normal(scale=0.05, size=500)
    level = evaluation(mine_U + noise_U - noise_U.mean() + 1e-3)
    ahead, further = evaluation(mine_U * 1.1), evaluation(mine_U * 1.2)
    for rivals, expected in (
        ({"most_popular": ahead, "recently_popular": further}, "recently popular"),
        ({"most_popular": level}, None),
        ({"unheard_of": further}, None),
    ):
        found = baseline_to_publish(beside(**rivals), CONFIG, k=K, live=None)
        assert found == expected
    strict = replace(CONFIG, baselines="ahead")
    assert baseline_to_publish(beside(most_popular=level), strict, k=K, live=None) is not None
    ignored = replace(CONFIG, baselines="ignored")
    assert baseline_to_publish(beside(most_popular=further), ignored, k=K, live=None) is None


def test_a_live_baseline_stays_until_a_model_beats_it() -> None:
    """Level is not enough to take over; another baseline takes over where it is clearly better."""
    mine_U = quality(500)
    noise_U = np.random.default_rng(1).normal(scale=0.05, size=500)
    level, behind = evaluation(mine_U + noise_U - noise_U.mean()), evaluation(mine_U * 0.9)
    further = evaluation(mine_U * 1.2)
    live = "most popular"
    assert baseline_to_publish(beside(most_popular=level), CONFIG, k=K, live=live) == live
    assert baseline_to_publish(beside(most_popular=behind), CONFIG, k=K, live=live) is None
    both = beside(most_popular=level, recently_popular=further)
    assert baseline_to_publish(both, CONFIG, k=K, live=live) == "recently popular"


@pytest.mark.parametrize("num_users", [1, 5])
def test_with_too_little_to_measure_the_most_popular_items_go_live(num_users: int) -> None:
    """Of five users nothing can be said, so that the plain choice is made."""
    one = comparison(np.ones(num_users), None, baseline_U=np.zeros(num_users))
    assert baseline_to_publish(one, CONFIG, k=K, live=None) == "most popular"
    assert baseline_to_publish(one, CONFIG, k=K, live="item-item cosine") == "item-item cosine"
