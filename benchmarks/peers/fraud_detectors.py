"""The fraud scorer beside detectors of PyOD: one split, one machine, one table a log; no labels.

    pip install '.[peers]'
    python benchmarks/peers/fraud_detectors.py --data data/raw

Detectors have PyOD's defaults and take the numbers that `recsys.fraud.baselines` makes of the same
columns: the log amount, the hour as an angle, numeric features scaled, a column a term of
categorical features with few terms and the share of the term otherwise. They are fitted on training
rows drawn at random, 200,000 at most and 20,000 for nearest neighbours, which would take hours.
"z-scored autoencoder" is one pooled autoencoder whose error of each column is divided by its spread
on training rows; the mean over the columns is the score, as in NVIDIA's Morpheus, which trains one
such model an account; the autoencoder is that of the fraud scorer, and its time to fit is that of
the whole scorer. Each row has a process of its own. The whole Sparkov log and that of the Fraud
Detection Handbook are measured where the folder has them. Writes a Markdown table a log.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.console import Reporter
from pipelines.fraud_config import FraudJobConfig, load_fraud_config
from pipelines.fraud_data import load_checked_transactions, num_threads
from recsys.datasets.transactions.days import day_number, day_of, rows_before, start_of
from recsys.datasets.transactions.labels import known_labels, load_labels
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.baselines import BaselineInputs
from recsys.fraud.benchmark import TestRows
from recsys.fraud.metrics import known_compromised
from recsys.fraud.train import fit_fraud_model
from recsys.schema import ACCOUNT_ID

Array = npt.NDArray[np.float64]

CONFIGS = Path(__file__).resolve().parents[2] / "pipelines" / "configs"
MEASURES = ("auc", "average_precision", "account_day_average_precision")
HEADER = (
    "| detector | AUC | AP | account-day AP | fit s | transactions/s | peak MB |\n"
    "|---|---|---|---|---|---|---|"
)
MAX_ROWS, MAX_NEIGHBOURS = 200_000, 20_000
Z_SCORED = "z-scored autoencoder"
DETECTORS = ("isolation forest", "nearest neighbours", "ECOD", "autoencoder", Z_SCORED)


@dataclass(frozen=True)
class Days:
    """Days of a log: learnt from before the first, measured between the others."""

    train_end: date
    test_start: date
    test_end: date
    drop_known: bool


LOGS = {
    "sparkov": Days(date(2020, 6, 21), date(2020, 6, 21), date(2021, 1, 1), drop_known=False),
    "handbook": Days(date(2018, 7, 18), date(2018, 7, 25), date(2018, 8, 1), drop_known=True),
}


def main() -> None:
    """Print a table a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--logs", nargs="+", choices=[*LOGS], default=[*LOGS])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.logs:
        path = arguments.data / name / "transactions.parquet"
        if arguments.one:
            print(json.dumps(measure(arguments.one, name, path)))
            continue
        if not path.is_file():
            print(f"skipped {name}: no {path}", file=sys.stderr)
            continue
        days = LOGS[name]
        print(f"{name.capitalize()}, {days.test_start} to {days.test_end}:\n\n{HEADER}", flush=True)
        for detector in DETECTORS:
            print(_peer(detector, name, arguments.data), flush=True)
        for row in _own(name, path):
            print(row, flush=True)
        print()


