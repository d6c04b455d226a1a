"""A model and the state of its accounts together: from transactions to scores.

Shapes: N transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import DataError
from recsys.fraud.embedding.inputs import HOUR, LOG_AMOUNT, WEEKDAY
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.storage.model_bundle import load_fraud_model
from recsys.fraud.storage.state_bundle import load_state
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    AMOUNT_TYPE,
    ANOMALY_SCORE,
    COUNTERPARTY_ID,
    CURRENCY,
    EVENT_TIME,
    EVENT_TIME_TYPE,
    TRANSACTION_ID,
)

_MADE_COLUMNS = (HOUR, WEEKDAY, LOG_AMOUNT)


@dataclass(frozen=True, kw_only=True, eq=False)
class FraudScorer:
    """Scores transactions later than the state; the state itself is not changed."""

    model: FraudModel
    """The fitted model."""
    state: ProfileState
    """What is known of the accounts."""

    def schema(self, transaction_id_type: pa.DataType) -> pa.Schema:
        """Columns that `score_table` reads.

        Args:
            transaction_id_type: Type of the transaction ids, int64 or string.
        """
        inputs = self.model.inputs
        types = {
            TRANSACTION_ID: transaction_id_type,
            ACCOUNT_ID: self.state.account_ids.terms.type,
            EVENT_TIME: EVENT_TIME_TYPE,
            AMOUNT: AMOUNT_TYPE,
        }
        required = set(types)
        if inputs.has_counterparty:
            types[COUNTERPARTY_ID] = self.state.counterparty_ids.terms.type
        if inputs.has_currency:
            types[CURRENCY] = pa.string()
        if inputs.context_terms is not None:
            types[inputs.context] = inputs.context_terms.terms.type
        types |= inputs.encoder.column_types
        return pa.schema(
            [
                pa.field(name, kind, nullable=name not in required)
                for name, kind in types.items()
                if name not in _MADE_COLUMNS
            ]
        )

    def score_table(self, table: pa.Table, *, num_threads: int = 1) -> pa.Table:
        """Anomaly scores of transactions in any order, none older than the state.

        Args:
            table: Columns of `schema`.
            num_threads: Threads of the trees; they do not change a score.

        Returns:
            transaction_id and anomaly_score, in the order of the table.

        Raises:
            DataError: Nulls or amounts that are not finite, or transactions older than the state.
        """
        _check_values(table)
        order_N = np.asarray(pc.sort_indices(table, sort_keys=[(EVENT_TIME, "ascending")]))
        scores, _ = self.model.score(
            table.take(pa.array(order_N)), self.state, num_threads=num_threads
        )
        anomaly_N = np.empty(table.num_rows)
        anomaly_N[order_N] = scores.calibrated.anomaly_score
        return pa.table({TRANSACTION_ID: table[TRANSACTION_ID], ANOMALY_SCORE: anomaly_N})


def load_fraud_scorer(model_folder: Path, state_folder: Path) -> FraudScorer:
    """Open a model and its state.

    Raises:
        ArtifactError: A bundle is missing or damaged.
        FingerprintMismatchError: The state belongs to another model.
    """
    model, bundle = load_fraud_model(model_folder)
    state = load_state(state_folder, model_fingerprint=bundle.fingerprint)
    return FraudScorer(model=model, state=state)


def _check_values(table: pa.Table) -> None:
    """Refuse transactions that cannot be scored."""
    for name in (TRANSACTION_ID, ACCOUNT_ID, EVENT_TIME, AMOUNT):
        num_wrong = table[name].null_count
        if name == AMOUNT:
            num_wrong += int(pc.sum(pc.invert(pc.is_finite(table[name]))).as_py() or 0)
        if num_wrong:
            raise DataError(
                file="transactions",
                column=name,
                expected="a value in every row, and finite amounts",
                got=f"{num_wrong} rows without",
                remedy="leave these rows out",
            )
