"""How far labels that come 7 days late can lead on the log of the Fraud Detection Handbook.

    python benchmarks/handbook_bound.py --data data/raw

The log is simulated by known rules (Le Borgne et al. 2022, chapter 3, "Transaction data
simulator"):

1. Amounts over 220 are fraud.
2. Two of 10,000 terminals a day turn bad, for 28 days: all their transactions are fraud.
3. Three of 5,000 customers a day lose their card, for 14 days: a third of their transactions are
   fraud, with five times the amount.

So the probability that a transaction is fraud, given all that can be known when it happens, is
computed by Bayes' rule: from the amounts of the customer up to then, the labels from 7 days before
on, and the rules. Beyond what a score could know, it is told the true mean amount of each customer
and the rule behind each confirmed fraud. Ranking by it has the highest expected AUC. On a given
week a score may do better by luck, so three lines are printed for each week:

- posterior: what that ranking reaches on the true labels;
- its expectation: the mean over labels that are drawn from the probabilities, with the standard
  error of that mean;
- plain oracle: told all frauds of rules 1 and 3, and those of rule 2 at terminals with a confirmed
  fraud of it 7 to 28 days back; the rest at random (mean and standard error over draws).

The last line is the mean over the weeks before the test week, with the standard error over weeks.

Cards are ranked by the probability of any fraud of theirs on the day up to its end. Weeks are
measured as by `recsys benchmark fraud --drop-known-compromised`. Writes a Markdown table.

Shapes: N transactions, W of them in a week, K of these kept, S days up to one of them, L days left
of a compromise.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import norm

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.compiled import compiled
from recsys.datasets.transactions.days import day_number
from recsys.fraud.evaluation.benchmark import TestRows
from recsys.fraud.evaluation.metrics import (
    auc,
    average_precision,
    card_precision,
    known_compromised,
)

DELAY_DAYS = 7
WEEK_DAYS = 7
US_PER_DAY = 86_400e6
LIMIT = 220.0
NUM_DRAWS = 40
TEST_WEEK = date(2018, 7, 25)
EARLIER_WEEKS = tuple(date(2018, 6, 6) + timedelta(days=7 * week) for week in range(6))
HEADER = (
    "| week from | ranking | frauds expected, true | AUC | AP | card precision |\n" + "|---" * 6
)
_RAISED_SHARE, _RAISE = 1 / 3, 5.0
_CERTAIN = 30.0  # nats
_MOST = 300.0
_LOOK_BACK = 3  # times the length of a compromise; what is older says next to nothing
# Amounts are normal with half the mean as deviation; negative ones are drawn again, evenly up to
# twice the mean. So this much of the mean is the mean.
_NEGATIVE = float(norm.cdf(-2))
_MEAN_FACTOR = float(norm.cdf(2) + norm.pdf(2) / 2) + _NEGATIVE


class Compromise(NamedTuple):
    """How compromises come and go."""

    share: float
    """Of all terminals or customers, for which one begins on a day."""
    length: int
    """Days that it lasts."""


_TERMINALS = Compromise(share=2 / 10_000, length=28)
_CUSTOMERS = Compromise(share=3 / 5_000, length=14)


@dataclass(frozen=True, kw_only=True, eq=False)
class Log:
    """Transactions in the order of time."""

    account: Int64Array
    terminal: Int64Array
    time: Float64Array
    amount: Float64Array
    scenario: Int64Array

    @property
    def day(self) -> Int64Array:
        """Whole days since 1970."""
        return np.floor(self.time).astype(np.int64)


def main() -> None:
    """Print three rows a week, and what the earlier weeks come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    log = load(parser.parse_args().data / "handbook" / "transactions.parquet")
    print(f"{HEADER}|")
    found = []
    for start in (*EARLIER_WEEKS, TEST_WEEK):
        reached, lines = reached_in_week(log, start)
        print("\n".join(lines), flush=True)
        found.append(reached)
    print(line("earlier", "posterior", "", found[: len(EARLIER_WEEKS)]))


def load(path: Path) -> Log:
    """The log with the rule behind each fraud."""
    table = pq.read_table(path).sort_by(
        [("event_time", "ascending"), ("transaction_id", "ascending")]
    )
    names = ("account_id", "terminal_id", "fraud_scenario")
    account_N, terminal_N, scenario_N = (np.asarray(table[name]).astype(np.int64) for name in names)
    time_N = np.asarray(table["event_time"]).astype("datetime64[us]").astype(np.int64) / US_PER_DAY
    return Log(
        account=account_N,
        terminal=terminal_N,
        time=time_N,
        amount=np.asarray(table["amount"]),
        scenario=scenario_N,
    )


