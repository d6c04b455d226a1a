"""Whether p-values and false discovery rates of the fraud scorer are what they say.

    python benchmarks/fraud_calibration.py

A generated log: a model learns from 90 days without fraud. Under no fraud the p-values of later
transactions and account-days should be uniform, also a month after the end of the training
(Kolmogorov-Smirnov distance; each month is of 30 days). Then takeovers are planted in a share of
the account-days, and accounts are flagged day by day at a false discovery rate of 10 %: the share
of false ones among the flagged, and the share of the planted ones that were flagged. Writes two
Markdown tables.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import kstest

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic_transactions import Plant, synthetic_transactions
from recsys.datasets.transactions.days import day_of
from recsys.fraud.account_days import AccountDays
from recsys.fraud.alerts import AlertConfig, choose_alerts
from recsys.fraud.config import FraudConfig
from recsys.fraud.scores import Scores
from recsys.fraud.train import FittedFraud, fit_fraud_model

NUM_TRAIN_DAYS, MONTH = 90, 30
ALERTS = AlertConfig(mode="fdr", false_discovery_rate=0.1)
FEATURES = {name: FeatureConfig(kind="categorical") for name in ("category", "channel", "country")}


def main() -> None:
    """Print a table of distances and one of rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    normal = _log(arguments.accounts, arguments.seed, [])
    days_N = day_of(normal) - np.floor(day_of(normal)[0])
    train = normal.slice(0, int(np.searchsorted(days_N, NUM_TRAIN_DAYS)))
    fitted = fit_fraud_model(train, FEATURES, FraudConfig(seed=arguments.seed), num_threads=2)

    print("| days after the training, no fraud | transactions | account-days |")
    print("|---|---|---|")
    scores, days = _scored(fitted, normal)
    age_N = day_of(normal)[train.num_rows :] - np.floor(day_of(normal)[0]) - NUM_TRAIN_DAYS
    p_value_M = fitted.model.account_p_values(days, with_labels=False)
    age_M = days.day - np.floor(day_of(normal)[0]) - NUM_TRAIN_DAYS
    for start in (0, MONTH):
        of_rows = _distance(scores.judgement.p_value[(age_N >= start) & (age_N < start + MONTH)])
        of_days = _distance(p_value_M[(age_M >= start) & (age_M < start + MONTH)])
        print(f"| {start} to {start + MONTH} | {of_rows:.3f} | {of_days:.3f} |")

    print("\n| account-days with fraud | flagged | false discovery rate | found |")
    print("|---|---|---|---|")
    for share in (0.001, 0.01, 0.05):
        print(_row(fitted, arguments.accounts, arguments.seed, share))


def _log(num_accounts: int, seed: int, planted: list[Plant]) -> pa.Table:
    drawn = synthetic_transactions(
        num_accounts=num_accounts, num_days=NUM_TRAIN_DAYS + 2 * MONTH, seed=seed, planted=planted
    )
    return drawn.table


def _scored(fitted: FittedFraud, table: pa.Table) -> tuple[Scores, AccountDays]:
    """Scores of the rows after the training."""
    start = np.searchsorted(day_of(table) - np.floor(day_of(table)[0]), NUM_TRAIN_DAYS)
    rest = table.slice(int(start)).drop_columns(["is_fraud", "plant"])
    scores, _ = fitted.model.score(rest, fitted.state, num_threads=2)
    days = AccountDays.of(
        scores.account, day_of(rest), scores.judgement.combined, scores.passed.num_known
    )
    return scores, days


def _distance(p_value_N: npt.NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov distance from uniform."""
    return float(kstest(p_value_N, "uniform").statistic)


def _row(fitted: FittedFraud, num_accounts: int, seed: int, share: float) -> str:
    """Alerts of the first month with takeovers in a share of its account-days."""
    wanted = int(share * num_accounts * MONTH * 0.75 / 2)  # they last some two days
    rng = np.random.default_rng(seed)
    plants = [
        Plant(kind="takeover", day=NUM_TRAIN_DAYS + int(rng.integers(1, MONTH - 2)))
        for _ in range(max(wanted, 1))
    ]
    table = _log(num_accounts, seed, plants)
    _, days = _scored(fitted, table)
    start = np.searchsorted(day_of(table) - np.floor(day_of(table)[0]), NUM_TRAIN_DAYS)
    rest = table.slice(int(start))
    state = fitted.state.grown(rest["account_id"], rest["counterparty_id"])
    account_N = state.account_ids.numbers(rest["account_id"])
    is_fraud_N = np.asarray(rest["is_fraud"])
    keys_N = np.floor(day_of(rest)).astype(np.int64) * len(state.account_ids) + account_N
    keys_M = days.day * len(state.account_ids) + days.account
    fraud_M = np.isin(keys_M, keys_N[is_fraud_N])
    p_value_M = fitted.model.account_p_values(days, with_labels=False)
    in_month_M = days.day < np.floor(day_of(table)[0]) + NUM_TRAIN_DAYS + MONTH
    flagged_M = np.zeros(len(p_value_M), dtype=np.bool_)
    for day in np.unique(days.day[in_month_M]):
        of_day = days.day == day
        flagged_M[of_day] = choose_alerts(1 - p_value_M[of_day], p_value_M[of_day], ALERTS).alert
    flagged = int(flagged_M.sum())
    false = int((flagged_M & ~fraud_M).sum())
    found = (flagged_M & fraud_M).sum() / max(int((fraud_M & in_month_M).sum()), 1)
    contamination = (fraud_M & in_month_M).sum() / in_month_M.sum()
    return f"| {contamination:.2%} | {flagged:,} | {false / max(flagged, 1):.3f} | {found:.3f} |"


if __name__ == "__main__":
    main()
