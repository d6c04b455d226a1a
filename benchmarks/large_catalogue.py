"""Train on a generated log with a large catalogue and report what the build says of its index.

    python benchmarks/large_catalogue.py --items 250000

The catalogue is above `model.exact_max_items`, so the loss is the sampled softmax, and above
`index.exact_max_items`, so the index is approximate. Item popularity follows Zipf's law.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

from recsys.config import config_to_dict
from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import RecommenderConfig, TrainingCallbacks, fit_recommender
from recsys.recommender.index import IndexConfig
from recsys.recommender.serving import build_index
from recsys.recommender.towers.two_tower import TwoTowerConfig
from recsys.training import TrainingConfig


def main() -> None:
    """Train, index, report as JSON."""
    arguments = _arguments()
    log = generate_interactions(
        num_users=arguments.users,
        num_items=arguments.items,
        num_interactions=arguments.interactions,
        num_clusters=200,
        seed=0,
    )
    config = RecommenderConfig(
        model=TwoTowerConfig(embedding_dim=64, prefix_dims=(32,)),
        training=TrainingConfig(num_epochs=arguments.epochs),
    )
    callbacks = TrainingCallbacks(on_epoch=lambda epoch: print(epoch, file=sys.stderr))
    started = time.perf_counter()
    model, _ = fit_recommender(log.dataset, config, default_selection(config), callbacks=callbacks)
    fitted = time.perf_counter()
    index = build_index(model, IndexConfig(), model_fingerprint="0" * 64, seed=0)
    report = {
        "items": len(model.items),
        "users": len(model.users),
        "interactions": log.dataset.interactions.num_rows,
        "fit_s": fitted - started,
        "index": config_to_dict(index.report),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }
    print(json.dumps(report, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=3_000_000)
    parser.add_argument("--epochs", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
