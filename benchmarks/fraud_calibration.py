"""Whether p-values and false discovery rates of the fraud scorer are what they say.

    python benchmarks/fraud_calibration.py

Generated logs, one a seed: a model learns from 90 days without fraud. Under no fraud the p-values
of later transactions and account-days should be uniform, also a month after the end of the
training (Kolmogorov-Smirnov distance; each month is of 30 days). Then takeovers are planted in a
share of the account-days of the first month, and accounts are flagged night by night at a false
discovery rate of 10 %: the share of false ones among the flagged account-days of the month, and
the share of the planted ones that were flagged, or whose account had been flagged earlier in the
same fraud. Means over the seeds with their standard errors. Writes two Markdown tables.

`--train-fraud 0.005` plants takeovers in such a share of the account-days of the training too.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import kstest

from recsys.arrays import BoolArray, Float64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import Plant, synthetic_transactions
from recsys.datasets.transactions.days import day_of
from recsys.fraud.alerts.alert_memory import AlertMemory
from recsys.fraud.alerts.selection import AlertConfig, choose_alerts
from recsys.fraud.config import FraudConfig
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.scores import Scores

NUM_TRAIN_DAYS, MONTH = 90, 30
FIRST_TRAIN_PLANT = 20  # accounts have some history by then
SHARES = (0.0, 0.001, 0.01, 0.05)
ALERTS = AlertConfig(mode="fdr", false_discovery_rate=0.1)
FEATURES = {name: FeatureConfig(kind="categorical") for name in ("category", "channel", "country")}


def main() -> None:
    """Print a table of distances and one of rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--train-fraud", type=float, default=0.0)
    given = parser.parse_args()
    runs = [
        _measured(_Log(num_accounts=given.accounts, seed=seed, train_share=given.train_fraud))
        for seed in range(given.seed, given.seed + given.seeds)
    ]

    print("| days after the training, no fraud | transactions | account-days |")
    print("|---|---|---|")
    for place, start in enumerate((0, MONTH)):
        distances = np.array([distances[place] for distances, _ in runs])
        print(
            f"| {start} to {start + MONTH} | {_mean(distances[:, 0])} | {_mean(distances[:, 1])} |"
        )

    print("\n| account-days with fraud | flagged | false discovery rate | found |")
    print("|---|---|---|---|")
    for place in range(len(SHARES)):
        rates = np.array([rates[place] for _, rates in runs])
        print(
            f"| {np.nanmean(rates[:, 0]):.2%} | {rates[:, 1].mean():,.1f} "
            f"| {_mean(rates[:, 2])} | {_mean(rates[:, 3])} |"
        )


@dataclass(frozen=True, kw_only=True)
class _Log:
    """Which log is drawn."""

    num_accounts: int
    seed: int
    train_share: float

    def table(self, share: float) -> pa.Table:
        """The log with takeovers in a share of the account-days of the month after the training."""
        rng = np.random.default_rng(self.seed)
        plants = self._plants(rng, self.train_share, FIRST_TRAIN_PLANT, NUM_TRAIN_DAYS)
        plants += self._plants(rng, share, NUM_TRAIN_DAYS + 1, NUM_TRAIN_DAYS + MONTH)
        drawn = synthetic_transactions(
            num_accounts=self.num_accounts,
            num_days=NUM_TRAIN_DAYS + 2 * MONTH,
            seed=self.seed,
            planted=plants,
        )
        return drawn.table

    def _plants(self, rng: np.random.Generator, share: float, first: int, end: int) -> list[Plant]:
        wanted = share * self.num_accounts * (end - first) * 0.75 / 2  # they last some two days
        if not share:
            return []
        days = rng.integers(first, end - 2, size=max(round(wanted), 1))
        return [Plant(kind="takeover", day=int(day)) for day in days]


def _measured(log: _Log) -> tuple[list[tuple[float, float]], list[tuple[float, ...]]]:
    """Distances of each month, and rates of each share of fraud."""
    normal = log.table(0.0)
    train = normal.slice(0, _first_row(normal, NUM_TRAIN_DAYS))
    fitted = fit_fraud_model(train, FEATURES, FraudConfig(seed=log.seed), num_threads=2)
    distances = _distances(fitted, normal)
    return distances, [_rates(fitted, log.table(share)) for share in SHARES]


