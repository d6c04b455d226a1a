"""Lists of a shop where people buy the same items again: the model beside what each bought most.

    python benchmarks/groceries.py
    python benchmarks/groceries.py --interactions completejourney/interactions.parquet --k 20

A generated grocery log, or one of your own, is cut by time; lists may hold what a user had. Writes
a Markdown table of the last part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.datasets.dataset import ColumnsConfig, DataConfig, Dataset, FeaturesConfig
from recsys.datasets.loading import load_dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.datasets.synthetic.groceries import generate_groceries
from recsys.recommender.config import EvaluationConfig, RecommenderConfig
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.training import TrainingConfig

SPLIT = SplitConfig(kind="global_time", test_share=0.1, valid_share=0.1)


def main() -> None:
    """Print a row a ranker and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactions", type=Path)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    print(
        f"| seed | ranker | recall@{arguments.k} | ndcg@{arguments.k} | distinct items | weight |\n"
        "|---|---|---|---|---|---|"
    )
    for seed in arguments.seeds:
        for line in rows(measured(dataset_of(arguments, seed), arguments.k, seed), arguments.k):
            print(f"| {seed} | {line}", flush=True)


def dataset_of(arguments: argparse.Namespace, seed: int) -> Dataset:
    """The log of a file, or a generated one."""
    if arguments.interactions is not None:
        data = DataConfig(interactions=arguments.interactions)
        return load_dataset(data, ColumnsConfig(), FeaturesConfig())
    return generate_groceries(
        num_users=arguments.users, num_items=arguments.items, num_days=arguments.days, seed=seed
    )


def measured(dataset: Dataset, k: int, seed: int) -> Experiment:
    """The defaults, chosen and measured for lists that may hold what a user had."""
    config = RecommenderConfig(training=TrainingConfig(seed=seed))
    split = split_interactions(dataset.interactions, SPLIT, seed=seed)
    return run_experiment(dataset, split, config, EvaluationConfig(k=k), filter_seen=False)


def rows(experiment: Experiment, k: int) -> list[str]:
    """Each ranker's figures, as the end of a row of the table."""
    found = experiment.comparison
    if found is None:
        return []
    num_items = len(experiment.model.items)
    weight = experiment.selection.repeat_weight
    return [
        f"{name} | {one.overall[f'recall@{k}']:.4f} | {one.overall[f'ndcg@{k}']:.4f} | "
        f"{one.overall[f'coverage@{k}'] * num_items:.0f} | "
        f"{weight if name == next(iter(found.evaluations)) else '-'} |"
        for name, one in found.evaluations.items()
    ]


if __name__ == "__main__":
    main()
