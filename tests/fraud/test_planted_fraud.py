"""Planted fraud in the days after training on a clean log: what is found, and what it costs.

Shapes: N transactions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_transactions import FEATURES, cut, days_of

from recsys.datasets.synthetic.transactions import (
    Plant,
    Planted,
    PlantKind,
    synthetic_transactions,
)
from recsys.fraud.config import FraudConfig
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model

FIRST_DAY, NUM_DAYS, PLANTS_OF_A_KIND = 75, 126, 3
KINDS: tuple[PlantKind, ...] = (
    "takeover",
    "card_testing",
    "bust_out",
    "bad_merchant",
    "slow_drift",
)
ALERT_BUDGET = 10


@dataclass(frozen=True, eq=False)
class Scored:
    """The days after training with their scores and the truth about them."""

    fitted: FittedFraud
    table: pa.Table
    plants: tuple[Planted, ...]
    combined: np.ndarray
    p_value: np.ndarray

    @property
    def is_planted(self) -> np.ndarray:
        """Which transactions were planted. Shape (N,)."""
        ids = self.table["transaction_id"].to_pylist()
        return np.array([name.startswith("p") for name in ids])


@functools.cache
def scored() -> Scored:
    """One model for all tests: trained on 75 clean days, scored on the 51 days with the plants."""
    plants = [
        Plant(kind=kind, day=FIRST_DAY + 4 + 3 * number + place)
        for number in range(PLANTS_OF_A_KIND)
        for place, kind in enumerate(KINDS)
    ]
    drawn = synthetic_transactions(num_accounts=300, num_days=NUM_DAYS, seed=1, planted=plants)
    training, later = cut(drawn.table.drop_columns(["is_fraud", "plant"]), FIRST_DAY)
    fitted = fit_fraud_model(training, FEATURES, FraudConfig(), num_threads=2)
    scores, _ = fitted.model.score(later, fitted.state, num_threads=2)
    return Scored(
        fitted=fitted,
        table=later,
        plants=drawn.plants,
        combined=scores.calibrated.combined,
        p_value=scores.calibrated.p_value,
    )


def best_rank(of: Scored, plant: Planted) -> int:
    """The best place of an account of the plant among the accounts of a day, over its days.

    Accounts of a day stand in the order of their highest combined score.
    """
    rows = pd.DataFrame(
        {
            "account": of.table["account_id"].to_pylist(),
            "day": days_of(of.table),
            "score": of.combined,
            "is_planted": np.isin(of.table["transaction_id"].to_pylist(), plant.transaction_ids),
        }
    )
    account_days = rows.groupby(["day", "account"]).agg("max")
    ranks = account_days.groupby("day")["score"].rank(ascending=False, method="max")
    return int(ranks[account_days["is_planted"]].min())


@pytest.mark.parametrize("kind", KINDS)
def test_every_plant_is_among_the_ten_accounts_of_a_day(kind: PlantKind) -> None:
    """All three plants of each kind come among the ten highest of the accounts of some day."""
    ranks = [best_rank(scored(), plant) for plant in scored().plants if plant.kind == kind]
    assert len(ranks) == PLANTS_OF_A_KIND
    assert max(ranks) <= ALERT_BUDGET, f"{kind}: best places {ranks}"


def test_normal_transactions_raise_no_more_alarms_than_they_claim() -> None:
    """After training, at most 2 % of normal transactions have a p-value below 1 %."""
    normal = scored().p_value[~scored().is_planted]
    assert (normal < 0.01).mean() <= 0.02
    assert (normal < 0.1).mean() <= 0.15
    assert (normal < 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_planted_transactions_are_told_from_normal_ones() -> None:
    """A planted transaction scores higher than a normal one in nine pairs of ten."""
    planted = scored().combined[scored().is_planted]
    normal = np.sort(scored().combined[~scored().is_planted])
    assert np.searchsorted(normal, planted).mean() / len(normal) > 0.9


def test_a_clean_log_is_judged_without_trees() -> None:
    """Where training saw no fraud, no trust is claimed and no trees are used."""
    assert scored().fitted.model.scorer.booster is None
    assert scored().fitted.report.lift_of_weights < 0.1
