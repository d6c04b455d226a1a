"""What vectors of accounts are worth to a model downstream, beside hand-made aggregates.

    python benchmarks/account_vectors.py --data data/raw

The fraud scorer is fitted on the Sparkov log before 2020-06-21 without the columns that describe
account holders (gender, job, place, year of birth). From each account's transactions its vector is
made, and aggregates: counts a day, mean and spread of log amounts, shares of categories, of hours
and of weekdays, mean and spread of the log amount in each category, the number of merchants. A
logistic regression, its penalty chosen within the training part, learns the gender, and whether the
holder was born in 1975 or later, from four fifths of the accounts and is measured on the others, in
five folds, five times over. Writes a Markdown table: the mean AUC of the folds, and the standard
deviation between the five times, which says what the folds do and not what other accounts would.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.fraud.config import load_fraud_config
from pipelines.fraud.data import load_checked_transactions
from pipelines.jobs.console import Reporter
from pipelines.jobs.inputs import Inputs
from recsys.arrays import BoolArray, Float64Array
from recsys.compiled import num_threads
from recsys.datasets.transactions.days import day_number, rows_before, start_of
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.vectors.account_vectors import account_vectors

END = date(2020, 6, 21)
NUM_FOLDS = NUM_REPEATS = 5
CONFIG = Path(__file__).resolve().parents[1] / "pipelines" / "configs" / "sparkov.toml"


def main() -> None:
    """Print a row a kind of vector and label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--end", type=date.fromisoformat, default=END, help="first day left out")
    parser.add_argument("--folds-seed", type=int, default=0)
    arguments = parser.parse_args()
    path = arguments.data / "sparkov" / "transactions.parquet"
    if not path.is_file():
        print(f"skipped Sparkov: no {path}", file=sys.stderr)
        return
    config = load_fraud_config(CONFIG, data={"transactions": path})
    config = replace(config, features={"category": config.features["category"]})
    _, checked = load_checked_transactions(Inputs(), config, Reporter(quiet=True))
    table = rows_before(checked.table, start_of(arguments.end))
    fitted = fit_fraud_model(table, config.features, config.fraud, num_threads=num_threads())
    found = account_vectors(fitted.model, table, at=day_number(arguments.end))
    hand_made_AF = _aggregates(table, found.accounts.terms)
    labels = _labels(path, found.accounts.terms)
    inputs = {
        "account vector": found.vectors.astype(np.float64),
        "aggregates": hand_made_AF,
        "both": np.hstack([found.vectors, hand_made_AF]),
    }
    print("| input | columns | " + " | ".join(labels) + " |\n|---|---" + "|---" * len(labels) + "|")
    for name, x_AF in inputs.items():
        figures = " | ".join(
            _auc(x_AF, label_A, arguments.folds_seed) for label_A in labels.values()
        )
        print(f"| {name} | {x_AF.shape[1]} | {figures} |", flush=True)


def _auc(x_AF: Float64Array, label_A: BoolArray, seed: int) -> str:
    """Mean over the folds, and the standard deviation of the means of each time."""
    classifier = make_pipeline(
        StandardScaler(), LogisticRegressionCV(Cs=8, scoring="roc_auc", max_iter=2000)
    )
    folds = RepeatedStratifiedKFold(n_splits=NUM_FOLDS, n_repeats=NUM_REPEATS, random_state=seed)
    found = cross_val_score(classifier, x_AF, label_A, cv=folds, scoring="roc_auc")
    means = found.reshape(NUM_REPEATS, NUM_FOLDS).mean(1)
    return f"{means.mean():.4f} ± {means.std(ddof=1):.4f}"


def _labels(path: Path, accounts: pa.Array) -> dict[str, BoolArray]:
    """What is to be learnt of each account."""
    columns = pq.read_table(path, columns=["account_id", "gender", "birth_year"]).to_pandas()
    holders = columns.groupby("account_id").first().loc[accounts.to_pylist()]
    return {
        "gender, AUC": (holders["gender"] == "F").to_numpy(),
        "born in 1975 or later, AUC": (holders["birth_year"] >= 1975).to_numpy(),
    }


def _aggregates(table: pa.Table, accounts: pa.Array) -> Float64Array:
    """What one would compute by hand of an account's transactions."""
    names = ["account_id", "event_time", "amount", "category", "counterparty_id"]
    rows = table.select(names).to_pandas()
    rows["log_amount"] = np.log1p(rows["amount"])
    times = rows["event_time"].dt
    account = rows["account_id"]
    of_account = rows.groupby("account_id")
    span = (of_account["event_time"].max() - of_account["event_time"].min()).dt.days + 1
    in_category = rows.pivot_table(
        index="account_id", columns="category", values="log_amount", aggfunc=["mean", "std"]
    )
    parts = [
        np.log(of_account.size() / span),
        of_account["log_amount"].agg(["mean", "std"]),
        of_account["counterparty_id"].nunique(),
        in_category.fillna(in_category.mean()),
        *(
            pd.crosstab(account, values, normalize="index")
            for values in (rows["category"], times.hour, times.dayofweek)
        ),
    ]
    frames = [part.loc[accounts.to_pylist()].to_numpy(dtype=np.float64) for part in parts]
    return np.hstack([part.reshape(len(accounts), -1) for part in frames])


if __name__ == "__main__":
    main()
