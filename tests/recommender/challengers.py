"""A live model of a small log, and challengers good and bad, each fitted once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from small_logs import clustered_log, small_config, without_features

from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.features.history import history_matrix
from recsys.recommender.config import EvaluationConfig, RecommenderConfig
from recsys.recommender.evaluation.holdout import Comparison, compare
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import RecommenderModel, Selection
from recsys.schema import ITEM_ID

K = 10
EVALUATION = EvaluationConfig(k=K)
SELECTION = Selection(
    num_epochs=6,
    popularity_half_life_days=None,
    training_half_life_days=None,
    popularity_weight=0.0,
    temperature=0.2,
    propagation=0.0,
    history_dropout=0.3,
    embedding_dim=32,
)

Make = Callable[[int], RecommenderModel]
"""Makes a challenger from a seed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallNight:
    """What a challenger is fitted and measured on."""

    before: Dataset
    """What is known before the test part."""
    test: pa.Table
    """What comes later."""


@functools.cache
def night(num_rows: int = 12_000) -> SmallNight:
    """The night on which the log has so many rows; test is a tenth of them."""
    log = clustered_log(num_users=600, num_items=200, num_interactions=12_000)
    data = without_features(log.dataset)
    rule = SplitConfig(test_share=0.1, valid_share=0)
    split = split_interactions(data.interactions.slice(0, num_rows), rule, seed=0)
    assert split.test is not None
    return SmallNight(before=replace(data, interactions=split.train), test=split.test)


@functools.cache
def champion() -> RecommenderModel:
    """The model of two weeks before."""
    return fit(night(10_000).before, seed=0)


def fit(
    data: Dataset,
    *,
    seed: int,
    config: RecommenderConfig | None = None,
    **selected: float,
) -> RecommenderModel:
    """A model with the usual settings, unless others are given."""
    config = config or small_config({"seed": seed}, warm_start=True)
    return fit_recommender(data, config, replace(SELECTION, **selected))[0]


def compared(model: RecommenderModel) -> Comparison:
    """A challenger, baselines and the live model as a night measures them."""
    tonight = night()
    return compare(model, tonight.before, tonight.test, EVALUATION, champion=champion())


@functools.cache
def honest(seed: int) -> RecommenderModel:
    """Tonight's model with the same settings and another seed."""
    return fit(night().before, seed=seed)


def with_items(model: RecommenderModel, item_embeddings: np.ndarray) -> RecommenderModel:
    """A model with other vectors of its items."""
    return replace(model, item_embeddings=item_embeddings.astype(np.float32))


def with_log(dataset: Dataset, items: pa.Array) -> Dataset:
    """A log whose events have other items."""
    log = dataset.interactions
    place = log.column_names.index(ITEM_ID)
    return replace(dataset, interactions=log.set_column(place, ITEM_ID, items))


def random_towers(seed: int) -> RecommenderModel:
    """Weights and item vectors drawn at random."""
    model, rng = honest(0), torch.Generator().manual_seed(seed)
    other = fit(night().before, seed=seed, num_epochs=1)
    for weights in other.towers.parameters():
        weights.data = torch.randn(weights.shape, generator=rng)
    vectors = torch.randn(model.item_embeddings.shape, generator=rng).numpy()
    return with_items(other, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def shuffled_vectors(seed: int) -> RecommenderModel:
    """Each item with the vector of another."""
    model = honest(0)
    order = np.random.default_rng(seed).permutation(len(model.items))
    return with_items(model, model.item_embeddings[order])


def collapsed_vectors(seed: int) -> RecommenderModel:
    """All items with one vector."""
    model = honest(0)
    one = model.item_embeddings[seed % len(model.items)]
    return with_items(model, np.tile(one, (len(model.items), 1)))


def hardly_trained(seed: int) -> RecommenderModel:
    """One epoch at a tiny learning rate."""
    config = small_config({"seed": seed, "learning_rate": 1e-6})
    return fit(night().before, seed=seed, config=config, num_epochs=1)


def trained_on_shuffled(seed: int) -> RecommenderModel:
    """Every event with the item of another one."""
    data = night().before
    order = np.random.default_rng(seed).permutation(data.interactions.num_rows)
    shuffled = with_log(data, data.interactions[ITEM_ID].combine_chunks().take(pa.array(order)))
    return fit(shuffled, seed=seed)


def trained_on_half_the_items(seed: int) -> RecommenderModel:
    """Events of a random half of the items alone."""
    data = night().before
    items = data.interactions[ITEM_ID].combine_chunks().dictionary_encode()
    kept = np.random.default_rng(seed).random(len(items.dictionary)) < 0.5
    rows = data.interactions.filter(pa.array(kept[items.indices.to_numpy()]))
    return fit(replace(data, interactions=rows), seed=seed)


def not_a_number(seed: int) -> RecommenderModel:
    """One weight or one vector that is not a number."""
    model = honest(0)
    if seed % 2:
        vectors = model.item_embeddings.copy()
        vectors[seed % len(vectors), 0] = np.nan
        return with_items(model, vectors)
    other = fit(night().before, seed=seed, num_epochs=1)
    other.towers.query.base.data[0] = np.nan
    return other


def leaked(seed: int) -> RecommenderModel:
    """Trained on the test part, with the histories of before, so that it can recommend it."""
    tonight = night()
    whole = pa.concat_tables([tonight.before.interactions, *[tonight.test] * 20])
    config = small_config({"seed": seed, "num_epochs": 40}, user_embedding=True)
    data = replace(tonight.before, interactions=whole)
    model = fit(data, seed=seed, config=config, num_epochs=40, temperature=0.05)
    histories = history_matrix(
        tonight.before.interactions, users=model.users, items=model.items, ordered=False
    )
    return replace(model, histories=histories)


def leaked_whole(seed: int) -> RecommenderModel:
    """Trained on everything, the test part included, as if there were no split."""
    tonight = night()
    whole = pa.concat_tables([tonight.before.interactions, tonight.test])
    return fit(replace(tonight.before, interactions=whole), seed=seed)


def negated(seed: int) -> RecommenderModel:
    """Scores with the wrong sign."""
    model = honest(seed % 3)
    return replace(model, item_propagated=-2 * model.item_embeddings)


def stale_popularity(seed: int) -> RecommenderModel:
    """What was popular in the first tenth of the log, the same for everybody."""
    model, data = honest(0), night().before
    log = data.interactions
    start = int(np.random.default_rng(seed).integers(log.num_rows // 5))
    early = log.slice(start, log.num_rows // 10)
    counts = np.bincount(model.items.numbers(early[ITEM_ID]), minlength=len(model.items))
    log_popularity = np.log((counts + 1) / counts.sum()).astype(np.float32)
    weight = replace(model.selection, popularity_weight=1e3)
    scale = float(np.abs(log_popularity).max())
    return replace(
        model,
        selection=weight,
        log_popularity=log_popularity / np.float32(scale),
        popularity_scale=scale,
    )


BAD: dict[str, Make] = {
    make.__name__: make
    for make in (
        random_towers,
        shuffled_vectors,
        collapsed_vectors,
        hardly_trained,
        trained_on_shuffled,
        trained_on_half_the_items,
        not_a_number,
        leaked,
        leaked_whole,
        negated,
        stale_popularity,
    )
}
"""Every kind of challenger that must not become live."""
