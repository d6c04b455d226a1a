"""A generated log with plants of every kind, and a model that was fitted before them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import (
    Plant,
    Planted,
    SyntheticTransactions,
    synthetic_transactions,
)
from recsys.fraud.config import FraudConfig
from recsys.fraud.explain import ScoredDay
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.scores import Scores

FIRST_DAY = 75
FEATURES = {
    **{name: FeatureConfig(kind="categorical") for name in ("category", "channel", "country")},
    "age": FeatureConfig(kind="numeric"),
}


@dataclass(frozen=True, eq=False)
class ScoredLog:
    """The days after training, scored at once."""

    log: SyntheticTransactions
    model: FraudModel
    history: pa.Table
    table: pa.Table
    scores: Scores
    state: ProfileState
    days: np.ndarray

    @cached_property
    def is_fraud(self) -> np.ndarray:
        """Whether a scored transaction is fraud."""
        return np.asarray(self.log.table["is_fraud"])[self.history.num_rows :]

    @cached_property
    def account_days(self) -> dict[tuple[int, int], float]:
        """The highest combined score of each account on each day."""
        highest: dict[tuple[int, int], float] = {}
        rows = zip(self.scores.account, self.days, self.scores.calibrated.combined, strict=True)
        for account, day, score in rows:
            key = int(account), int(day)
            highest[key] = max(float(score), highest.get(key, -np.inf))
        return highest

    def day(self, day: int) -> ScoredDay:
        """One day; the state is that after the last day of the log."""
        first, end = np.searchsorted(self.days, [day, day + 1])
        earlier = self.table.slice(0, int(first)).select(self.history.column_names)
        return ScoredDay(
            model=self.model,
            state=self.state,
            table=self.table[int(first) : int(end)],
            scores=self.scores.where(self.days == day),
            history=pa.concat_tables([self.history, earlier]),
        )

    def worst_day(self, plant: Planted) -> tuple[int, int]:
        """Account and day on which the fraud of a plant scored highest."""
        is_own = pc.is_in(self.table["transaction_id"], value_set=pa.array(plant.transaction_ids))
        rows = np.flatnonzero(np.asarray(is_own) & self.is_fraud)
        pairs = {(int(self.scores.account[row]), int(self.days[row])) for row in rows}
        return max(pairs, key=lambda pair: self.account_days[pair])

    def rank(self, account: int, day: int) -> int:
        """Place of an account among those of its day."""
        own = self.account_days[account, day]
        return 1 + sum(own < other for (_, at), other in self.account_days.items() if at == day)


def drawn_log(*, seed: int) -> SyntheticTransactions:
    """Twenty-odd plants after training; those on many accounts do not overlap."""
    planted = []
    for turn in range(5):
        day = FIRST_DAY + 1 + 12 * turn
        planted += [
            Plant(kind="takeover", day=day),
            Plant(kind="card_testing", day=day + 2),
            Plant(kind="takeover", day=day + 3),
            Plant(kind="card_testing", day=day + 4),
            Plant(kind="bust_out", day=day + 5),
            Plant(kind="bad_merchant", day=day + 8),
            Plant(kind="slow_drift", day=FIRST_DAY + 7 * turn),
        ]
    return synthetic_transactions(
        num_accounts=300, num_days=140, seed=seed, planted=planted, currency="USD"
    )


def days_of(log: SyntheticTransactions) -> np.ndarray:
    """Day of each transaction; the first one of the log is 0."""
    midnights = np.asarray(pc.cast(log.table["event_time"], pa.int64())) // 86_400_000_000
    return midnights - midnights[0]


@cache
def scored_log(*, seed: int) -> ScoredLog:
    """The days after training, scored by what was learnt before."""
    log = drawn_log(seed=seed)
    days = days_of(log)
    table = log.table.drop_columns(["is_fraud", "plant"])
    num_fit = int(np.searchsorted(days, FIRST_DAY))
    fitted = fit_fraud_model(table.slice(0, num_fit), FEATURES, FraudConfig(), num_threads=2)
    later = table.slice(num_fit)
    scores, state = fitted.model.score(later, fitted.state, num_threads=2)
    return ScoredLog(
        log=log,
        model=fitted.model,
        history=table.slice(0, num_fit),
        table=later,
        scores=scores,
        state=state,
        days=days[num_fit:],
    )