def _distances(fitted: FittedFraud, normal: pa.Table) -> list[tuple[float, float]]:
    """Distance from uniform of transactions and of account-days in each month."""
    scores, days, rest = _scored(fitted, normal)
    end = np.floor(day_of(normal)[0]) + NUM_TRAIN_DAYS
    p_value_M = fitted.model.account_p_values(days, with_labels=False)
    return [
        (
            _distance(scores.calibrated.p_value[_in_month(day_of(rest) - end, start)]),
            _distance(p_value_M[_in_month(days.day - end, start)]),
        )
        for start in (0, MONTH)
    ]


def _rates(fitted: FittedFraud, table: pa.Table) -> tuple[float, float, float, float]:
    """Share of fraud, number flagged, false discovery rate and share found in the first month."""
    end = _first_row(table, NUM_TRAIN_DAYS + MONTH)
    scores, days, rest = _scored(fitted, table.slice(0, end))
    keys_N = np.floor(day_of(rest)).astype(np.int64) * 10**9 + scores.account
    is_fraud_M = np.isin(days.day * 10**9 + days.account, keys_N[np.asarray(rest["is_fraud"])])
    alert_M = _night_by_night(days, fitted.model.account_p_values(days, with_labels=False))
    found_M = is_fraud_M & (alert_M | _flagged_before(days, alert_M & is_fraud_M))
    num_alerts = int(alert_M.sum())
    return (
        float(is_fraud_M.mean()),
        float(num_alerts),
        float((alert_M & ~is_fraud_M).sum() / max(num_alerts, 1)),
        float(found_M.sum() / is_fraud_M.sum()) if is_fraud_M.any() else float("nan"),
    )


def _night_by_night(days: AccountDays, p_value_M: Float64Array) -> BoolArray:
    """Which account-days are flagged, each night knowing those before. Shape (M,)."""
    alert_M = np.zeros(len(days), dtype=np.bool_)
    memory = AlertMemory.of(None)
    for day in np.unique(days.day):
        of_day = np.flatnonzero(days.day == day)
        account_A, p_value_A = days.account[of_day], p_value_M[of_day]
        earlier = memory.earlier(int(day), account_A, ALERTS)
        alert_M[of_day] = choose_alerts(1 - p_value_A, p_value_A, ALERTS, earlier).alert
        memory = memory.followed_by(
            int(day), account_A, p_value_A, alert_M[of_day],
            tested_A=~earlier.flagged_lately, config=ALERTS,
        )  # fmt: skip
    return alert_M


def _flagged_before(days: AccountDays, alert_M: BoolArray) -> BoolArray:
    """Whether the account was flagged on one of the days on which it is not flagged again."""
    gap_MM = days.day[:, None] - days.day[alert_M]
    is_same_MM = days.account[:, None] == days.account[alert_M]
    return np.asarray((is_same_MM & (gap_MM > 0) & (gap_MM <= ALERTS.repeat_days)).any(axis=1))


def _scored(fitted: FittedFraud, table: pa.Table) -> tuple[Scores, AccountDays, pa.Table]:
    """Scores of the rows after the training, and these rows."""
    rest = table.slice(_first_row(table, NUM_TRAIN_DAYS))
    unlabelled = rest.drop_columns(["is_fraud", "plant"])
    scores, _ = fitted.model.score(unlabelled, fitted.state, num_threads=2)
    days = AccountDays.of(
        scores.account, day_of(rest), scores.calibrated.combined, scores.passed.num_known
    )
    return scores, days, rest


def _first_row(table: pa.Table, day: int) -> int:
    """The first row of a day of the log."""
    return int(np.searchsorted(day_of(table) - np.floor(day_of(table)[0]), day))


def _in_month(age_N: Float64Array, start: int) -> BoolArray:
    return np.asarray((age_N >= start) & (age_N < start + MONTH))


def _distance(p_value_N: Float64Array) -> float:
    """Kolmogorov-Smirnov distance from uniform."""
    return float(kstest(p_value_N, "uniform").statistic)


def _mean(values: Float64Array) -> str:
    """Mean with its standard error."""
    if np.isnan(values).all():
        return ""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.3f} ± {error:.3f}"


if __name__ == "__main__":
    main()
