"""Small fitted fraud scorers for tests, each fitted once a process."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import synthetic_transactions
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.config import AutoencoderConfig, FraudConfig, LabelsConfig, MetaModelConfig
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.booster import fit_booster
from recsys.fraud.scoring.scorer import CONTEXT_FEATURES, booster_features

Kind = Literal["everything", "bare"]

CONFIG = FraudConfig(
    autoencoder=AutoencoderConfig(num_steps=5, max_rows=2000, hidden_dims=(16,)),
    labels=LabelsConfig(meta_model=MetaModelConfig(num_rounds=5)),
)
# In this order the encoder has a numeric column whose name sorts after those that come later.
FEATURES = {
    "years": FeatureConfig(kind="numeric"),
    "channel": FeatureConfig(kind="categorical"),
    "category": FeatureConfig(kind="categorical", min_count=2),
}
NUM_TRAINING_DAYS = 52


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallFraud:
    """A fitted scorer and the days after those that it was fitted on."""

    model: FraudModel
    """The scorer."""
    state: ProfileState
    """What it knows after the training days."""
    days: tuple[pa.Table, ...]
    """Transactions of each later day."""


@functools.cache
def small_fraud(kind: Kind) -> SmallFraud:
    """A scorer with everything that one can have, or of accounts, times and amounts alone."""
    table, features = (_rich_log(), FEATURES) if kind == "everything" else (_bare_log(), {})
    cuts = [_first_row(table, NUM_TRAINING_DAYS + day) for day in range(5)]
    labels = labels_of(table) if kind == "everything" else None
    fitted = fit_fraud_model(
        table.slice(0, cuts[0]), features, CONFIG, num_threads=1, labels=labels
    )
    days = tuple(table.slice(start, end - start) for start, end in itertools.pairwise(cuts))
    model = fitted.model if kind == "bare" else _with_trees(fitted.model, fitted.state, days[0])
    return SmallFraud(model=model, state=fitted.state, days=days)


def same_state(one: ProfileState, other: ProfileState) -> bool:
    """Whether two states have the same ids and the same bytes."""
    mine, yours = one.arrays(), other.arrays()
    tables = [(one.recent, other.recent), (one.alert_memory, other.alert_memory)]
    return (
        all(first == second for first, second in tables)
        and one.account_ids.terms.equals(other.account_ids.terms)
        and one.counterparty_ids.terms.equals(other.counterparty_ids.terms)
        and mine.keys() == yours.keys()
        and all(mine[name].dtype == yours[name].dtype for name in mine)
        and all(mine[name].shape == yours[name].shape for name in mine)
        and all(mine[name].tobytes() == yours[name].tobytes() for name in mine)
    )


def labels_of(table: pa.Table) -> ConfirmedLabels:
    """Labels of all transactions, as they are known after the training days: large amounts."""
    amounts = np.asarray(table["amount"])
    is_fraud = pa.array(amounts > np.quantile(amounts, 0.95))
    return ConfirmedLabels(
        table=pa.table({"transaction_id": table["transaction_id"], "is_fraud": is_fraud}),
        at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=NUM_TRAINING_DAYS),
    )


def _rich_log() -> pa.Table:
    table = synthetic_transactions(num_accounts=60, num_days=57, currency="EUR").table
    times = np.asarray(table["event_time"].cast(pa.int64()))
    yen = pa.array(np.where(times % 3 == 0, "JPY", "EUR"))
    table = table.set_column(table.column_names.index("currency"), "currency", yen)
    names = {"age": "years"}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    return table.drop_columns(["is_fraud", "plant", "country"])


def _bare_log() -> pa.Table:
    table = synthetic_transactions(num_accounts=60, num_days=57, seed=1).table
    return pa.table(
        {
            name: pa.array(Vocabulary.fit(table[name]).numbers(table[name]))
            if name.endswith("_id")
            else table[name]
            for name in ("transaction_id", "account_id", "event_time", "amount")
        }
    )


def _first_row(table: pa.Table, day: int) -> int:
    days_N = np.asarray(table["event_time"].cast(pa.int64())) // 86_400_000_000
    return int(np.searchsorted(days_N, days_N[0] + day))


def _with_trees(model: FraudModel, state: ProfileState, day: pa.Table) -> FraudModel:
    """The scorer with trees, which a small log does not earn."""
    scores, _ = model.score(day, state, num_threads=1)
    features_NF = booster_features(model.evidence_names, scores.evidence, model.observe(day).coded)
    booster = fit_booster(
        features_NF,
        scores.calibrated.transaction_score > np.median(scores.calibrated.transaction_score),
        names=[f"feature_{place}" for place in range(features_NF.shape[1])],
        categorical=[f"feature_{features_NF.shape[1] - len(CONTEXT_FEATURES) + 2}"],
        num_rounds=5,
        min_rows_per_leaf=5,
        seed=0,
        num_threads=1,
    )
    return replace(model, scorer=replace(model.scorer, booster=booster))
