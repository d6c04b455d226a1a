"""Quality and cost of the fraud scorer with the shipped configs, by the real command.

    python benchmarks/fraud_quality.py --data data/raw

Writes a Markdown table. The Sparkov sample comes with the project. The whole Sparkov log and that
of the Fraud Detection Handbook are measured where the folder has them, as
`sparkov/transactions.parquet` and `handbook/transactions.parquet`; what is missing is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
CONFIGS = PROJECT / "pipelines" / "configs"
MEASURES = (
    "auc",
    "average_precision",
    "account_day_average_precision",
    "card_precision@100",
    "precision@5_per_day",
)
HEADER = (
    "| data, days measured | labels | history d | method | AUC | AP | account-day AP | card "
    "precision@100 | precision@5 a day | fit s | transactions/s | peak MB |\n" + "|---" * 12 + "|"
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Days of a log that are learnt from and measured."""

    name: str
    config: str
    log: Path
    days: tuple[str, str, str]
    options: tuple[str, ...] = ()
    delays: tuple[str | None, ...] = field(default=(None,))


def main() -> None:
    """Print a row a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=PROJECT / "data" / "raw")
    data = parser.parse_args().data
    protocols = [
        Protocol(
            name="Sparkov sample, July to December 2020",
            config="sparkov-sample",
            log=PROJECT / "data" / "sample" / "sparkov_transactions.parquet",
            days=("2020-07-01", "2020-07-01", "2021-01-01"),
        ),
        Protocol(
            name="Sparkov, 2020-06-21 to the end of 2020",
            config="sparkov",
            log=data / "sparkov" / "transactions.parquet",
            days=("2020-06-21", "2020-06-21", "2021-01-01"),
            delays=(None, "7"),
        ),
        Protocol(
            name="Handbook, 2018-07-25 to 07-31",
            config="handbook",
            log=data / "handbook" / "transactions.parquet",
            days=("2018-07-18", "2018-07-25", "2018-08-01"),
            options=("--drop-known-compromised",),
            delays=(None, "7"),
        ),
    ]
    print(HEADER)
    with tempfile.TemporaryDirectory() as scratch:
        for place, protocol in enumerate(protocols):
            for row in _rows(protocol, Path(scratch, str(place))):
                print(row, flush=True)


def _rows(protocol: Protocol, out: Path) -> Iterator[str]:
    if not protocol.log.exists():
        print(f"skipped {protocol.name}: no {protocol.log}", file=sys.stderr)
        return
    for delay in protocol.delays:
        found = _benchmark(protocol, delay, out / str(delay))
        costs = (found["fit_s"], found["transactions_per_s"], found["peak_rss_mb"])
        history = f"{found['history_days']:.0f}"
        yield _row((protocol.name, found["labels"], history, "ours"), found, costs)
        if delay is None:
            for name, baseline in found["baselines"].items():
                yield _row((protocol.name, "none", history, name), baseline["values"])
            yield _row((protocol.name, "", "", "a perfect ranking"), found["ceilings"])


def _row(
    place: tuple[str, ...],
    measures: dict[str, float],
    costs: tuple[float, float, float] | None = None,
) -> str:
    figures = [f"{measures[measure]:.4f}" for measure in MEASURES]
    ends = ["", "", ""] if costs is None else [f"{cost:,.0f}" for cost in costs]
    return f"| {' | '.join([*place, *figures, *ends])} |"


def _benchmark(protocol: Protocol, delay: str | None, out: Path) -> dict:
    """Run the command and read its status line."""
    start, first, end = protocol.days
    command = [
        str(Path(sys.executable).with_name("recsys")), "benchmark", "fraud",
        "--config", str(CONFIGS / f"{protocol.config}.toml"),
        "--transactions", str(protocol.log),
        "--train-end", start, "--test-start", first, "--test-end", end,
        "--out", str(out), "--quiet", *protocol.options,
        *(("--label-delay-days", delay) if delay is not None else ()),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
