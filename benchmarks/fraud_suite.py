"""The fraud scorer without labels beside plain detectors, on logs that it was not made for.

    python benchmarks/fraud_suite.py --data data/raw

Writes a Markdown table, a row a log and a column a method: average precision of the transactions
after the day up to which each method learns. The regret is how far the scorer is behind the best
of the others, which nobody can choose without labels. Methods: the amount, an isolation forest,
ECOD (Li et al. 2022, the largest of its three sums), nearest neighbours, the surprise for the
account, and the plain sum of the scorer's evidence.

The sample comes with the project; other logs are measured where the folder has them, generated
ones (`fraud_worlds.py`) always. `--seeds` draws the generated logs several times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fraud_worlds import TRAIN_DAYS, WORLDS
from sklearn.metrics import average_precision_score

from recsys.arrays import BoolArray, Float32Array, Float64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_number, day_of
from recsys.fraud.config import FraudConfig
from recsys.fraud.evaluation.account_surprise import AccountSurprise
from recsys.fraud.evaluation.baselines import (
    AmountAlone,
    BaselineInputs,
    IsolationForest,
    NearestNeighbours,
)
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.scoring.scorer import plain_surprise
from recsys.schema import ACCOUNT_ID, AMOUNT, COUNTERPARTY_ID, EVENT_TIME, IS_FRAUD, TRANSACTION_ID

Features = Mapping[str, FeatureConfig]

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample" / "sparkov_transactions.parquet"
METHODS = (
    "amount", "isolation forest", "ECOD", "neighbours", "account surprise", "plain sum",
)  # fmt: skip
_MAX_ROWS = 50_000  # that a plain detector learns from
_SPARKOV = ("category", "gender", "job", "state", "city")


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A log cut in two, and the truth of the second part."""

    train: pa.Table
    test: pa.Table
    is_fraud: BoolArray
    features: Features


@dataclass(frozen=True, kw_only=True)
class StoredLog:
    """A log of a file, and its days."""

    path: str
    train_end: date
    start: date | None = None
    end: date | None = None
    counterparty: str = "merchant_id"
    currency: str | None = None
    categorical: Sequence[str] = ()
    numeric: Sequence[str] = field(default=())
    on_request: bool = False
    """Whether it takes long, and is measured only where it is asked for."""


LOGS: Mapping[str, StoredLog] = {
    "Sparkov sample": StoredLog(
        path="", train_end=date(2020, 7, 1),
        categorical=_SPARKOV, numeric=("city_pop", "birth_year"),
    ),
    "Sparkov, six weeks": StoredLog(
        path="sparkov/transactions.parquet", train_end=date(2019, 1, 29), end=date(2019, 2, 12),
        categorical=_SPARKOV, numeric=("city_pop", "birth_year"),
    ),
    "Sparkov": StoredLog(
        path="sparkov/transactions.parquet", train_end=date(2020, 2, 15), end=date(2020, 6, 21),
        categorical=_SPARKOV, numeric=("city_pop", "birth_year"), on_request=True,
    ),
    "Handbook, five weeks": StoredLog(
        path="handbook/transactions.parquet", start=date(2018, 5, 21), train_end=date(2018, 6, 20),
        end=date(2018, 6, 27), counterparty="terminal_id",
    ),
    "Handbook": StoredLog(
        path="handbook/transactions.parquet", train_end=date(2018, 6, 20), end=date(2018, 6, 27),
        counterparty="terminal_id", on_request=True,
    ),
    "evalml": StoredLog(
        path="strangers/evalml.parquet", train_end=date(2019, 6, 1), currency="currency",
        categorical=("customer_present", "provider", "country"),
    ),
    "AMLSim": StoredLog(path="strangers/amlsim.parquet", train_end=date(2025, 4, 11)),
    "finforge": StoredLog(
        path="strangers/finforge.parquet", train_end=date(2025, 9, 1),
        categorical=("category", "transaction_type", "account_type"),
    ),
}  # fmt: skip


