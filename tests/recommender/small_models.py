"""Small fitted models for tests of what comes after training, made once a process."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from recsys.datasets.columns.ids import IdType
from recsys.datasets.dataset import Dataset, FeatureConfig, FeaturesConfig
from recsys.datasets.synthetic.interactions import SYNTHETIC_FEATURES, generate_interactions
from recsys.recommender.config import RecommenderConfig, TwoTowerConfig
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import RecommenderModel, Selection
from recsys.training import TrainingConfig

CONFIG = RecommenderConfig(
    model=TwoTowerConfig(embedding_dim=16, prefix_dims=(8,), hidden_dims=(16,)),
    training=TrainingConfig(num_epochs=2),
)
"""Settings that train within a second."""

SELECTION = Selection(
    num_epochs=2,
    popularity_half_life_days=20.0,
    training_half_life_days=80.0,
    popularity_weight=0.5,
    temperature=0.1,
    propagation=0.2,
    history_dropout=0.3,
    embedding_dim=16,
)
"""A choice in which popularity has a weight."""

_NUM_USERS, _NUM_ITEMS = 80, 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A model and the tables that it was fitted on."""

    model: RecommenderModel
    dataset: Dataset


@functools.cache
def small_dataset(id_type: IdType = "int64") -> Dataset:
    """Users and items with features of all four kinds, a tenth of them null."""
    log = generate_interactions(
        num_users=_NUM_USERS,
        num_items=_NUM_ITEMS,
        num_interactions=1200,
        num_clusters=4,
        seed=3,
        id_type=id_type,
    ).dataset
    rng = np.random.default_rng(0)
    hobbies = [None if i % 10 == 0 else [f"hobby-{i % 3}"] * (i % 4) for i in range(_NUM_USERS)]
    vectors = pa.FixedSizeListArray.from_arrays(
        rng.normal(size=_NUM_USERS * 4).astype(np.float32), 4
    )
    users = log.users.append_column("hobbies", pa.array(hobbies, pa.list_(pa.string())))
    users = users.append_column("taste", vectors)
    features = FeaturesConfig(
        users={
            **SYNTHETIC_FEATURES.users,
            "hobbies": FeatureConfig(kind="multi_hot"),
            "taste": FeatureConfig(kind="dense"),
        },
        items=SYNTHETIC_FEATURES.items,
    )
    items = pa.table(
        {
            name: _with_nulls(log.items[name]) if name in features.items else log.items[name]
            for name in log.items.column_names
        }
    )
    return replace(log, users=users, items=items, features=features)


def _with_nulls(column: pa.ChunkedArray) -> pa.Array:
    values = column.to_pylist()
    return pa.array([None if i % 10 == 3 else one for i, one in enumerate(values)], column.type)


@functools.cache
def fitted(
    id_type: IdType = "int64", *, features: bool = True, user_embedding: bool = False
) -> Fitted:
    """A model of the small dataset, with everything a model can have or with histories alone."""
    dataset = small_dataset(id_type)
    if not features:
        dataset = replace(dataset, users=None, items=None, features=FeaturesConfig())
    model = replace(CONFIG.model, user_embedding=user_embedding)
    return Fitted(
        model=fit_recommender(dataset, replace(CONFIG, model=model), SELECTION)[0], dataset=dataset
    )
