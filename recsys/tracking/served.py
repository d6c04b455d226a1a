"""Models as the registry serves them: bundles, code that opens them, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.artifacts import Bundle
from recsys.schema import ANOMALY_SCORE, TRANSACTION_ID, USER_ID, recommendations_schema

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """Everything that a registered model consists of."""

    code: Path
    """A file that calls `mlflow.models.set_model`; it is run when the model is loaded."""
    bundles: Mapping[str, Bundle]
    """Bundles by role; the code finds their folders under these names."""
    inputs: pa.Schema
    """Columns that it takes."""
    outputs: pa.Schema
    """Columns that it answers."""
    params: Mapping[str, int]
    """Parameters of a call, with their defaults."""
    packages: tuple[str, ...] = ()
    """Packages that it needs beside those that every registered model needs."""
    input_example: pd.DataFrame | None = None
    """Rows that the model is tried on when it is registered. They are kept with it."""


def served_recommender(
    *,
    model: Bundle,
    index: Bundle | None,
    user_id_type: pa.DataType,
    item_id_type: pa.DataType,
    k: int,
) -> ServedModel:
    """A recommender: a column of users in, ranked items out.

    Args:
        model: The trained model.
        index: The index of its items; None when the model needs none.
        user_id_type: Type of the user ids, int64 or string.
        item_id_type: Type of the item ids, int64 or string.
        k: Length of the lists where a call does not pass the parameter `k`.
    """
    return ServedModel(
        code=Path(__file__).with_name("recommender_model.py"),
        bundles={"model": model} | ({} if index is None else {"index": index}),
        inputs=pa.schema([pa.field(USER_ID, user_id_type, nullable=False)]),
        outputs=recommendations_schema(user_id_type, item_id_type),
        params={"k": k},
    )


def served_fraud_model(*, model: Bundle, state: Bundle, inputs: pa.Schema) -> ServedModel:
    """A fraud scorer: transactions in, anomaly scores out, as of the end of the training log.

    Args:
        model: The trained model.
        state: What is known of the accounts at the end of the training log.
        inputs: Columns of transactions that the model reads, their ids among them.
    """
    scores = pa.field(ANOMALY_SCORE, pa.float64(), nullable=False)
    return ServedModel(
        code=Path(__file__).with_name("fraud_model.py"),
        bundles={"model": model, "state": state},
        inputs=inputs,
        outputs=pa.schema([inputs.field(TRANSACTION_ID), scores]),
        params={},
        packages=("lightgbm", "numba"),
    )
