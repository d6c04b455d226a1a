"""Quality and cost of the recommender with its defaults, by the real commands.

    python benchmarks/recommender_quality.py --data data/raw

Writes a Markdown table. MovieTweetings comes with the project. Gowalla (the canonical LightGCN
split as train, valid and test.parquet) and MovieLens-1M are measured where the folder has them,
as `gowalla/` and `ml-1m/`; what is missing is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CONFIGS = PROJECT / "pipelines" / "configs"
HEADER = (
    "| data, split | ranker | recall@20 | ndcg@20 | fit s | peak MB |\n|---|---|---|---|---|---|"
)


def main() -> None:
    """Print a row a ranker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=PROJECT / "data" / "raw")
    data = parser.parse_args().data
    print(HEADER)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        rows = [
            *_movietweetings(out),
            *_movielens(data / "ml-1m", out),
            *_gowalla(data / "gowalla", out),
        ]
    print("\n".join(rows))


def _movietweetings(out: Path) -> Iterator[str]:
    yield from _trained("MovieTweetings, global time", CONFIGS / "movietweetings.toml", out, [])


def _movielens(folder: Path, out: Path) -> Iterator[str]:
    if not folder.is_dir():
        print(f"skipped MovieLens-1M: no {folder}", file=sys.stderr)
        return
    tables = ["interactions", "users", "items"]
    paths = [part for name in tables for part in (f"--{name}", str(folder / f"{name}.parquet"))]
    yield from _trained("MovieLens-1M, global time", CONFIGS / "movielens-1m.toml", out, paths)


def _trained(name: str, config: Path, out: Path, options: list[str]) -> Iterator[str]:
    """Rows of a training run: the model and its baselines on the test part."""
    settings = ["--set", f"output.directory={json.dumps(str(out / config.stem))}"]
    settings += ["--set", "tracking.enabled=false"]
    status = _recsys("train-recommender", str(config), *settings, *options)
    found = json.loads((Path(status["run"]) / "metrics.json").read_text())
    for ranker, evaluation in found["evaluations"].items():
        overall, own = evaluation["overall"], ranker == "two-tower"
        cost = (
            [f"{found['durations_s']['fit']:.0f}", f"{found['peak_rss_mb']:.0f}"]
            if own
            else ["", ""]
        )
        yield _row(name, ranker, overall["recall@20"], overall["ndcg@20"], *cost)


def _gowalla(folder: Path, out: Path) -> Iterator[str]:
    if not folder.is_dir():
        print(f"skipped Gowalla: no {folder}", file=sys.stderr)
        return
    parts = ["train", "valid", "test"]
    paths = [part for name in parts for part in (f"--{name}", str(folder / f"{name}.parquet"))]
    found = _recsys("benchmark", "recommender", *paths, "--out", str(out / "gowalla"))
    costs = f"{found['fit_s']:.0f}", f"{found['peak_rss_mb']:.0f}"
    yield _row("Gowalla, canonical", "two-tower", found["recall@20"], found["ndcg@20"], *costs)


def _row(*cells: object) -> str:
    texts = [f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells]
    return f"| {' | '.join(texts)} |"


def _recsys(*arguments: str) -> dict[str, object]:
    """Run the command and read its status line."""
    command = [str(Path(sys.executable).with_name("recsys")), *arguments, "--quiet"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
