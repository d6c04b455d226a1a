"""Code of the registered recommender: MLflow runs this file when the model is loaded.

Nothing imports it. It is kept with every registered model, so it holds as little as it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pyarrow as pa

from recsys.schema import USER_ID

if TYPE_CHECKING:
    from recsys.recommender.serving import Recommender


class RecommenderModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types
    """Recommendations for the users in a table."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Open the bundles that were registered; each is checked against its digests."""
        from recsys.recommender.serving import load_recommender

        folders = {name: Path(path) for name, path in context.artifacts.items()}
        self._recommender: Recommender = load_recommender(folders["model"], folders.get("index"))

    def predict(
        self,
        context: mlflow.pyfunc.PythonModelContext,  # noqa: ARG002  MLflow passes it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """The best items of each user.

        Args:
            context: Not used.
            model_input: Users, in the column `user_id`.
            params: `k`, the length of the lists.

        Returns:
            One row a user and rank: user_id, item_id, rank, score, source.
        """
        user_ids = pa.array(model_input[USER_ID], from_pandas=True)
        if pa.types.is_large_string(user_ids.type):
            user_ids = user_ids.cast(pa.string())  # pandas holds texts as large strings
        table = self._recommender.recommend_table(user_ids, (params or {})["k"])
        recommendations: pd.DataFrame = table.to_pandas()
        return recommendations


mlflow.models.set_model(RecommenderModel())
