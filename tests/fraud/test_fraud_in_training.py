"""Fraud that sits in the training log does not become what is normal, nor hide fraud after it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from small_transactions import FEATURES, cut, days_of

from recsys.datasets.synthetic.transactions import Plant, PlantKind, synthetic_transactions
from recsys.fraud.config import FraudConfig
from recsys.fraud.fitting.train import fit_fraud_model

FIRST_DAY, NUM_DAYS = 90, 125
KINDS: tuple[PlantKind, ...] = ("takeover", "card_testing", "bust_out", "bad_merchant")
ALERT_BUDGET = 10


def test_fraud_is_found_after_training_on_fraud() -> None:
    """With six frauds of each kind in training, nine in ten later ones are within a day's budget.

    Their kinds of evidence are known to come in episodes, so that they are trusted as weights.
    """
    in_training = [
        Plant(kind=kind, day=20 + 9 * number + place)
        for number in range(6)
        for place, kind in enumerate(KINDS)
    ]
    later = [
        Plant(kind=kind, day=FIRST_DAY + 2 + 7 * number + 2 * place)
        for number in range(3)
        for place, kind in enumerate(KINDS)
    ]
    drawn = synthetic_transactions(
        num_accounts=300, num_days=NUM_DAYS, seed=22, planted=[*in_training, *later]
    )
    training, rest = cut(drawn.table.drop_columns(["is_fraud", "plant"]), FIRST_DAY)
    fitted = fit_fraud_model(training, FEATURES, FraudConfig(), num_threads=2)
    scores, _ = fitted.model.score(rest, fitted.state, num_threads=2)
    frame = pd.DataFrame(
        {
            "transaction": rest["transaction_id"].to_pylist(),
            "account": rest["account_id"].to_pylist(),
            "day": days_of(rest),
            "combined": scores.calibrated.combined,
        }
    )
    highest = frame.groupby(["day", "account"])["combined"].max()
    ranks = highest.groupby("day").rank(ascending=False)
    best = [
        min(ranks[day, account] for day, account in zip(rows["day"], rows["account"], strict=True))
        for plant in drawn.plants
        if plant.first_day >= FIRST_DAY
        for rows in [frame[frame["transaction"].isin(plant.transaction_ids)]]
    ]

    assert fitted.report.lift_of_weights > 0.2
    assert len(best) == len(later)
    assert np.mean(np.array(best) <= ALERT_BUDGET) >= 0.9
