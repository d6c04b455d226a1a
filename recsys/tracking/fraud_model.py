"""Code of the registered fraud scorer: MLflow runs this file when the model is loaded.

Nothing imports it. It is kept with every registered model, so it holds as little as it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pyarrow as pa

from recsys.schema import TRANSACTION_ID

if TYPE_CHECKING:
    from recsys.fraud.serving import FraudScorer


class RegisteredFraudModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types
    """Anomaly scores of the transactions in a table."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Open the bundles that were registered; each is checked against its digests."""
        from recsys.fraud.serving import load_fraud_scorer

        folders = {name: Path(path) for name, path in context.artifacts.items()}
        self._scorer: FraudScorer = load_fraud_scorer(folders["model"], folders["state"])

    def predict(
        self,
        context: mlflow.pyfunc.PythonModelContext,  # noqa: ARG002  MLflow passes it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """How unusual each transaction is, seen from the end of the training log.

        Args:
            context: Not used.
            model_input: Transactions later than the training log, in any order, with the columns
                of training. Times without a zone are UTC.
            params: Not used.

        Returns:
            One row a transaction, in the given order: transaction_id, anomaly_score.
        """
        ids = pa.array(model_input[TRANSACTION_ID], from_pandas=True)
        id_type = pa.int64() if pa.types.is_int64(ids.type) else pa.string()
        schema = self._scorer.schema(id_type)
        table = pa.Table.from_pandas(model_input, schema=schema, preserve_index=False, safe=False)
        scores: pd.DataFrame = self._scorer.score_table(table).to_pandas()
        return scores


mlflow.models.set_model(RegisteredFraudModel())
