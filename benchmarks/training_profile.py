"""Where the time of training goes, and how far it is from the processor's matrix products.

    python benchmarks/training_profile.py --data data/raw

One epoch with the default settings on Gowalla (`gowalla/train.parquet` in the folder), or on a
generated log of about its size; some steps of it are profiled. The limit is the speed of one
product of a batch's queries with the catalogue, in the type that training uses and in float32,
measured in the same process; a step needs three such products at least. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from pipelines.jobs.process import tune_process
from recsys.datasets.dataset import DataConfig, Dataset
from recsys.datasets.loading import load_dataset
from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.recommender.config import RecommenderConfig, TwoTowerConfig
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.model import RecommenderModel
from recsys.training import (
    BatchProgress,
    EpochResult,
    TrainingConfig,
    choose_device,
    choose_precision,
)

FIRST, LAST = 5, 25
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "softmax": ("aten::_softmax", "aten::exp", "aten::logsumexp"),
    "sums over histories and users": ("embedding", "_sparse", "sparse"),
    "optimizer": ("aten::_fused_adam", "aten::_foreach"),
    "copies and conversions of type": ("aten::copy_",),
}


def main() -> None:
    """Print where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--dim", type=int, default=256)
    arguments = parser.parse_args()
    tune_process()
    data = _data(arguments.data / "gowalla" / "train.parquet")
    config = RecommenderConfig(
        model=TwoTowerConfig(embedding_dim=arguments.dim), training=TrainingConfig(num_epochs=1)
    )
    watch = Watch()
    callbacks = TrainingCallbacks(on_batch=watch.batch)
    started = time.perf_counter()
    model, epochs = fit_recommender(data, config, default_selection(config), callbacks=callbacks)
    fit_s = time.perf_counter() - started
    print("| part of a step | share |\n|---|---|")
    for kind, share in watch.shares().most_common():
        print(f"| {kind} | {share:.0%} |")
    _print_limit(model, epochs[0], watch, fit_s)


class Watch:
    """Profiles some steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.seconds = 0.0
        self._profiler = profile(activities=[ProfilerActivity.CPU])
        self._started = 0.0

    def batch(self, progress: BatchProgress) -> None:  # noqa: ARG002  the callback's argument
        """After each batch."""
        self.steps += 1
        if self.steps == FIRST:
            self._started = time.perf_counter()
            self._profiler.__enter__()
        if self.steps == LAST:
            self.seconds = time.perf_counter() - self._started
            self._profiler.__exit__(None, None, None)

    def shares(self) -> Counter[str]:
        """Share of the processor's time by kind of work."""
        spent: Counter[str] = Counter()
        for event in self._profiler.key_averages():
            spent[_kind(event.key)] += event.self_cpu_time_total
        return Counter({kind: time / spent.total() for kind, time in spent.items()})


def _kind(operation: str) -> str:
    for kind, names in KINDS.items():
        if any(
            operation == name or (not name.startswith("aten") and name in operation)
            for name in names
        ):
            return kind
    return "element by element, and the rest"


def _print_limit(model: RecommenderModel, epoch: EpochResult, watch: Watch, fit_s: float) -> None:
    num_users, num_items = model.histories.shape
    rows, width = num_users // watch.steps, model.config.embedding_dim
    step_s = epoch.duration_s / watch.steps
    flop = 3 * 2 * rows * num_items * width
    precision = choose_precision("auto", choose_device("cpu"))
    print("\n| what | GFLOP/s | share of the limit |\n|---|---|---|")
    limit = _product_speed(rows, num_items, width, precision)
    print(f"| one product in {str(precision).removeprefix('torch.')} | {limit / 1e9:,.0f} | 100% |")
    single = _product_speed(rows, num_items, width, torch.float32)
    print(f"| one product in float32 | {single / 1e9:,.0f} | {single / limit:.0%} |")
    print(f"| training, by the three products | {flop / step_s / 1e9:,.0f} "
          f"| {flop / step_s / limit:.0%} |")  # fmt: skip
    print(
        f"\n{watch.steps} steps of {rows} users, {num_items:,} items, {width} dimensions: "
        f"{step_s * 1e3:.0f} ms a step, {epoch.duration_s:.1f} s an epoch, "
        f"{fit_s - epoch.duration_s:.1f} s before and after it."
    )


def _product_speed(rows: int, columns: int, width: int, dtype: torch.dtype) -> float:
    """FLOP a second of the product, the best of some."""
    left, right = torch.randn(rows, width).to(dtype), torch.randn(columns, width).to(dtype)
    out = torch.empty(rows, columns, dtype=dtype)
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        torch.mm(left, right.T, out=out)
        seconds.append(time.perf_counter() - started)
    return 2 * rows * columns * width / min(seconds)


def _data(path: Path) -> Dataset:
    if path.is_file():
        return load_dataset(DataConfig(interactions=path))
    print(f"no {path}: a generated log", file=sys.stderr)
    return generate_interactions(
        num_users=30_000, num_items=41_000, num_interactions=900_000, num_clusters=200, seed=0
    ).dataset


if __name__ == "__main__":
    main()
