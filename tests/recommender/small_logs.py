"""Small logs with a planted truth and settings that train on them within a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from recsys.arrays import Int64Array
from recsys.datasets.dataset import Dataset, FeaturesConfig
from recsys.datasets.synthetic.interactions import SyntheticLog, generate_interactions
from recsys.features.history import UserItemMatrix
from recsys.recommender.config import RecommenderConfig, TwoTowerConfig
from recsys.recommender.evaluation import metrics
from recsys.training import TrainingConfig


def clustered_log(seed: int = 0, **sizes: float) -> SyntheticLog:
    """500 users of 8 clusters with 16 interactions each, on average, with 200 items."""
    usual = {"num_users": 500, "num_items": 200, "num_interactions": 8000, "num_clusters": 8}
    return generate_interactions(**(usual | sizes), seed=seed)


def without_features(dataset: Dataset) -> Dataset:
    """The same interactions of users and items that nothing else is known of."""
    return replace(dataset, users=None, items=None, features=FeaturesConfig())


def small_config(
    training: Mapping[str, object] | None = None, **model: object
) -> RecommenderConfig:
    """32 dimensions in float32, without the start from singular vectors."""
    usual = {
        "embedding_dim": 32,
        "num_heads": 1,
        "prefix_dims": (),
        "hidden_dims": (32,),
        "num_uniform_negatives": 64,
        "warm_start": False,
        "temperature": 0.1,
        "propagation": 0.0,
        "history_dropout": 0.3,
        "user_embedding": False,
    }
    loop = {"num_epochs": 6, "precision": "float32", "device": "cpu"} | dict(training or {})
    return RecommenderConfig(
        model=TwoTowerConfig(**(usual | model)), training=TrainingConfig(**loop)
    )


def part(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows of a table where the mask is true."""
    return table.filter(pa.array(mask))


def quality(lists_UK: Int64Array, relevant: UserItemMatrix) -> dict[str, float]:
    """Mean recall and NDCG of lists over the users with relevant items."""
    hits_UK = metrics.hit_matrix(lists_UK, relevant)
    counts_U = metrics.relevant_counts(relevant)
    k = lists_UK.shape[1]
    return {
        "recall": float(np.nanmean(metrics.recall_at_k(hits_UK, counts_U, k=k))),
        "ndcg": float(np.nanmean(metrics.ndcg_at_k(hits_UK, counts_U, k=k))),
    }
