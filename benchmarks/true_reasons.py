"""Whether reasons are true: every statement of every reason is counted again in the raw log.

    python benchmarks/true_reasons.py --data FOLDER [--cases FOLDER]

A scorer learns from the first part of each log and scores the days after it; some of these are
explained, many accounts a day, and `tests/fraud/reason_oracle.py` counts every statement again: the
value of the row, whose habit it is held against, what is usual, how many are as unusual. FOLDER has
the logs of data/README.md; the sample comes with the project.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fraud"))

from reason_oracle import Oracle

from pipelines.fraud.config import FraudJobConfig, load_fraud_config
from pipelines.fraud.data import load_checked_transactions
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.datasets.transactions.days import day_number, day_of, start_of
from recsys.datasets.transactions.labels import load_labels
from recsys.fraud.alerts.daily import result_of_day
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import fit_fraud_model

PROJECT = Path(__file__).resolve().parents[1]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log whose reasons are counted again."""

    path: Path
    """Its transactions."""
    columns: dict[str, str] = field(default_factory=dict)
    """Names of its columns."""
    categorical: tuple[str, ...] = ()
    """Its features with terms."""
    numeric: tuple[str, ...] = ()
    """Its features with numbers."""
    labels: Path | None = None
    """Its labels, where they are used."""
    longest_days: int = 400
    """Days of it that are read, the last ones."""
    config: Path | None = None
    """A config of its own."""

    def load_config(self) -> FraudJobConfig:
        """What is read of it."""
        if self.config is not None:
            return load_fraud_config(self.config)
        settings = [f'columns.{name}="{column}"' for name, column in self.columns.items()]
        settings += [f'features.{name}="categorical"' for name in self.categorical]
        settings += [f'features.{name}="numeric"' for name in self.numeric]
        data = {"transactions": self.path, "labels": self.labels}
        return load_fraud_config(None, overrides=settings, data=data)


_CARD = {
    "columns": {"counterparty_id": "merchant_id"},
    "categorical": ("category", "gender", "job", "state", "city"),
    "numeric": ("city_pop", "birth_year"),
}


def logs_of(data: Path | None, cases: Path | None) -> dict[str, Log]:
    """The sample, and the logs of a folder."""
    sample = PROJECT / "data" / "sample" / "sparkov_transactions.parquet"
    logs = {
        "sample": Log(path=sample, **_CARD),
        "sample, with labels": Log(path=sample, labels=sample, **_CARD),
    }
    if data is not None:
        handbook = data / "handbook" / "transactions.parquet"
        terminal = {"counterparty_id": "terminal_id"}
        strangers = data / "strangers"
        merchant = {"counterparty_id": "merchant_id"}
        logs |= {
            "sparkov": Log(
                path=data / "sparkov" / "transactions.parquet",
                longest_days=100,
                **_CARD | {"numeric": (*_CARD["numeric"], "merch_lat", "merch_long")},
            ),
            "handbook": Log(path=handbook, columns=terminal, longest_days=30),
            "handbook, with labels": Log(
                path=handbook, columns=terminal, labels=handbook, longest_days=20
            ),
            "evalml": Log(
                path=strangers / "evalml.parquet",
                columns={**merchant, "currency": "currency"},
                categorical=("customer_present", "provider", "country"),
            ),
            "amlsim": Log(
                path=strangers / "amlsim.parquet",
                columns={**merchant, "event_time_zone": "UTC"},
            ),
            "finforge": Log(
                path=strangers / "finforge.parquet",
                columns=merchant,
                categorical=("category", "transaction_type", "account_type"),
            ),
        }
    for config in sorted(cases.glob("fraud/*/c.toml")) if cases is not None else ():
        logs[f"case {config.parent.name}"] = Log(path=config, config=config)
    return logs


def count_reasons(log: Log, *, num_days: int, budget: int) -> tuple[Counter[str], list[str]]:
    """Reasons by what they speak of, and what is untrue about them."""
    config = log.load_config()
    read, checked = load_checked_transactions(Inputs(), config, Reporter(quiet=True))
    days = day_of(checked.table)
    first = int(np.searchsorted(days, days[-1] - log.longest_days))
    table, days = checked.table.slice(first), np.floor(days[first:])
    labels = load_labels(config.data, config.columns, read) if config.data.labels else None
    train_end = _EPOCH + timedelta(days=int(days[int(0.75 * len(days))]) + 1)
    num_train = int(np.searchsorted(days, day_number(train_end)))
    fitted = fit_fraud_model(
        table.slice(0, num_train), dict(config.features), config.fraud, num_threads=1,
        labels=labels and ConfirmedLabels(table=labels, at=start_of(train_end)),
    )  # fmt: skip
    oracle = Oracle(table, labels, config.labels.delay_days)
    explained = np.unique(days[num_train:])[-num_days:]
    counts, faults, state, done = Counter[str](), [], fitted.state, num_train
    for day in explained:
        start, end = np.searchsorted(days, [day, day + 1])
        for part in (slice(done, start), slice(start, end)):
            rows = table.slice(part.start, part.stop - part.start)
            scores, state = fitted.model.score(rows, state, num_threads=1, labels=labels)
        done = int(end)
        at = _EPOCH + timedelta(days=int(day))
        result = result_of_day(
            fitted.model, state, rows, scores, table.slice(0, int(start)),
            day=at, config=AlertConfig(alert_budget=budget), with_labels=labels is not None,
        )  # fmt: skip
        state = result.scored.state
        for alert in result.explanations:
            reported = [alert.reasons, *(one.reasons for one in alert.transactions)]
            for reason in {one for reasons in reported for one in reasons}:
                counts[reason.evidence] += 1
                faults += oracle.faults(reason, account=alert.account_id, day=at)
    return counts, faults


def main() -> None:
    """Print a row a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--logs", nargs="+")
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--budget", type=int, default=100)
    args = parser.parse_args()
    total = Counter[str]()
    print("| log | reasons | untrue | combination alone | s |\n|---|---|---|---|---|")
    for name, log in logs_of(args.data, args.cases).items():
        if not log.path.exists() or (args.logs and name not in args.logs):
            continue
        started = time.perf_counter()
        counts, faults = count_reasons(log, num_days=args.days, budget=args.budget)
        total.update(all=counts.total(), untrue=len(faults), combination=counts["combination"])
        seconds = time.perf_counter() - started
        print(
            f"| {name} | {counts.total():,} | {len(faults):,} | {counts['combination']:,} | "
            f"{seconds:.0f} |",
            flush=True,
        )
        print(dict(counts), *faults[:10], sep="\n  ", file=sys.stderr)
    print(f"| all | {total['all']:,} | {total['untrue']:,} | {total['combination']:,} | |")


if __name__ == "__main__":
    main()
