"""The fraud part of `recsys demo`: train, score some nights in a row, and show the top alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from rich.table import Table

from pipelines.fraud.config import FraudJobConfig
from pipelines.fraud.score_accounts import score_accounts
from pipelines.fraud.train import train_fraud
from pipelines.jobs.console import Reporter
from recsys.schema import ACCOUNT_ID, ACCOUNT_SCORE, ALERT, DAY, REASONS

SAMPLE_CONFIG = Path(__file__).parents[1] / "configs" / "sparkov-sample.toml"
"""The config of the sample data."""

TRAINED_UNTIL = date(2020, 11, 30)
"""Last day that the demo learns from; the sample ends a month later."""

_NUM_NIGHTS = 5
_NUM_SHOWN = 6
_MAX_CHARS = 150


@dataclass(frozen=True, kw_only=True)
class FraudDemo:
    """The outputs of the demo."""

    alerts_page: str
    """The page of the last night."""
    account_scores: str
    """Its account scores."""
    tracked: str
    """The tracked run of the training."""


def fraud_demo(config: FraudJobConfig, reporter: Reporter) -> FraudDemo:
    """Train on the sample up to a day, score the nights after it, and print the top alerts."""
    trained = train_fraud(config, TRAINED_UNTIL, reporter, force=True)
    nights = [
        score_accounts(config, TRAINED_UNTIL + timedelta(days=night), reporter, force=True)
        for night in range(1, _NUM_NIGHTS + 1)
    ]
    _show([Path(str(night["account_scores"])) for night in nights], reporter)
    return FraudDemo(
        alerts_page=str(nights[-1]["alerts_page"]),
        account_scores=str(nights[-1]["account_scores"]),
        tracked=str(trained["tracked"]),
    )


def _show(files: list[Path], reporter: Reporter) -> None:
    """Print the accounts with the highest scores of all nights."""
    rows = [row for file in files for row in pq.read_table(file).to_pylist() if row[ALERT]]
    rows.sort(key=lambda row: -row[ACCOUNT_SCORE])
    table = Table(title="Top alerts of five nights")
    for heading in ("day", "account", "score", "why"):
        table.add_column(heading)
    for row in rows[:_NUM_SHOWN]:
        reasons = row[REASONS]
        short = reasons if len(reasons) <= _MAX_CHARS else f"{reasons[: _MAX_CHARS - 1]}…"
        table.add_row(str(row[DAY]), str(row[ACCOUNT_ID]), f"{row[ACCOUNT_SCORE]:.6f}", short)
    if not reporter.quiet:
        reporter.console.print(table)
