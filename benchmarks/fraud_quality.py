"""Quality and cost of the fraud scorer with the shipped configs, by the real command.

    python benchmarks/fraud_quality.py --data data/raw

Writes a Markdown table. The Sparkov sample comes with the project. The whole Sparkov log and that
of the Fraud Detection Handbook are measured where the folder has them, as
`sparkov/transactions.parquet` and `handbook/transactions.parquet`; what is missing is said. With
several `--seeds` there is a row a seed, and one of their means and standard deviations.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fraud_logs import PROJECT, FraudLog, fraud_logs, run_benchmark

MEASURES = (
    "auc",
    "average_precision",
    "account_day_average_precision",
    "card_precision@100",
    "precision@5_per_day",
)
COSTS = ("fit_s", "transactions_per_s", "peak_rss_mb")
HEADER = (
    "| data, days measured | labels | history d | method | AUC | AP | account-day AP | card "
    "precision@100 | precision@5 a day | fit s | transactions/s | peak MB |\n" + "|---" * 12 + "|"
)
DELAYS = {"sample": (None,)}
"""Days after which labels are used; also a week where nothing else is said."""


def main() -> None:
    """Print a row a method."""
    logs = fraud_logs(PROJECT / "data" / "raw")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=PROJECT / "data" / "raw")
    parser.add_argument("--logs", nargs="+", choices=[*logs], default=[*logs])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    logs = fraud_logs(arguments.data)
    print(HEADER)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.logs:
            delays = DELAYS.get(name, (None, "7"))
            for row in _rows(logs[name], delays, arguments.seeds, Path(scratch, name)):
                print(row, flush=True)


def _rows(
    log: FraudLog, delays: Sequence[str | None], seeds: Sequence[int], out: Path
) -> Iterator[str]:
    if not log.path.exists():
        print(f"skipped {log.title}: no {log.path}", file=sys.stderr)
        return
    for delay in delays:
        found = []
        for seed in seeds:
            options = ["--set", f"seed={seed}"]
            options += [] if delay is None else ["--label-delay-days", delay]
            found.append(run_benchmark(log, out / f"{delay}-{seed}", *options))
        first = found[0]
        history = f"{first['history_days']:.0f}"
        yield from own_rows((log.title, first["labels"], history), seeds, found)
        if delay is None:
            for name, baseline in first["baselines"].items():
                yield _row((log.title, "none", history, name), baseline["values"])
            yield _row((log.title, "", "", "a perfect ranking"), first["ceilings"])


def own_rows(place: tuple[str, ...], seeds: Sequence[int], found: Sequence[dict]) -> Iterator[str]:
    """A row a seed, and one of their means and standard deviations if there are several."""
    if len(seeds) == 1:
        yield _row((*place, "ours"), found[0], with_costs=True)
        return
    for seed, one in zip(seeds, found, strict=True):
        yield _row((*place, f"ours, seed {seed}"), one, with_costs=True)
    figures = []
    for measure in MEASURES:
        values = [one[measure] for one in found]
        figures.append(f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}")
    costs = [f"{statistics.fmean(one[cost] for one in found):,.0f}" for cost in COSTS]
    method = f"ours, mean ± standard deviation of {len(seeds)} seeds"
    yield f"| {' | '.join([*place, method, *figures, *costs])} |"


def _row(place: tuple[str, ...], found: dict, *, with_costs: bool = False) -> str:
    figures = [f"{found[measure]:.4f}" for measure in MEASURES]
    ends = [f"{found[cost]:,.0f}" if with_costs else "" for cost in COSTS]
    return f"| {' | '.join([*place, *figures, *ends])} |"


if __name__ == "__main__":
    main()