def measure(detector: str, name: str, path: Path) -> dict[str, float]:
    """Fit a detector and measure it."""
    config = load_fraud_config(CONFIGS / f"{name}.toml", data={"transactions": path})
    config = replace(config, data=replace(config.data, labels=path))
    train, test, rows = _parts(config, LOGS[name])
    fit = _fit_z_scored if detector == Z_SCORED else _fit_pyod
    started = time.perf_counter()
    score = fit(detector, train, config)
    fitted = time.perf_counter()
    score_N = score(test)
    ended = time.perf_counter()
    return {
        **rows.measure(score_N).values,
        "fit_s": fitted - started,
        "transactions_per_s": test.num_rows / (ended - fitted),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _parts(config: FraudJobConfig, days: Days) -> tuple[pa.Table, pa.Table, TestRows]:
    """Training rows, test rows, and what of the latter is measured."""
    log, checked = load_checked_transactions(config, Reporter(quiet=True))
    table = rows_before(checked.table, start_of(days.test_end))
    labels = load_labels(config.data, config.columns, log)
    is_fraud_N = known_labels(table, labels, delay_days=0, at=start_of(days.test_end)) == 1
    account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
    left_out_N = np.zeros(table.num_rows, dtype=np.bool_)
    if days.drop_known:
        left_out_N = known_compromised(
            account_N, np.floor(day_of(table)).astype(np.int64), is_fraud_N,
            train_end_day=day_number(days.train_end), test_start_day=day_number(days.test_start),
        )  # fmt: skip
    train = rows_before(table, start_of(days.train_end))
    first = rows_before(table, start_of(days.test_start)).num_rows
    rows = TestRows(
        account=account_N[first:],
        day=day_of(table)[first:],
        is_fraud=is_fraud_N[first:],
        keep=~left_out_N[first:],
    )
    return train, table.slice(first), rows


def _fit_pyod(
    detector: str, train: pa.Table, config: FraudJobConfig
) -> Callable[[pa.Table], Array]:
    """A detector of PyOD on some training rows."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN

    model = {
        "isolation forest": lambda: IForest(random_state=config.seed),
        "nearest neighbours": KNN,
        "ECOD": ECOD,
        "autoencoder": lambda: AutoEncoder(random_state=config.seed, verbose=0),
    }[detector]()
    inputs = BaselineInputs.fit(train, config.features)
    most = MAX_NEIGHBOURS if detector == "nearest neighbours" else MAX_ROWS
    chosen = np.random.default_rng(config.seed).permutation(train.num_rows)[:most]
    model.fit(inputs.encode(train.take(pa.array(np.sort(chosen)))))
    return lambda test: np.asarray(model.decision_function(inputs.encode(test)), dtype=np.float64)


def _fit_z_scored(
    _detector: str, train: pa.Table, config: FraudJobConfig
) -> Callable[[pa.Table], Array]:
    """Errors of each column of the pooled autoencoder, by their spread."""
    model = fit_fraud_model(
        train, config.features, config.fraud, num_threads=num_threads()
    ).model  # the rest of the scorer is fitted too, which its time includes
    usual_NT = model.observe(train).reconstruction
    mean_T, std_T = usual_NT.mean(0, dtype=np.float64), usual_NT.std(0, dtype=np.float64)

    def score(test: pa.Table) -> Array:
        errors_NT = model.observe(test).reconstruction
        return np.asarray(np.abs((errors_NT - mean_T) / np.maximum(std_T, 1e-9)).mean(1))

    return score


def _peer(detector: str, name: str, data: Path) -> str:
    try:
        import pyod  # noqa: F401
    except ImportError:
        return f"| {detector} | not installed: pip install '.[peers]' | | | | | |"
    command = [sys.executable, __file__, "--data", str(data), "--logs", name, "--one", detector]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    except subprocess.CalledProcessError as error:
        return f"| {detector} | failed with exit code {error.returncode} | | | | | |"
    return _row(detector, json.loads(done.stdout.splitlines()[-1]))


def _own(name: str, path: Path) -> list[str]:
    """The real command, with the plain rule that it is measured beside."""
    days = LOGS[name]
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            str(Path(sys.executable).with_name("recsys")), "benchmark", "fraud", "--quiet",
            "--config", str(CONFIGS / f"{name}.toml"), "--transactions", str(path),
            "--train-end", str(days.train_end), "--test-start", str(days.test_start),
            "--test-end", str(days.test_end), "--out", str(Path(scratch) / "out"),
            *(["--drop-known-compromised"] if days.drop_known else []),
        ]  # fmt: skip
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    plain = found["baselines"]["account surprise"]
    costs = {"fit_s": plain["fit_s"], "peak_rss_mb": float("nan")}
    costs["transactions_per_s"] = found["num_transactions"] / plain["score_s"]
    return [
        _row("account surprise (no learned model)", {**plain["values"], **costs}),
        _row("**fraud scorer**", found),
    ]


def _row(name: str, found: dict[str, float]) -> str:
    figures = " | ".join(f"{found[measure]:.4f}" for measure in MEASURES)
    peak = "" if np.isnan(found["peak_rss_mb"]) else f"{found['peak_rss_mb']:,.0f}"
    return (
        f"| {name} | {figures} | {found['fit_s']:,.1f} | {found['transactions_per_s']:,.0f} "
        f"| {peak} |"
    )


if __name__ == "__main__":
    main()
