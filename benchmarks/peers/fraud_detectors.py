"""The fraud scorer beside detectors of PyOD: one split, one machine, one table a log; no labels.

    pip install '.[peers]'
    python benchmarks/peers/fraud_detectors.py --data data/raw

Detectors have PyOD's defaults and take the numbers that `recsys.fraud.evaluation.baselines` makes
of the same columns: the log amount, the hour as an angle, numeric features scaled, a column a term
of categorical features with few terms and the share of the term otherwise. They are fitted on
training rows drawn at random, 200,000 at most and 20,000 for nearest neighbours, which would take
hours.
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
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fraud_logs import FraudLog, fraud_logs, run_benchmark, split

from pipelines.fraud.config import FraudJobConfig
from recsys.arrays import Float64Array
from recsys.compiled import num_threads
from recsys.fraud.evaluation.baselines import BaselineInputs
from recsys.fraud.fitting.train import fit_fraud_model

LOGS = ("sparkov", "handbook")
MEASURES = ("auc", "average_precision", "account_day_average_precision")
HEADER = (
    "| detector | AUC | AP | account-day AP | fit s | transactions/s | peak MB |\n"
    "|---|---|---|---|---|---|---|"
)
MAX_ROWS, MAX_NEIGHBOURS = 200_000, 20_000
Z_SCORED = "z-scored autoencoder"
DETECTORS = ("isolation forest", "nearest neighbours", "ECOD", "autoencoder", Z_SCORED)


def main() -> None:
    """Print a table a log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--logs", nargs="+", choices=LOGS, default=LOGS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.logs:
        log = fraud_logs(arguments.data)[name]
        if arguments.one:
            print(json.dumps(measure(arguments.one, log)))
            continue
        if not log.path.is_file():
            print(f"skipped {name}: no {log.path}", file=sys.stderr)
            continue
        print(f"{log.title}:\n\n{HEADER}", flush=True)
        for detector in DETECTORS:
            print(_peer(detector, name, arguments.data), flush=True)
        for row in _own(log):
            print(row, flush=True)
        print()


def measure(detector: str, log: FraudLog) -> dict[str, float]:
    """Fit a detector and measure it."""
    config = log.load_config()
    train, test, rows = split(log, config)
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


def _fit_pyod(
    detector: str, train: pa.Table, config: FraudJobConfig
) -> Callable[[pa.Table], Float64Array]:
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
) -> Callable[[pa.Table], Float64Array]:
    """Errors of each column of the pooled autoencoder, by their spread."""
    model = fit_fraud_model(
        train, config.features, config.fraud, num_threads=num_threads()
    ).model  # the rest of the scorer is fitted too, which its time includes
    usual_NT = model.observe(train).reconstruction
    mean_T, std_T = usual_NT.mean(0, dtype=np.float64), usual_NT.std(0, dtype=np.float64)

    def score(test: pa.Table) -> Float64Array:
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


def _own(log: FraudLog) -> list[str]:
    """The real command, with the plain rule that it is measured beside."""
    with tempfile.TemporaryDirectory() as scratch:
        found = run_benchmark(log, Path(scratch) / "out")
    plain = found["baselines"]["account surprise"]
    return [
        _row("account surprise (no learned model)", {**plain, **plain["values"]}),
        _row("**fraud scorer**", found),
    ]


def _row(name: str, found: dict[str, float]) -> str:
    figures = " | ".join(f"{found[measure]:.4f}" for measure in MEASURES)
    peak = f"{found['peak_rss_mb']:,.0f}" if "peak_rss_mb" in found else ""
    return (
        f"| {name} | {figures} | {found['fit_s']:,.1f} | {found['transactions_per_s']:,.0f} "
        f"| {peak} |"
    )


if __name__ == "__main__":
    main()
