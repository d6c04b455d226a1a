"""The recommender beside its peers: one split, one machine, one table.

    pip install '.[peers]'
    python benchmarks/peers/compare.py --data data/raw

Each ranker has a process of its own, is tuned on the validation part by NDCG@20, fitted on all of
train, and measured on test; the recommender does all that by itself, and comes once with its
defaults and once for each `--budgets`. Splits: MovieTweetings by time, which comes with the
project, and Gowalla (the canonical LightGCN split as train, valid and test.parquet) where the
folder has it. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from methods import METHODS

from recsys.datasets.dataset import DataConfig
from recsys.datasets.loading import load_dataset
from recsys.datasets.splits import SplitConfig, split_interactions

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parents[1] / "data" / "sample" / "movietweetings_interactions.parquet"
HEADER = (
    "| ranker | recall@20 | ndcg@20 | tuning s | fit s | users/s | peak MB | settings |\n"
    "|---|---|---|---|---|---|---|---|"
)
PARTS = ("train", "valid", "test")


def main() -> None:
    """Print a table a split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--methods", nargs="*", choices=[*METHODS], default=[*METHODS])
    parser.add_argument("--budgets", type=float, nargs="*", default=[15, 60])
    parser.add_argument("--splits", nargs="+", default=["MovieTweetings", "Gowalla"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in _splits(arguments.data, Path(scratch)):
            if name not in arguments.splits:
                continue
            print(f"{name}:\n\n{HEADER}", flush=True)
            for method in arguments.methods:
                print(_peer(method, folder), flush=True)
            for budget in (*arguments.budgets, None):
                print(_own(folder, Path(scratch) / f"{name}-{budget}", budget), flush=True)
            print()


def _splits(data: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Names of splits and folders with their parts; valid is a part of train."""
    log = load_dataset(DataConfig(interactions=SAMPLE)).interactions
    by_time = split_interactions(log, SplitConfig(kind="global_time"), seed=0)
    last = split_interactions(log, SplitConfig(kind="global_time", valid_share=0), seed=0)
    folder = scratch / "movietweetings"
    folder.mkdir()
    for part, table in zip(PARTS, (last.train, by_time.valid, last.test), strict=True):
        pq.write_table(table, folder / f"{part}.parquet")
    yield "MovieTweetings", folder
    if (data / "gowalla").is_dir():
        yield "Gowalla", data / "gowalla"
    else:
        print(f"skipped Gowalla: no {data / 'gowalla'}", file=sys.stderr)


def _peer(method: str, folder: Path) -> str:
    if method.startswith("implicit"):
        try:
            import implicit  # noqa: F401
        except ImportError:
            return f"| {method} | not installed: pip install '.[peers]' | | | | | | |"
    command = [sys.executable, str(HERE / "measure.py"), "--method", method]
    try:
        found = json.loads(_output([*command, "--split", str(folder)]))
    except subprocess.CalledProcessError as error:
        return f"| {method} | failed with exit code {error.returncode} | | | | | | |"
    if "refusal" in found:
        return f"| {method} | {found['refusal']} | | | | | | |"
    settings = ", ".join(f"{name} {value:g}" for name, value in found["settings"].items())
    if settings and not found["trials"]:
        settings += ", not tuned"
    return _row(method, found, found["tune_s"], found["fit_s"], settings)


def _own(folder: Path, out: Path, budget: float | None) -> str:
    command = [str(Path(sys.executable).with_name("recsys")), "benchmark", "recommender", "--quiet"]
    for part in PARTS:
        command += [f"--{part}", str(folder / f"{part}.parquet")]
    if budget is not None:
        command += ["--set", f"training.time_budget_s={budget}"]
    found = json.loads(_output([*command, "--out", str(out)]).splitlines()[-1])
    chosen = found["selection"]
    settings = (
        f"{chosen['embedding_dim']} dimensions, temperature {chosen['temperature']:g}, "
        f"propagation {chosen['propagation']:g}"
    )
    name = "**two-tower**" if budget is None else f"two-tower, budget {budget:g} s"
    return _row(name, found, found["select_s"], found["refit_s"], settings)


def _row(name: str, found: dict[str, float], tune_s: float, fit_s: float, settings: str) -> str:
    return (
        f"| {name} | {found['recall@20']:.4f} | {found['ndcg@20']:.4f} | {tune_s:,.0f} "
        f"| {fit_s:,.1f} | {found['users_per_s']:,.0f} | {found['peak_rss_mb']:,.0f} "
        f"| {settings} |"
    )


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
