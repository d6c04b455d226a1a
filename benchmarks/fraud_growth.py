"""How time and memory of the fraud scorer grow with the log, and what a day of many accounts takes.

    python benchmarks/fraud_growth.py

Generated logs of 90 days with two transactions a day and account. Each size has a process of its
own: fit on the first 80 days, score the others. Then the state of a fitted log is copied until it
holds a million accounts, and one day of theirs is scored, its alerts are chosen and explained, the
tables of transactions and accounts are made, and the canary is tried after that day. Writes
Markdown: a table, the exponents of the growth (least squares on logarithms), and what the day took.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import synthetic_transactions
from recsys.datasets.transactions.days import day_of
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.alerts.canary import plant_and_score
from recsys.fraud.alerts.daily import result_of_day
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.config import FraudConfig
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.profiles.state import ProfileState, from_arrays
from recsys.schema import ACCOUNT_ID, TRANSACTION_ID

NUM_DAYS, TRAIN_DAYS, A_DAY = 90, 80, 2.0
START = date(2024, 1, 1)
FEATURES = {name: FeatureConfig(kind="categorical") for name in ("category", "channel", "country")}
HEADER = (
    "| transactions | accounts | fit s | scored | transactions/s | state bytes an account "
    "| peak MB |\n|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Print the growth and the day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    parser.add_argument(
        "--accounts", type=int, default=1_000_000, help="of the one day; 0 for none"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, size = arguments.one.split()
        print(json.dumps({"growth": measure, "day": measure_day}[kind](int(size))))
        return
    print(HEADER, flush=True)
    found = []
    for size in arguments.sizes:
        found.append(_measured_apart("growth", int(size)))
        print(
            "| {rows:,} | {accounts:,} | {fit_s:.1f} | {scored:,} | {per_s:,.0f} "
            "| {state_bytes:,.0f} | {peak_mb:,.0f} |".format(**found[-1]),
            flush=True,
        )
    if len(found) > 1:
        print(f"\nGrowth with the number of transactions, as its power: {_powers(found)}")
    if arguments.accounts:
        day = _measured_apart("day", arguments.accounts)
        print(
            "\nA day of {accounts:,} accounts, {rows:,} transactions: {total_s:.1f} s, of which "
            "scoring {score_s:.1f}, alerts with reasons {alerts_s:.1f} ({alerts} flagged), tables "
            "{tables_s:.1f}; {state_bytes:,.0f} bytes of state an account, peak {peak_mb:,.0f} "
            "MB. The canary takes {canary_s:.1f} s more, with it the peak is {canary_peak_mb:,.0f} "
            "MB.".format(**day)
        )


def measure(num_transactions: int) -> dict[str, float]:
    """Fit and score a log."""
    num_accounts = max(int(num_transactions / A_DAY / NUM_DAYS), 1)
    train, test = _log(num_accounts)
    started = time.perf_counter()
    fitted = fit_fraud_model(train, FEATURES, FraudConfig(), num_threads=2)
    fit_s = time.perf_counter() - started
    started = time.perf_counter()
    _, state = fitted.model.score(test, fitted.state, num_threads=2)
    score_s = time.perf_counter() - started
    return {
        "rows": train.num_rows + test.num_rows,
        "accounts": num_accounts,
        "fit_s": fit_s,
        "scored": test.num_rows,
        "per_s": test.num_rows / score_s,
        "state_bytes": _bytes_an_account(state),
        "peak_mb": _peak_mb(),
    }


def measure_day(num_accounts: int) -> dict[str, float]:
    """Score the day after the training of copies of accounts."""
    train, test = _log(5000)
    fitted = fit_fraud_model(train, FEATURES, FraudConfig(), num_threads=2)
    first_day = test.filter(pa.array(np.floor(day_of(test)) == np.floor(day_of(test)[0])))
    state = fitted.state.grown(first_day[ACCOUNT_ID], first_day["counterparty_id"])
    copies = -(-num_accounts // len(state.account_ids))
    state = _copied(state, copies)
    table = _copied_rows(first_day, copies)
    fitted.model.score(first_day, fitted.state, num_threads=2)  # compiles
    started = time.perf_counter()
    scores, after = fitted.model.score(table, state, num_threads=2)
    scored = time.perf_counter()
    result = result_of_day(
        fitted.model, after, table, scores, table.slice(0, 0),
        day=START + timedelta(days=TRAIN_DAYS), config=AlertConfig(), with_labels=False,
    )  # fmt: skip
    alerts = result.explanations()
    alerted = time.perf_counter()
    result.transaction_scores()
    result.account_scores(bundle_id="0" * 64)
    ended = time.perf_counter()
    peak_mb = _peak_mb()
    plant_and_score(fitted.model, after, table, seed=0, num_threads=2)
    return {
        "canary_s": time.perf_counter() - ended,
        "canary_peak_mb": _peak_mb(),
        "accounts": len(state.account_ids),
        "rows": table.num_rows,
        "score_s": scored - started,
        "alerts_s": alerted - scored,
        "tables_s": ended - alerted,
        "total_s": ended - started,
        "alerts": len(alerts),
        "state_bytes": _bytes_an_account(state),
        "peak_mb": peak_mb,
    }


def _log(num_accounts: int) -> tuple[pa.Table, pa.Table]:
    """Days to learn from, and the others."""
    drawn = synthetic_transactions(
        num_accounts=num_accounts, num_days=NUM_DAYS, start=START, transactions_per_day=A_DAY
    )
    table = drawn.table.drop_columns(["is_fraud", "plant"])
    days_N = day_of(table) - np.floor(day_of(table)[0])
    num_train = int(np.searchsorted(days_N, TRAIN_DAYS))
    return table.slice(0, num_train), table.slice(num_train)


def _copied(state: ProfileState, copies: int) -> ProfileState:
    """Every account several times, all that is known of it included."""
    num_accounts = len(state.account_ids)
    arrays = {
        name: np.tile(array, (copies, *[1] * (array.ndim - 1)))
        if name.startswith("account_") or name in ("heat", "heat_day")
        else array
        for name, array in state.arrays().items()
    }
    ids = state.account_ids.lookup(np.arange(num_accounts))
    names = [f"{one}-{copy}" for copy in range(copies) for one in ids.to_pylist()]
    return from_arrays(Vocabulary(pa.array(names)), state.counterparty_ids, arrays)


def _copied_rows(table: pa.Table, copies: int) -> pa.Table:
    """The rows of every copy of the accounts, in the order of time."""
    places_N = np.repeat(np.arange(table.num_rows), copies)
    copy_N = np.tile(np.arange(copies), table.num_rows)
    repeated = table.take(pa.array(places_N))
    for column in (ACCOUNT_ID, TRANSACTION_ID):
        values = zip(repeated[column].to_pylist(), copy_N.tolist(), strict=True)
        named = pa.array([f"{value}-{copy}" for value, copy in values])
        repeated = repeated.set_column(repeated.column_names.index(column), column, named)
    return repeated


def _bytes_an_account(state: ProfileState) -> float:
    """Bytes of the arrays that have a row an account."""
    arrays: list[npt.NDArray[np.generic]] = [
        *state.accounts,
        state.cumulative_score,
        state.cumulative_day,
    ]
    return sum(array.nbytes for array in arrays) / max(len(state.account_ids), 1)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _powers(found: list[dict[str, float]]) -> str:
    def power(values: list[float]) -> float:
        sizes = [one["rows"] for one in found]
        return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])

    powers = {
        "fit": power([one["fit_s"] for one in found]),
        "time of scoring": power([one["scored"] / one["per_s"] for one in found]),
        "memory": power([one["peak_mb"] for one in found]),
    }
    return ", ".join(f"{name} {value:.2f}" for name, value in powers.items())


def _measured_apart(kind: str, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", f"{kind} {size}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
