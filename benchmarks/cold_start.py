"""Users who were not there in training: lists from their features, against the same without them.

    python benchmarks/cold_start.py --data data/raw

MovieLens-1M (`ml-1m/` in the folder). A tenth of the users is left out of training with all that
they did; each of them is then ranked the catalogue for, first knowing nothing but gender, age and
occupation, then with their first films too. A model without features gives newcomers what is
popular. Settings are chosen within the train part. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.recommender.config import load_job_config
from recsys.datasets.dataset import Dataset
from recsys.datasets.loading import load_dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.features.history import history_matrix, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import RecommenderConfig
from recsys.recommender.evaluation.metrics import (
    hit_matrix,
    ndcg_at_k,
    recall_at_k,
    relevant_counts,
)
from recsys.recommender.fitting.select import select_settings
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.by_source import POPULARITY
from recsys.recommender.ranking.topk import masked_top_k
from recsys.schema import USER_ID
from recsys.training import TrainingConfig

K = 20
NUM_FIRST = (0, 1, 3, 10)
CONFIG = Path(__file__).resolve().parents[1] / "pipelines/configs/movielens-1m.toml"


def main() -> None:
    """Print a row for each number of films known and each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    folder = arguments.data / "ml-1m"
    if not folder.is_dir():
        print(f"skipped MovieLens-1M: no {folder}", file=sys.stderr)
        return
    settings = load_job_config(CONFIG)
    paths = {name: folder / f"{name}.parquet" for name in ("interactions", "users", "items")}
    whole = load_dataset(replace(settings.data, **paths), settings.columns, settings.features)
    print("| films known | features | seed | recall@20 | ndcg@20 |\n|---|---|---|---|---|")
    for seed in arguments.seeds:
        train, newcomers = _apart(whole, seed)
        for name, data in (("yes", train), ("no", _bare(train))):
            model = _fitted(data, seed)
            for num_first, recall, ndcg in _measured(model, newcomers, whole.users):
                print(f"| {num_first} | {name} | {seed} | {recall:.4f} | {ndcg:.4f} |", flush=True)


def _apart(whole: Dataset, seed: int) -> tuple[Dataset, pa.Table]:
    """The log without a tenth of the users, and what those did."""
    users = Vocabulary.fit(whole.interactions[USER_ID]).terms
    rng = np.random.default_rng(seed)
    chosen = users.take(pa.array(np.sort(rng.choice(len(users), len(users) // 10, replace=False))))
    new = pc.is_in(whole.interactions[USER_ID], value_set=chosen)
    return (
        replace(whole, interactions=whole.interactions.filter(pc.invert(new))),
        whole.interactions.filter(new),
    )


def _bare(data: Dataset) -> Dataset:
    """The same without features of users; those of items stay."""
    return replace(data, features=replace(data.features, users={}))


def _fitted(data: Dataset, seed: int) -> RecommenderModel:
    config = RecommenderConfig(training=TrainingConfig(seed=seed))
    rule = SplitConfig(kind="random", test_share=0)
    split = split_interactions(data.interactions, rule, seed=seed)
    train, valid = replace(data, interactions=split.train), split.valid
    selection, _, _ = select_settings(train, valid, config, k=K)
    return fit_recommender(data, config, selection)[0]


def _measured(
    model: RecommenderModel, log: pa.Table, table: pa.Table | None
) -> Iterator[tuple[int, float, float]]:
    """Quality on what newcomers did after their first films."""
    users = Vocabulary.fit(log[USER_ID])
    placed = history_matrix(log, users=users, items=model.items, ordered=True)
    everything = user_item_matrix(log, users=users, items=model.items)
    for num_first in NUM_FIRST:
        known, later = everything.copy(), everything.copy()
        known.data = (placed.data <= num_first).astype(np.float32)
        later.data = (placed.data > max(NUM_FIRST)).astype(np.float32)
        known.eliminate_zeros()
        later.eliminate_zeros()
        queries, sources = model.embed_users(users.terms, histories=known, user_table=table)
        items = model.item_vectors()
        if num_first == 0 and np.all(np.asarray(sources) == POPULARITY):
            queries, items = np.ones((len(queries), 1), np.float32), model.log_popularity[:, None]
        lists, _ = masked_top_k(queries, items, K, excluded=known)
        counts = relevant_counts(later)
        hits = hit_matrix(lists, later)
        yield (
            num_first,
            float(np.nanmean(recall_at_k(hits, counts, k=K))),
            float(np.nanmean(ndcg_at_k(hits, counts, k=K))),
        )


if __name__ == "__main__":
    main()
