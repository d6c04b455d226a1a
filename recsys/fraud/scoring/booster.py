"""Gradient-boosted trees: fitted once, stored as text, with the same score for a row anywhere.

LightGBM (Ke et al. 2017) writes its models as text, so that no pickle is needed.

Shapes: N rows, F features.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array
from recsys.fraud.scoring.trees import Trees, read_trees, sum_leaves

if TYPE_CHECKING:
    import lightgbm


_SETTINGS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
_BLOCK_ROWS = 200_000


@dataclass(frozen=True, kw_only=True)
class Booster:
    """A fitted model."""

    text: str
    """LightGBM's own text form."""

    def score(self, x_NF: Float32Array, *, num_threads: int) -> Float64Array:
        """Log odds of each row, whatever rows are beside it. Shape (N,).

        Args:
            x_NF: Features; NaN where one is not known.
            num_threads: Threads of LightGBM, which is used where trees have an unusual form.
        """
        trees = _trees(self.text)
        if trees is not None:
            return sum_leaves(trees, x_NF)
        model = _opened(self.text)
        scores_N = np.empty(len(x_NF))
        for start in range(0, len(x_NF), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            scores_N[block] = model.predict(x_NF[block], raw_score=True, num_threads=num_threads)
        return scores_N


def fit_booster(
    x_NF: Float32Array,
    y_N: BoolArray,
    *,
    names: Sequence[str],
    categorical: Sequence[str] = (),
    num_rounds: int,
    min_rows_per_leaf: int,
    seed: int,
    num_threads: int,
) -> Booster:
    """Fit trees to a yes-or-no target.

    Args:
        x_NF: Features; NaN where one is not known.
        y_N: Target.
        names: Names of the features.
        categorical: Those of them that are codes.
        num_rounds: Trees.
        min_rows_per_leaf: The fewest rows that a leaf stands for.
        seed: Seed of everything random.
        num_threads: Threads to use; they do not change the result.
    """
    import lightgbm

    settings = {
        **_SETTINGS,
        "min_data_in_leaf": min_rows_per_leaf,
        "seed": seed,
        "num_threads": num_threads,
    }
    data = lightgbm.Dataset(
        x_NF,
        label=y_N.astype(np.float32),
        feature_name=list(names),
        categorical_feature=list(categorical),
    )
    model = lightgbm.train(settings, data, num_boost_round=num_rounds)
    return Booster(text=without_threads(model.model_to_string()))


def without_threads(text: str) -> str:
    """The text of a model without the number of threads it was fitted with, which changes no tree.

    Equal models have an equal text whatever machine they were fitted on.
    """
    return re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", text)


@functools.lru_cache(maxsize=4)
def _trees(text: str) -> Trees | None:
    return read_trees(text)


@functools.lru_cache(maxsize=4)
def _opened(text: str) -> lightgbm.Booster:
    import lightgbm

    return lightgbm.Booster(model_str=text)
