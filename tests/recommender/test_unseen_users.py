"""Users who were not there at training time get lists from their history, without retraining."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from recsys.datasets.dataset import ColumnsConfig, DataConfig, Dataset
from recsys.datasets.loading import load_dataset
from recsys.datasets.synthetic import generate_interactions
from recsys.features.history import UserItemMatrix, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.comparison import paired_difference
from recsys.recommender.experiment import default_selection
from recsys.recommender.metrics import Floats, hit_matrix, ndcg_at_k, relevant_counts
from recsys.recommender.model import HISTORY
from recsys.recommender.topk import Embeddings, masked_top_k
from recsys.recommender.train import RecommenderConfig, fit_recommender
from recsys.recommender.two_tower import TwoTowerConfig
from recsys.schema import USER_ID
from recsys.training import TrainingConfig

MOVIELENS = Path(__file__).parents[3] / "shared" / "data" / "ml-1m" / "interactions.parquet"
K = 20


def synthetic() -> Dataset:
    """A log in which users prefer items of their own cluster."""
    log = generate_interactions(
        num_users=1200, num_items=400, num_interactions=30_000, num_clusters=8, seed=0
    )
    return log.dataset


def movielens() -> Dataset:
    """MovieLens-1M, where it is at hand."""
    if not MOVIELENS.exists():
        pytest.skip(f"no MovieLens-1M at {MOVIELENS}")
    return load_dataset(DataConfig(interactions=MOVIELENS), ColumnsConfig())


def divided(log: pa.Table, share: float) -> tuple[pa.Table, pa.Table]:
    """Interactions of most users, and those of the others."""
    users = Vocabulary.fit(log[USER_ID])
    held_out = np.random.default_rng(0).random(len(users)) < share
    rows = held_out[users.numbers(log[USER_ID])]
    return log.filter(pa.array(~rows)), log.filter(pa.array(rows))


def halves(matrix: UserItemMatrix) -> Iterator[UserItemMatrix]:
    """A random half of the interactions of a matrix, and the other half."""
    first = np.random.default_rng(1).random(matrix.nnz) < 0.5
    for kept in (first, ~first):
        half = matrix.copy()
        half.data = kept.astype(np.float32)
        half.eliminate_zeros()
        yield half


def quality(
    queries: Embeddings, items: Embeddings, seen: UserItemMatrix, relevant: UserItemMatrix
) -> Floats:
    """NDCG of each user's list."""
    lists = masked_top_k(queries, items, K, excluded=seen)[0]
    return ndcg_at_k(hit_matrix(lists, relevant), relevant_counts(relevant), k=K)


@pytest.mark.parametrize("make", [synthetic, movielens])
def test_history_alone_beats_popularity_for_users_unseen_in_training(
    make: type[Dataset] | object,
) -> None:
    """Half of the events of unseen users rank the other half better than popularity does."""
    data: Dataset = make()  # type: ignore[operator]
    known, unseen = divided(data.interactions, share=0.1)
    config = RecommenderConfig(
        model=TwoTowerConfig(embedding_dim=32, prefix_dims=()),
        training=TrainingConfig(num_epochs=3),
    )
    bare = replace(data, interactions=known, users=None, items=None)
    model, _ = fit_recommender(bare, config, default_selection(config))
    users = Vocabulary.fit(unseen[USER_ID])
    seen, relevant = halves(user_item_matrix(unseen, users=users, items=model.items))

    queries, sources = model.embed_users(users.terms, histories=seen)
    found = quality(queries, model.item_vectors(), seen, relevant)
    popular: npt.NDArray[np.float32] = model.log_popularity[:, None]
    baseline = quality(np.ones((len(users), 1), np.float32), popular, seen, relevant)

    assert not np.isin(model.users.numbers(users.terms), np.arange(len(model.users))).any()
    active = np.diff(seen.indptr) > 0
    assert set(np.asarray(sources)[active]) == {HISTORY}
    assert paired_difference(found[active], baseline[active]).low > 0
