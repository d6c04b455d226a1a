"""Training finds planted truths, can be repeated, and takes the smallest logs there are."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from small_logs import clustered_log, part, quality, small_config, without_features

from recsys.datasets.dataset import ColumnsConfig, DataConfig, Dataset, FeaturesConfig
from recsys.datasets.loading import load_dataset
from recsys.datasets.splits import Split, SplitConfig, split_interactions
from recsys.errors import TrainingError
from recsys.features.history import user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import RecommenderConfig, TwoTowerConfig
from recsys.recommender.evaluation.baselines import MostPopular
from recsys.recommender.fitting.list_weights import POPULARITY_WEIGHTS
from recsys.recommender.fitting.select import default_selection, select_settings
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import FEATURES, HISTORY, RecommenderModel
from recsys.recommender.ranking.topk import masked_top_k
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID, WEIGHT
from recsys.training import EpochResult

K = 20
MOVIELENS = Path(__file__).parents[3] / "shared" / "data" / "ml-1m"
EXACT_AND_SAMPLED = pytest.mark.parametrize("loss", ["softmax", "sampled_softmax"])


def fitted(data: Dataset, config: RecommenderConfig) -> RecommenderModel:
    """A model with default settings."""
    return fit_recommender(data, config, default_selection(config))[0]


def halves(dataset: Dataset, *, seed: int = 0) -> Split:
    """A third of each user's interactions to test on, at random: clusters do not change."""
    rule = SplitConfig(kind="random", test_share=1 / 3, valid_share=0)
    return split_interactions(dataset.interactions, rule, seed=seed)


def against_popularity(
    model: RecommenderModel, test: pa.Table, width: int | None = None
) -> dict[str, float]:
    """Quality of a model's lists for users it knows, over that of the most popular items."""
    relevant = user_item_matrix(test, users=model.users, items=model.items)
    users, seen = np.arange(len(model.users)), model.histories
    queries, _ = model.embed_users(model.users.terms, width=width)
    mine = quality(masked_top_k(queries, model.item_vectors(width), K, excluded=seen)[0], relevant)
    popular = quality(MostPopular.fit(seen).rank(users, k=K, train=seen)[0], relevant)
    return {name: mine[name] / popular[name] for name in mine}


def weights_of(model: RecommenderModel) -> dict[str, torch.Tensor]:
    """All weights of the towers."""
    return model.towers.state_dict()


def assert_same_weights(left: RecommenderModel, right: RecommenderModel) -> None:
    """Equal in every bit."""
    ours, theirs = weights_of(left), weights_of(right)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name
    np.testing.assert_array_equal(left.item_embeddings, right.item_embeddings)


@EXACT_AND_SAMPLED
def test_training_finds_the_planted_clusters(loss: str) -> None:
    """From random vectors either loss gets lists far better than the most popular items."""
    log = without_features(clustered_log().dataset)
    split = halves(log)
    model = fitted(replace(log, interactions=split.train), small_config(loss=loss))
    ratio = against_popularity(model, split.test)
    assert ratio["recall"] > 1.3
    assert ratio["ndcg"] > 1.3


@EXACT_AND_SAMPLED
def test_users_unknown_to_training_get_good_lists_from_their_history(loss: str) -> None:
    """A user who was not there at training time is known by what they did, not by popularity."""
    log = without_features(clustered_log().dataset)
    unseen = np.asarray(log.interactions[USER_ID]) % 5 == 0
    train = replace(log, interactions=part(log.interactions, ~unseen))
    model = fitted(train, small_config(loss=loss))
    ratio = for_unseen_users(model, part(log.interactions, unseen), every_other_event)
    assert ratio["recall"] > 1.2
    assert ratio["ndcg"] > 1.2


