"""The logs that fraud is looked for in: files, configs, days, and the real command on them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.fraud.config import FraudJobConfig, load_fraud_config
from pipelines.fraud.data import load_checked_transactions
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.datasets.transactions.days import day_number, day_of, rows_before, start_of
from recsys.datasets.transactions.labels import known_labels, load_labels
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.evaluation.benchmark import TestRows
from recsys.fraud.evaluation.metrics import known_compromised
from recsys.schema import ACCOUNT_ID

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class FraudLog:
    """A log and its days: learnt from before the first, measured between the others."""

    title: str
    """What is measured, for people."""
    config: str
    """Name of the shipped config."""
    path: Path
    """Transactions with their labels."""
    train_end: date
    """The first day that is not learnt from."""
    test_start: date
    """The first day that is measured."""
    test_end: date
    """The first day that is not."""
    drop_known: bool = False
    """Whether accounts are left out once their fraud is known, as the Handbook does."""

    @property
    def config_path(self) -> Path:
        """File of the config."""
        return PROJECT / "pipelines" / "configs" / f"{self.config}.toml"

    def load_config(self) -> FraudJobConfig:
        """The config, with the log in the place of its tables."""
        config = load_fraud_config(self.config_path, data={"transactions": self.path})
        return replace(config, data=replace(config.data, labels=self.path))


def fraud_logs(data: Path) -> dict[str, FraudLog]:
    """The sample, which comes with the project, and logs of a folder, which may lack them."""
    return {
        "sample": FraudLog(
            title="Sparkov sample, July to December 2020",
            config="sparkov-sample",
            path=PROJECT / "data" / "sample" / "sparkov_transactions.parquet",
            train_end=date(2020, 7, 1),
            test_start=date(2020, 7, 1),
            test_end=date(2021, 1, 1),
        ),
        "sparkov": FraudLog(
            title="Sparkov, 2020-06-21 to the end of 2020",
            config="sparkov",
            path=data / "sparkov" / "transactions.parquet",
            train_end=date(2020, 6, 21),
            test_start=date(2020, 6, 21),
            test_end=date(2021, 1, 1),
        ),
        "handbook": FraudLog(
            title="Handbook, 2018-07-25 to 07-31",
            config="handbook",
            path=data / "handbook" / "transactions.parquet",
            train_end=date(2018, 7, 18),
            test_start=date(2018, 7, 25),
            test_end=date(2018, 8, 1),
            drop_known=True,
        ),
    }


def run_benchmark(log: FraudLog, out: Path, *options: str) -> dict:
    """Run the real command on a log; what its status line says."""
    command = [
        str(Path(sys.executable).with_name("recsys")), "benchmark", "fraud", "--quiet",
        "--config", str(log.config_path), "--transactions", str(log.path),
        "--train-end", str(log.train_end), "--test-start", str(log.test_start),
        "--test-end", str(log.test_end), "--out", str(out),
        *(["--drop-known-compromised"] if log.drop_known else []), *options,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def split(log: FraudLog, config: FraudJobConfig) -> tuple[pa.Table, pa.Table, TestRows]:
    """Training rows, test rows, and what of the latter is measured."""
    read, checked = load_checked_transactions(Inputs(), config, Reporter(quiet=True))
    table = rows_before(checked.table, start_of(log.test_end))
    labels = load_labels(config.data, config.columns, read)
    is_fraud_N = known_labels(table, labels, delay_days=0, at=start_of(log.test_end)) == 1
    account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
    left_out_N = np.zeros(table.num_rows, dtype=np.bool_)
    if log.drop_known:
        left_out_N = known_compromised(
            account_N, np.floor(day_of(table)).astype(np.int64), is_fraud_N,
            train_end_day=day_number(log.train_end), test_start_day=day_number(log.test_start),
        )  # fmt: skip
    train = rows_before(table, start_of(log.train_end))
    first = rows_before(table, start_of(log.test_start)).num_rows
    rows = TestRows(
        account=account_N[first:],
        day=day_of(table)[first:],
        is_fraud=is_fraud_N[first:],
        keep=~left_out_N[first:],
    )
    return train, table.slice(first), rows