def main() -> None:
    """Print a row a log, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--logs", nargs="+", choices=[*LOGS, *WORLDS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    chosen = arguments.logs or [*(n for n, log in LOGS.items() if not log.on_request), *WORLDS]
    names = ("ours", *METHODS)
    print(f"| log | fraud | {' | '.join(names)} | regret |\n" + "|---" * (len(names) + 3) + "|")
    found = []
    for title, cut in _cuts(chosen, arguments.data, arguments.seeds):
        scores = {name: _measured(score_N, cut) for name, score_N in _scores(cut).items()}
        found.append(scores)
        print(_row(title, f"{cut.is_fraud.mean():.2%}", scores), flush=True)
    if found:
        means = {name: statistics.fmean(one[name] for one in found) for name in names}
        regrets = [_regret(one) for one in found]
        print(_row("mean", "", means, regret=statistics.fmean(regrets)))


def _row(title: str, share: str, scores: Mapping[str, float], regret: float | None = None) -> str:
    figures = " | ".join(f"{value:.3f}" for value in scores.values())
    regret = _regret(scores) if regret is None else regret
    return f"| {title} | {share} | {figures} | {regret:.3f} |"


def _regret(scores: Mapping[str, float]) -> float:
    return max(scores[name] for name in METHODS) - scores["ours"]


def _measured(score_N: Float64Array, cut: Cut) -> float:
    return float(average_precision_score(cut.is_fraud, score_N))


def _cuts(names: Sequence[str], data: Path, seeds: Sequence[int]) -> Iterator[tuple[str, Cut]]:
    makers: list[tuple[str, Callable[[], Cut]]] = []
    for name in names:
        if name in WORLDS:
            makers += [(f"{name}, seed {seed}", partial(_world, name, seed)) for seed in seeds]
            continue
        path = data / LOGS[name].path if LOGS[name].path else SAMPLE
        if path.is_file():
            makers.append((name, partial(_stored, LOGS[name], path)))
        else:
            print(f"skipped {name}: no {path}", file=sys.stderr)
    for title, make in makers:
        yield title, make()


def _world(name: str, seed: int) -> Cut:
    world = WORLDS[name](seed)
    days_N = np.floor(day_of(world.table))
    return _cut(world.table, int((days_N < days_N[0] + TRAIN_DAYS).sum()), world.features)


def _stored(log: StoredLog, path: Path) -> Cut:
    """Read a log under the standard names, in the order of time."""
    renamed = {log.counterparty: COUNTERPARTY_ID}
    if log.currency:
        renamed[log.currency] = "currency"
    table = pq.read_table(path)
    table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    texts = [TRANSACTION_ID, ACCOUNT_ID, COUNTERPARTY_ID, *log.categorical]
    texts += ["currency"] if log.currency else []
    types = {
        **dict.fromkeys(texts, pa.string()),
        **dict.fromkeys(log.numeric, pa.float32()),
        EVENT_TIME: pa.timestamp("us", "UTC"),
        AMOUNT: pa.float64(),
        IS_FRAUD: pa.bool_(),
    }
    table = pa.table({name: table[name].cast(kind) for name, kind in types.items()})
    table = table.sort_by(EVENT_TIME)
    days_N = day_of(table)
    start = day_number(log.start) if log.start else -np.inf
    end = day_number(log.end) if log.end else np.inf
    table = table.filter(pa.array((days_N >= start) & (days_N < end)))
    features = {name: FeatureConfig(kind="categorical") for name in log.categorical}
    features |= {name: FeatureConfig(kind="numeric") for name in log.numeric}
    return _cut(table, int((day_of(table) < day_number(log.train_end)).sum()), features)


def _cut(table: pa.Table, num_train: int, features: Features) -> Cut:
    is_fraud_N = np.asarray(pc.fill_null(table[IS_FRAUD], fill_value=False))
    visible = table.drop_columns([IS_FRAUD])
    return Cut(
        train=visible.slice(0, num_train),
        test=visible.slice(num_train),
        is_fraud=is_fraud_N[num_train:],
        features=features,
    )


def _scores(cut: Cut) -> dict[str, Float64Array]:
    """Scores of the test rows by each method."""
    fitted = fit_fraud_model(cut.train, dict(cut.features), FraudConfig(), num_threads=1)
    ours, _ = fitted.model.score(cut.test, fitted.state, num_threads=1)
    chosen = np.sort(np.random.default_rng(0).permutation(cut.train.num_rows)[:_MAX_ROWS])
    inputs = BaselineInputs.fit(cut.train, cut.features)
    train_MF, test_NF = inputs.encode(cut.train.take(pa.array(chosen))), inputs.encode(cut.test)
    return {
        "ours": ours.calibrated.combined,
        "amount": AmountAlone().fit(train_MF).score(test_NF),
        "isolation forest": IsolationForest(seed=0).fit(train_MF).score(test_NF),
        "ECOD": _ecod(train_MF, test_NF),
        "neighbours": NearestNeighbours(seed=0, max_rows=10_000).fit(train_MF).score(test_NF),
        "account surprise": AccountSurprise.fit(cut.train, cut.features).score(cut.test),
        "plain sum": plain_surprise(ours.calibrated.surprise),
    }


def _ecod(train_MF: Float32Array, test_NF: Float32Array) -> Float64Array:
    """Sums of -log tail probabilities: left, right, and that on the side of the skew."""
    sums_N3 = np.zeros((len(test_NF), 3))
    for train_M, test_N in zip(train_MF.T, test_NF.T, strict=True):
        ordered, count = np.sort(train_M).astype(np.float64), len(train_M) + 1
        left_N = -np.log((np.searchsorted(ordered, test_N, "right") + 1) / count)
        right_N = -np.log((count - np.searchsorted(ordered, test_N, "left")) / count)
        is_left = ((ordered - ordered.mean()) ** 3).mean() < 0
        sums_N3 += np.stack([left_N, right_N, left_N if is_left else right_N], axis=1)
    return np.asarray(sums_N3.max(axis=1))


if __name__ == "__main__":
    main()