def reached_in_week(log: Log, start: date) -> tuple[Float64Array, list[str]]:
    """What the posterior reaches in one week, and the lines of the table."""
    week, rows = measured(log, start)
    fraud_W = fraud_probability(log, week)
    card_W = any_of_day(rows, fraud_W)
    reached = measure(rows, fraud_W, card_W)
    rng = np.random.default_rng(0)
    drawn, informed = [], []
    is_old_W = (log.scenario[week] == 2) & has_old_fraud(log, week)
    informed_W = np.isin(log.scenario[week], (1, 3)) | is_old_W
    for _ in range(NUM_DRAWS):
        other = replace(rows, is_fraud=rng.random(len(week)) < fraud_W)
        drawn.append(measure(other, fraud_W, card_W))
        informed.append(measure(rows, informed_W + rng.random(len(week))))
    counts = f"{fraud_W[rows.keep].sum():.0f}, {rows.is_fraud[rows.keep].sum()}"
    return reached, [
        line(start, "posterior", counts, [reached]),
        line(start, "its expectation", counts, drawn),
        line(start, "plain oracle", counts, informed),
    ]


def fraud_probability(log: Log, week: Int64Array) -> Float64Array:
    """Probability that each transaction of a week is fraud. Shape (W,)."""
    by_no_rule_W = (1 - terminal_is_bad(log, week)) * (1 - card_is_stolen(log, week))
    return np.where(log.amount[week] > LIMIT, 1.0, 1 - by_no_rule_W)


def measured(log: Log, start: date) -> tuple[Int64Array, TestRows]:
    """Places of the rows of a week, and what is measured on them."""
    first = day_number(start)
    is_known_N = known_compromised(
        log.account,
        log.day,
        log.scenario > 0,
        train_end_day=first - DELAY_DAYS,
        test_start_day=first,
    )
    week = np.flatnonzero((log.day >= first) & (log.day < first + WEEK_DAYS))
    return week, TestRows(
        account=log.account[week],
        day=log.time[week],
        is_fraud=log.scenario[week] > 0,
        keep=~is_known_N[week],
    )


def terminal_is_bad(log: Log, week: Int64Array) -> Float64Array:
    """Probability that the terminal of each transaction is bad. Shape (W,)."""
    # The third rule has the last word on the scenario, so its frauds say nothing of a terminal.
    known_N = np.select([log.scenario == 2, log.scenario == 3], [_CERTAIN, 0.0], -_CERTAIN)
    said_N2 = np.stack([np.zeros(len(known_N)), known_N], axis=1)
    return is_active(log.terminal, log.time, said_N2, week, _TERMINALS)


def card_is_stolen(log: Log, week: Int64Array) -> Float64Array:
    """Probability that each transaction is fraud by the third rule. Shape (W,)."""
    is_raised_N = log.scenario == 3
    usual_N = np.where(is_raised_N, log.amount / _RAISE, log.amount)
    mean_A = np.bincount(log.account, usual_N) / np.maximum(np.bincount(log.account), 1)
    mean_N = np.maximum(mean_A[log.account] / _MEAN_FACTOR, 1.0)
    ratio_N = density(log.amount / _RAISE, mean_N) / _RAISE / density(log.amount, mean_N)
    other, raised_N = 1 - _RAISED_SHARE, _RAISED_SHARE * ratio_N
    known_N = np.where(is_raised_N, _CERTAIN, np.log(other))
    said_N2 = np.stack([np.log(raised_N + other), known_N], axis=1)
    active_W = is_active(log.account, log.time, said_N2, week, _CUSTOMERS)
    raised_W = raised_N[week]
    return active_W * raised_W / (active_W * (raised_W + other) + 1 - active_W)


def density(amount_N: Float64Array, mean_N: Float64Array) -> Float64Array:
    """Density of an amount of a customer."""
    normal_N = norm.pdf(amount_N, mean_N, mean_N / 2)
    even_N = np.where(amount_N <= 2 * mean_N, _NEGATIVE / (2 * mean_N), 0)
    return np.maximum(normal_N + even_N, np.exp(-_CERTAIN))


