"""What a user takes next, from the latest items in their order, against the same without order.

    python benchmarks/next_item.py --data data/raw

MovieLens-1M (`ml-1m/interactions.parquet` in the folder) where users and items have at least five
interactions; the last of each user is the test item and the one before it chooses settings. All
items not seen before are ranked. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.datasets.dataset import DataConfig
from recsys.datasets.loading import load_dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.schema import ITEM_ID, USER_ID

CONFIG = Path(__file__).resolve().parents[1] / "pipelines/configs/movielens-1m-next-item.toml"
K, CORE = 10, 5
HEADER = (
    "| query tower | seed | hit rate@10 | ndcg@10 | selecting s | fit s | users/s | peak MB |\n"
    "|---|---|---|---|---|---|---|---|"
)
TOWERS = {
    "sequence": [],
    "history, no order": [
        'model.query="history"', "training.num_epochs=8", "training.learning_rate=0.01",
    ],
}  # fmt: skip


def main() -> None:
    """Print a row a tower and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--towers", nargs="+", choices=[*TOWERS], default=[*TOWERS])
    parser.add_argument("--set", action="append", default=[], help="as recsys takes it")
    arguments = parser.parse_args()
    source = arguments.data / "ml-1m" / "interactions.parquet"
    if not source.is_file():
        print(f"skipped MovieLens-1M: no {source}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = _parts(source, Path(scratch))
        print(HEADER, flush=True)
        for tower in arguments.towers:
            for seed in arguments.seeds:
                settings = [*TOWERS[tower], f"training.seed={seed}", *arguments.set]
                found = _benchmark(paths, settings, Path(scratch) / f"{tower}-{seed}")
                print(
                    f"| {tower} | {seed} | {found['hit_rate@10']:.4f} | {found['ndcg@10']:.4f} "
                    f"| {found['select_s']:.0f} | {found['refit_s']:.0f} "
                    f"| {found['users_per_s']:,.0f} | {found['peak_rss_mb']:,.0f} |",
                    flush=True,
                )


def _parts(source: Path, folder: Path) -> list[str]:
    """Options that name the files of the split; valid is a part of train."""
    log = core(load_dataset(DataConfig(interactions=source)).interactions, CORE)
    split = split_interactions(log, SplitConfig(kind="leave_last_out"), seed=0)
    before = split_interactions(log, SplitConfig(kind="leave_last_out", valid_share=0), seed=0)
    options = []
    for name, table in {"train": before.train, "valid": split.valid, "test": before.test}.items():
        path = folder / f"{name}.parquet"
        pq.write_table(table, path)
        options += [f"--{name}", str(path)]
    return options


def core(log: pa.Table, least: int) -> pa.Table:
    """The largest part of a log in which users and items have at least so many interactions."""
    before = -1
    while before != log.num_rows:
        before = log.num_rows
        for column in (USER_ID, ITEM_ID):
            counts = pc.value_counts(log[column].combine_chunks())
            kept = counts.field("values").filter(pc.greater_equal(counts.field("counts"), least))
            log = log.filter(pc.is_in(log[column], value_set=kept))
    return log


def _benchmark(paths: list[str], settings: list[str], out: Path) -> dict[str, float]:
    command = [str(Path(sys.executable).with_name("recsys")), "benchmark", "recommender"]
    command += [*paths, "--config", str(CONFIG), "--k", str(K), "--out", str(out)]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
