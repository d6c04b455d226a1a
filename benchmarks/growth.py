"""How time and memory grow with the log, and where the sampled loss becomes the cheaper one.

    python benchmarks/growth.py

Generated logs of 25 interactions a user and 100 an item, whose popularity follows Zipf's law. Each
size and loss has a process of its own: one epoch of training with the rest of a fit, and the lists
of up to 100,000 users. Writes Markdown: a table, the exponents of the growth (least squares on
logarithms), and the sizes between which the losses change places.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LOSSES = ("softmax", "sampled_softmax")
USERS_TO_SCORE = 100_000
HEADER = (
    "| interactions | users | items | loss | epoch s | rest of the fit s | lists/s | peak MB |\n"
    "|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Print the table and what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 3e5, 1e6, 3e6, 1e7])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--one", help="a size and a loss, in this process: prints JSON")
    arguments = parser.parse_args()
    if arguments.one:
        size, loss = arguments.one.split()
        print(json.dumps(measure(int(size), loss, arguments.dim)))
        return
    print(f"{arguments.dim} dimensions:\n\n{HEADER}", flush=True)
    found: dict[str, list[dict[str, float]]] = {loss: [] for loss in LOSSES}
    for size in arguments.sizes:
        for loss in LOSSES:
            row = _measured_apart(int(size), loss, arguments.dim)
            found[loss].append(row)
            print(
                f"| {row['interactions']:,} | {row['users']:,} | {row['items']:,} | {loss} "
                f"| {row['epoch_s']:.1f} | {row['rest_s']:.1f} | {row['lists_per_s']:,.0f} "
                f"| {row['peak_mb']:,.0f} |",
                flush=True,
            )
    print(_exponents(found))
    print(_crossing(found))


def measure(num_interactions: int, loss: str, dim: int) -> dict[str, float]:
    """Fit for one epoch and write lists."""
    from recsys.datasets.synthetic.interactions import generate_interactions
    from recsys.recommender.config import IndexConfig, RecommenderConfig, TwoTowerConfig
    from recsys.recommender.fitting.select import default_selection
    from recsys.recommender.fitting.train import fit_recommender
    from recsys.recommender.lists.filters import Filters
    from recsys.recommender.lists.list_files import write_recommendations
    from recsys.recommender.serving import Recommender, build_index
    from recsys.training import TrainingConfig

    log = generate_interactions(
        num_users=num_interactions // 25, num_items=num_interactions // 100,
        num_interactions=num_interactions, num_clusters=50, seed=0,
    )  # fmt: skip
    config = RecommenderConfig(
        model=TwoTowerConfig(embedding_dim=dim, loss=loss), training=TrainingConfig(num_epochs=1)
    )
    started = time.perf_counter()
    model, epochs = fit_recommender(log.dataset, config, default_selection(config))
    fit_s = time.perf_counter() - started
    index = build_index(model, IndexConfig(), model_fingerprint="0" * 64, seed=0)
    users = model.users.terms[:USERS_TO_SCORE]
    filters = Filters(num_items=len(model.items), seen=model.histories[: len(users)])
    lists = Recommender(model=model, index=index).recommend(users, k=20, filters=filters)
    with tempfile.TemporaryDirectory() as folder:
        summary = write_recommendations(
            Path(folder) / "lists.parquet", lists, user_id_type=users.type, item_ids=model.items
        )
    return {
        "interactions": model.histories.nnz,
        "users": len(model.users),
        "items": len(model.items),
        "epoch_s": epochs[0].duration_s,
        "rest_s": fit_s - epochs[0].duration_s,
        "lists_per_s": summary.lists_per_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _measured_apart(size: int, loss: str, dim: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", f"{size} {loss}", "--dim", str(dim)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _exponents(found: dict[str, list[dict[str, float]]]) -> str:
    lines = ["\nGrowth with the number of interactions, as its power:\n"]
    for loss, rows in found.items():
        sizes = [row["interactions"] for row in rows]
        powers = {
            "epoch": _power(sizes, [row["epoch_s"] for row in rows]),
            "rest of the fit": _power(sizes, [row["rest_s"] for row in rows]),
            "time of a list": _power(sizes, [1 / row["lists_per_s"] for row in rows]),
            "memory": _power(sizes, [row["peak_mb"] for row in rows]),
        }
        shown = ", ".join(f"{name} {power:.2f}" for name, power in powers.items())
        lines.append(f"- {loss}: {shown}")
    return "\n".join(lines)


def _power(sizes: list[float], values: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _crossing(found: dict[str, list[dict[str, float]]]) -> str:
    """Where the ratio of the two epochs passes 1, between two sizes."""
    items = [row["items"] for row in found["softmax"]]
    ratios = [
        math.log(exact["epoch_s"] / sampled["epoch_s"])
        for exact, sampled in zip(*(found[loss] for loss in LOSSES), strict=True)
    ]
    for place in range(len(items) - 1):
        if ratios[place] < 0 <= ratios[place + 1]:
            share = -ratios[place] / (ratios[place + 1] - ratios[place])
            low, high = math.log(items[place]), math.log(items[place + 1])
            where = math.exp(low + share * (high - low))
            return f"\nThe sampled softmax becomes cheaper at about {where:,.0f} items."
    cheaper = LOSSES[ratios[-1] > 0]
    return f"\nThe {cheaper} was the cheaper one at the largest size; the losses did not cross."


if __name__ == "__main__":
    main()