def is_active(
    group_N: Int64Array,
    time_N: Float64Array,
    said_N2: Float64Array,
    week: Int64Array,
    rule: Compromise,
) -> Float64Array:
    """Probability that a compromise of the group goes on at each transaction of a week.

    Args:
        group_N: Terminal or customer.
        time_N: Times in days, ascending.
        said_N2: Log likelihood ratio of a transaction within a compromise to one without, while its
            label is open and once it is known.
        week: Places of the transactions.
        rule: How compromises come and go.

    Returns:
        Shape (W,), by the forward algorithm over the days that a compromise has left.
    """
    order_N = np.argsort(group_N, kind="stable")
    before_N = np.full(len(order_N), -1)
    is_same = group_N[order_N][1:] == group_N[order_N][:-1]
    before_N[order_N[1:][is_same]] = order_N[:-1][is_same]
    return _active(before_N, time_N, said_N2, week, rule)


@compiled
def _active(
    before_N: Int64Array,
    time_N: Float64Array,
    said_N2: Float64Array,
    week: Int64Array,
    rule: Compromise,
) -> Float64Array:
    """`is_active`; the transaction of the group before each one, -1 before its first, is given."""
    num_days = _LOOK_BACK * rule.length
    probability_W = np.empty(len(week))
    for turn, row in enumerate(week):
        first_day = np.floor(time_N[row]) - num_days + 1
        said_S = np.zeros(num_days)
        other = before_N[row]
        while other >= 0 and time_N[other] >= first_day:
            is_known = int(time_N[other] + DELAY_DAYS <= time_N[row])
            said_S[int(time_N[other] - first_day)] += said_N2[other, is_known]
            other = before_N[other]
        left_L = np.zeros(rule.length + 1)
        left_L[0] = 1.0
        for day in range(num_days):
            left_L[0] += left_L[1]
            left_L[1:-1] = left_L[2:]
            left_L *= 1 - rule.share
            left_L[-1] = rule.share
            left_L[1:] *= np.exp(min(said_S[day], _MOST))
            left_L /= left_L.sum()
        probability_W[turn] = left_L[1:].sum()
    return probability_W


def has_old_fraud(log: Log, week: Int64Array) -> BoolArray:
    """Whether the terminal has a fraud of the second rule that is 7 to 28 days old. Shape (W,)."""
    last_M = np.full(log.terminal.max() + 1, -np.inf)
    is_informed_W = np.zeros(len(week), dtype=np.bool_)
    frauds = np.flatnonzero(log.scenario == 2)
    known = 0
    for turn, row in enumerate(week):
        while known < len(frauds) and log.time[frauds[known]] + DELAY_DAYS <= log.time[row]:
            last_M[log.terminal[frauds[known]]] = log.time[frauds[known]]
            known += 1
        is_informed_W[turn] = log.time[row] - last_M[log.terminal[row]] < _TERMINALS.length
    return is_informed_W


def any_of_day(rows: TestRows, fraud_W: Float64Array) -> Float64Array:
    """Probability that any transaction of the account on the day is fraud. Shape (W,)."""
    pair_W = np.unique(
        np.stack([rows.account, np.floor(rows.day).astype(np.int64)]), axis=1, return_inverse=True
    )[1].ravel()
    none_P = np.bincount(pair_W, np.log1p(-np.minimum(fraud_W, 1 - 1e-12)))
    return np.asarray(-none_P[pair_W])  # ascends with the probability, and tells 1 from almost 1


def measure(
    rows: TestRows, score_W: Float64Array, card_W: Float64Array | None = None
) -> Float64Array:
    """AUC, AP and card precision@100, the last by a score of its own where one is given."""
    keep, truth_K = rows.keep, rows.is_fraud[rows.keep]
    days_K = np.floor(rows.day[keep]).astype(np.int64)
    by_card_K = (score_W if card_W is None else card_W)[keep]
    return np.array([
        auc(score_W[keep], truth_K),
        average_precision(score_W[keep], truth_K),
        card_precision(by_card_K, truth_K, rows.account[keep], days_K),
    ])  # fmt: skip


def line(start: date | str, name: str, counts: str, found: list[Float64Array]) -> str:
    """A row of the table: means, and their standard errors where there are several."""
    cells = [f"{mean:.4f}" for mean in np.mean(found, axis=0)]
    if len(found) > 1:
        errors = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
        cells = [f"{cell} ± {error:.4f}" for cell, error in zip(cells, errors, strict=True)]
    return f"| {start} | {name} | {counts} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