def every_other_event(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """The first, third, fifth ... event of each user."""
    return ranks % 2 == 0


def earlier_half(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The first half of each user's events."""
    return ranks < counts / 2


def for_unseen_users(model: RecommenderModel, log: pa.Table, rule: object) -> dict[str, float]:
    """Quality of lists made from some events for the others, over that of popularity."""
    ordered = log.sort_by(EVENT_TIME)
    users = Vocabulary.fit(ordered[USER_ID])
    assert not (model.users.numbers(users.terms) >= 0).any()
    numbers = users.numbers(ordered[USER_ID])
    counts = np.bincount(numbers)
    order = np.argsort(numbers, kind="stable")
    ranks = np.empty_like(numbers)
    ranks[order] = np.arange(len(numbers)) - (np.cumsum(counts) - counts)[numbers[order]]
    before = rule(ranks, counts[numbers])
    sides = {"users": users, "items": model.items}
    histories = user_item_matrix(part(ordered, before), **sides)
    relevant = user_item_matrix(part(ordered, ~before), **sides)
    queries, sources = model.embed_users(users.terms, histories=histories)
    assert set(sources.to_pylist()) == {HISTORY}
    mine = quality(masked_top_k(queries, model.item_vectors(), K, excluded=histories)[0], relevant)
    popular = quality(
        MostPopular.fit(model.histories).rank(np.arange(len(users)), k=K, train=histories)[0],
        relevant,
    )
    return {name: mine[name] / popular[name] for name in mine}


@pytest.mark.skipif(not MOVIELENS.exists(), reason="MovieLens-1M is not there")
def test_unseen_users_of_movielens_get_better_lists_than_the_most_popular() -> None:
    """On real ratings: a fifth of the users is unknown to training, half of their events known."""
    log = load_dataset(
        DataConfig(interactions=MOVIELENS / "interactions.parquet"),
        ColumnsConfig(),
        FeaturesConfig(),
    )
    unseen = np.asarray(log.interactions[USER_ID]) % 5 == 0
    train = replace(log, interactions=part(log.interactions, ~unseen))
    config = small_config({"num_epochs": 3}, warm_start=True)
    model = fitted(train, config)
    others = part(log.interactions, unseen)
    mixed = for_unseen_users(model, others, every_other_event)
    assert mixed["recall"] > 1.8
    assert mixed["ndcg"] > 1.5
    assert for_unseen_users(model, others, earlier_half)["recall"] > 1.25


def test_users_with_features_alone_get_better_lists_than_the_most_popular() -> None:
    """A new user of whom only the segment is known gets the items of that segment."""
    log = clustered_log(popularity_exponent=0.2).dataset
    log = replace(log, items=None, features=replace(log.features, items={}))
    unseen = np.asarray(log.interactions[USER_ID]) % 5 == 0
    model = fitted(replace(log, interactions=part(log.interactions, ~unseen)), small_config())
    new = part(log.interactions, unseen)
    users = Vocabulary.fit(new[USER_ID])
    queries, sources = model.embed_users(users.terms, user_table=log.users)
    assert set(sources.to_pylist()) == {FEATURES}
    relevant = user_item_matrix(new, users=users, items=model.items)
    mine = quality(masked_top_k(queries, model.item_vectors(), K)[0], relevant)
    popular = MostPopular.fit(model.histories).rank(np.arange(len(users)), k=K, train=None)[0]
    assert mine["recall"] > 1.6 * quality(popular, relevant)["recall"]


def test_features_of_items_help_where_interactions_are_few() -> None:
    """With four interactions an item, knowing its category, tags and vector beats not knowing."""
    log = clustered_log(num_items=500, num_interactions=2000).dataset
    split = halves(log)
    train = replace(log, interactions=split.train)
    with_features = replace(train, features=replace(log.features, users={}))
    known = against_popularity(fitted(with_features, small_config()), split.test)
    unknown = against_popularity(fitted(without_features(train), small_config()), split.test)
    assert known["recall"] > 1.4 * unknown["recall"]


def test_prefixes_that_were_trained_are_better_than_those_that_were_not() -> None:
    """The first 4 of 32 dimensions rank better if the loss has seen them alone (Matryoshka)."""
    log = without_features(clustered_log().dataset)
    split = halves(log)
    train = replace(log, interactions=split.train)
    trained = fitted(train, small_config({"num_epochs": 12}, prefix_dims=(4,)))
    untrained = fitted(train, small_config({"num_epochs": 12}))
    with_loss = against_popularity(trained, split.test, width=4)
    without = against_popularity(untrained, split.test, width=4)
    assert with_loss["ndcg"] > 1.3 * without["ndcg"]


@EXACT_AND_SAMPLED
def test_the_same_seed_trains_the_same_model(loss: str) -> None:
    """Two fits agree in every bit, whatever was drawn in between; another seed gives another."""
    log = clustered_log(num_interactions=2000).dataset
    config = small_config({"num_epochs": 2}, loss=loss, warm_start=True, user_embedding=True)
    first = fitted(log, config)
    torch.rand(3), np.random.default_rng().random(3)
    assert_same_weights(first, fitted(log, config))
    other = fitted(log, replace(config, training=replace(config.training, seed=1)))
    assert not np.array_equal(first.item_embeddings, other.item_embeddings)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    """The global generator of torch stands where it stood before the fit."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fitted(clustered_log(num_interactions=1000).dataset, small_config({"num_epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


def test_a_refit_with_the_settings_chosen_gives_the_model_that_was_chosen() -> None:
    """The number of epochs found with validation, run without it, ends in the same weights."""
    log = clustered_log().dataset
    split = split_interactions(log.interactions, SplitConfig(test_share=0), seed=0)
    train = replace(log, interactions=split.train)
    config = small_config({"num_epochs": 12, "learning_rate": 0.03, "patience": 2})
    selection, chosen, epochs = select_settings(train, split.valid, config)
    assert selection.num_epochs < len(epochs) <= 12  # training went on past the best epoch
    again, _ = fit_recommender(train, config, selection)
    assert_same_weights(chosen, again)
    assert chosen.selection == selection


def test_the_weight_of_popularity_is_the_best_on_the_validation_part() -> None:
    """No other weight of the list gives the validation users better lists, nor does a smaller."""
    log = clustered_log().dataset
    split = split_interactions(log.interactions, SplitConfig(test_share=0), seed=0)
    train = replace(log, interactions=split.train)
    selection, model, _ = select_settings(train, split.valid, small_config())
    sample = ValidationSample.draw(
        split.valid, users=model.users, items=model.items, histories=model.histories, k=K, seed=0
    )
    settings = [replace(selection, popularity_weight=weight) for weight in POPULARITY_WEIGHTS]
    found = {
        tried.popularity_weight: sample.quality(replace(model, selection=tried))
        for tried in settings
    }
    best = max(found.values())
    assert selection.popularity_weight == min(w for w, value in found.items() if value == best)
    assert best > found[0.0]  # the planted popularity is worth something


def test_without_known_users_in_the_validation_part_nothing_is_chosen() -> None:
    """All epochs, no ageing, no popularity: settings for a log whose users never come back."""
    log = clustered_log(num_interactions=1000).dataset
    strangers = pa.table(
        {USER_ID: [10**6, 10**6 + 1], ITEM_ID: [1, 2]}
        | {EVENT_TIME: pa.array([0, 1], pa.int64()).cast(EVENT_TIME_TYPE)}
    )
    config = small_config({"num_epochs": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        selection, model, epochs = select_settings(log, strangers, config)
    assert selection == default_selection(config)
    assert [epoch.validation for epoch in epochs] == [None, None]
    assert_same_weights(model, fitted(log, config))


def log_of(users: list[int], items: list[int], **columns: list[float]) -> Dataset:
    """Interactions of one moment."""
    times = pa.array([0] * len(users), pa.int64()).cast(EVENT_TIME_TYPE)
    table = pa.table({USER_ID: users, ITEM_ID: items, EVENT_TIME: times})
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float32()))
    return replace(without_features(clustered_log(num_users=1).dataset), interactions=table)


PAIRS = list(itertools.product(range(12), range(5)))[::2]
SMALLEST = {
    "one user and one item": log_of([1], [1]),
    "one user": log_of([1] * 4, [1, 2, 3, 4]),
    "one item": log_of([1, 2, 3], [7] * 3),
    "fewer items than dimensions": log_of(*(list(side) for side in zip(*PAIRS, strict=True))),
    "the same event many times": log_of([1, 1, 1, 2], [1, 1, 1, 2]),
    "weights of 0": log_of([1, 1, 2, 2], [1, 2, 2, 3], **{WEIGHT: [0.0] * 4}),
    "some weights of 0": log_of([1, 1, 2, 2], [1, 2, 2, 3], **{WEIGHT: [0.0, 0.0, 1.0, 1e6]}),
    "huge weights": log_of([1, 1, 2, 2], [1, 2, 2, 3], **{WEIGHT: [1e30, 1.0, 1e30, 1e-30]}),
}


@EXACT_AND_SAMPLED
@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_logs_train(name: str, loss: str) -> None:
    """Logs without variety give finite unit vectors and no warning, with and without ageing."""
    log = SMALLEST[name]
    config = small_config(
        {"num_epochs": 2}, loss=loss, warm_start=True, user_embedding=True, prefix_dims=(8, 16)
    )
    ageing = replace(
        default_selection(config), popularity_half_life_days=1.0, training_half_life_days=1e-3
    )
    for selection in (default_selection(config), ageing):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model, epochs = fit_recommender(log, config, selection)
        queries, _ = model.embed_users(model.users.terms)
        for vectors in (model.item_embeddings, queries):
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
        assert np.isfinite(model.log_popularity).all()
        assert all(np.isfinite(epoch.loss) for epoch in epochs)


def test_events_of_long_ago_do_not_count_when_they_age() -> None:
    """With a short half-life in the loss, training follows what users did last, not most."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 24)
    # Early on users take items of the group of their number, at the end of the other group.
    late = np.tile(np.arange(24) >= 18, 60)
    groups = (users + late) % 2
    items = rng.integers(10, size=len(users)) * 2 + groups
    times = pa.array(np.where(late, 100, 0) * 86_400_000_000).cast(EVENT_TIME_TYPE)
    table = pa.table({USER_ID: users, ITEM_ID: items, EVENT_TIME: times})
    log = replace(log_of([1], [1]), interactions=table)
    config = small_config(
        {"num_epochs": 20, "batch_size": 10}, history_dropout=0.0, newcomer_share=0.0
    )
    share_of_new_group = {}
    for half_life in (None, 5.0):
        selection = replace(default_selection(config), training_half_life_days=half_life)
        model, _ = fit_recommender(log, config, selection)
        queries, _ = model.embed_users(model.users.terms)
        lists = masked_top_k(queries, model.item_vectors(), 5)[0]
        chosen = np.asarray(model.items.lookup(lists.ravel())).reshape(lists.shape)
        new_group = (np.arange(60)[:, None] + 1) % 2
        share_of_new_group[half_life] = (chosen % 2 == new_group).mean()
    assert share_of_new_group[5.0] > 0.75
    assert share_of_new_group[None] < 0.5


def test_a_rate_that_explodes_is_an_error_with_a_remedy() -> None:
    """Steps of 1e38 spoil the weights; the fit says so instead of returning them."""
    log = clustered_log(num_interactions=1000).dataset
    with pytest.raises(TrainingError, match=r"lower training\.learning_rate"):
        fitted(log, small_config({"learning_rate": 3e38, "num_epochs": 3}))


def test_epochs_tell_of_interactions() -> None:
    """Progress counts interactions: an epoch's speed times its time is their number."""
    log = without_features(clustered_log(num_interactions=1000).dataset)
    _, epochs = fit_recommender(log, config := small_config(), default_selection(config))
    pairs = len(log.interactions.select([USER_ID, ITEM_ID]).group_by([USER_ID, ITEM_ID])
                .aggregate([]))  # fmt: skip

    def examples(epoch: EpochResult) -> float:
        return epoch.examples_per_s * epoch.duration_s

    assert [round(examples(epoch)) for epoch in epochs] == [pairs] * 6


def test_settings_are_searched_and_the_time_budget_is_kept_to() -> None:
    """What the config leaves open is chosen; with hardly any time one narrow trial chooses."""
    log = without_features(clustered_log().dataset)
    split = split_interactions(
        log.interactions, SplitConfig(kind="random", test_share=0, valid_share=0.2), seed=0
    )
    train = replace(log, interactions=split.train)
    config = small_config(
        {"num_epochs": 3}, temperature=None, propagation=None, history_dropout=None
    )
    reported: list[str] = []
    callbacks = TrainingCallbacks(on_stage=reported.append)
    selection, model, _ = select_settings(train, split.valid, config, callbacks=callbacks)
    assert len(reported) >= 5
    assert any(stage.endswith("history dropout 0") for stage in reported)
    assert all(stage.startswith("trying temperature") for stage in reported)
    assert model.selection == selection
    reported.clear()
    hurried = replace(
        config,
        model=replace(config.model, embedding_dim=160),
        training=replace(config.training, time_budget_s=1e-3),
    )
    selection, model, epochs = select_settings(train, split.valid, hurried, callbacks=callbacks)
    assert len(reported) == 1
    assert selection.embedding_dim == model.config.embedding_dim == 128
    assert len(epochs) == 1
    fitted_model, epochs = fit_recommender(train, hurried, selection, budget_s=1e-3)
    assert len(epochs) == 1
    assert fitted_model.item_vectors().shape[1] == 128 + bool(fitted_model.popularity_coordinate)


def test_what_was_chosen_for_histories_is_what_training_sees() -> None:
    """The share of the selection counts, whatever the config leaves open."""
    log = without_features(clustered_log(num_interactions=1000).dataset)
    config = small_config({"num_epochs": 1}, history_dropout=None, newcomer_share=0.0)
    start = default_selection(config)
    seen_all, seen_half, again = (
        fit_recommender(log, config, replace(start, history_dropout=share))[0]
        for share in (0.0, 0.5, 0.0)
    )
    assert_same_weights(seen_all, again)
    assert not np.array_equal(seen_all.item_embeddings, seen_half.item_embeddings)


def test_users_have_vectors_of_their_own_where_they_are_not_too_many() -> None:
    """Unless the config says it."""
    few, many = 100_000, 100_001
    assert TwoTowerConfig().for_users(few).user_embedding is True
    assert TwoTowerConfig().for_users(many).user_embedding is False
    for reported in (True, False):
        assert TwoTowerConfig(user_embedding=reported).for_users(many).user_embedding is reported
