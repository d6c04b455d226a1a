"""Small generated logs and models that are fitted on them once, for tests of the fraud scorer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import Plant, synthetic_transactions
from recsys.fraud.config import AutoencoderConfig, FraudConfig
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.scoring.booster import fit_booster
from recsys.fraud.scoring.scorer import booster_features, feature_names
from recsys.fraud.scoring.scores import Scores

DAY_US = 86_400_000_000
FEATURES = {
    "category": FeatureConfig(kind="categorical"),
    "channel": FeatureConfig(kind="categorical"),
    "country": FeatureConfig(kind="categorical"),
    "age": FeatureConfig(kind="numeric"),
}
QUICK = FraudConfig(autoencoder=AutoencoderConfig(num_steps=60))
"""Enough training for laws that hold of any model."""
FIRST_DAY = 19_723
"""The first day of generated logs, in days since 1970."""


def log_of(
    *, num_accounts: int = 80, num_days: int = 60, seed: int = 1, planted: Sequence[Plant] = ()
) -> pa.Table:
    """A generated log without its labels."""
    drawn = synthetic_transactions(
        num_accounts=num_accounts, num_days=num_days, seed=seed, planted=planted
    )
    return drawn.table.drop_columns(["is_fraud", "plant"])


def times_of(table: pa.Table) -> np.ndarray:
    """Times in microseconds since 1970."""
    return np.asarray(table["event_time"].cast(pa.int64()))


def days_of(table: pa.Table) -> np.ndarray:
    """Day of each transaction; the first day of a generated log is 0."""
    return times_of(table) // DAY_US - FIRST_DAY


def cut(table: pa.Table, day: int) -> tuple[pa.Table, pa.Table]:
    """The transactions before a day, and those from then on."""
    place = int(np.searchsorted(days_of(table), day))
    return table.slice(0, place), table.slice(place)


def with_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with other values in a column, or with one column more."""
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.column_names.index(name), name, values)


@functools.cache
def small_log() -> tuple[pa.Table, pa.Table]:
    """Forty days to fit on, and twenty later ones with some fraud."""
    plants = [
        Plant(kind=kind, day=42 + 2 * place)
        for place, kind in enumerate(("takeover", "card_testing", "bust_out", "bad_merchant"))
    ]
    return cut(log_of(planted=plants), 40)


@functools.cache
def small_fit() -> FittedFraud:
    """A scorer of the small log that weighs its evidence."""
    return fit_fraud_model(small_log()[0], FEATURES, QUICK, num_threads=1)


@functools.cache
def small_fit_with_trees() -> FittedFraud:
    """The same scorer with trees in the place of weights; what they learnt does not matter."""
    fitted = small_fit()
    model, table = fitted.model, small_log()[1]
    scores, _ = model.score(table, fitted.state, num_threads=1)
    booster = fit_booster(
        booster_features(model.evidence_names, scores.evidence, model.observe(table).coded),
        scores.calibrated.transaction_score > np.quantile(scores.calibrated.transaction_score, 0.9),
        names=feature_names(model.evidence_names),
        categorical=("context",),
        num_rounds=20,
        min_rows_per_leaf=10,
        seed=0,
        num_threads=1,
    )
    return replace(fitted, model=replace(model, scorer=replace(model.scorer, booster=booster)))


def arrays_of(scores: Scores) -> dict[str, np.ndarray]:
    """Everything that is said of transactions but the places of their accounts."""
    calibrated = scores.calibrated
    return {
        "evidence": scores.evidence,
        **{f"passed.{name}": array for name, array in scores.passed._asdict().items()},
        "surprise": calibrated.surprise,
        "own": calibrated.transaction_score,
        "heat": calibrated.cumulative_score,
        "combined": calibrated.combined,
        "anomaly_score": calibrated.anomaly_score,
    }
