"""The meta-model: a small supervised model over all evidence, where enough labels exist.

Gradient-boosted trees combine evidence that uses no labels with evidence from labels. Labels are
few and late, so the trees are small, and the leaves are shrunk because frauds are rare. They are
fitted on rows whose label is known; the label evidence of a row comes from before it
(`label_evidence`).

Shapes: N transactions, F features, R rows that are learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int8Array
from recsys.errors import DataError
from recsys.fraud.config import MetaModelConfig
from recsys.fraud.scoring.booster import Booster, without_threads

_ROWS_PER_LEAF = 100  # rows for each row of a leaf, if that is fewer than configured


@dataclass(frozen=True, kw_only=True)
class MetaModel:
    """Fitted trees and what they read."""

    booster: Booster
    """The trees."""
    feature_names: tuple[str, ...]
    """Names of the features, in the order of their columns."""

    def score(self, features_NF: Float32Array, *, num_threads: int = 1) -> Float64Array:
        """Log odds of fraud; a row's score does not depend on the rows beside it. Shape (N,).

        Args:
            features_NF: Columns as `feature_names` has them; NaN where a value is not known.
            num_threads: Threads to use; they do not change a score.

        Raises:
            DataError: Another number of columns.
        """
        _check_columns(features_NF, self.feature_names)
        return self.booster.score(features_NF, num_threads=num_threads)


def fit_meta_model(
    features_NF: Float32Array,
    feature_names: Sequence[str],
    label_N: Int8Array,
    config: MetaModelConfig,
    *,
    seed: int,
    num_threads: int,
) -> MetaModel | None:
    """Fit trees to the labels that are known.

    Args:
        features_NF: Features; NaN where a value is not known.
        feature_names: Their names.
        label_N: 1 for fraud, 0 for legitimate, -1 where the label is not known: such rows are left
            out.
        config: How to fit.
        seed: Seed of everything random.
        num_threads: Threads to use; they do not change the result.

    Returns:
        None if fewer than `config.min_frauds` frauds or no legitimate row are known: then the score
        without labels is used.

    Raises:
        DataError: Features, names and labels do not fit together.
    """
    _check_columns(features_NF, feature_names)
    if len(label_N) != len(features_NF):
        raise _mismatch(f"{len(features_NF)} labels, one a row", f"{len(label_N)}")
    fraud_rows, legitimate_rows = np.flatnonzero(label_N == 1), np.flatnonzero(label_N == 0)
    if len(fraud_rows) < config.min_frauds or not len(legitimate_rows):
        return None
    num_drawn = min(len(legitimate_rows), config.max_legitimate_rows)
    drawn = np.random.default_rng(seed).choice(legitimate_rows, num_drawn, replace=False)
    rows = np.sort(np.concatenate([fraud_rows, drawn]))
    is_fraud_R = label_N[rows] == 1
    weight_R = np.where(is_fraud_R, 1.0, len(legitimate_rows) / num_drawn)
    text = _train(
        features_NF[rows],
        is_fraud_R,
        weight_R,
        feature_names=feature_names,
        config=config,
        seed=seed,
        num_threads=num_threads,
    )
    return MetaModel(booster=Booster(text=text), feature_names=tuple(feature_names))


def _train(
    features_NF: Float32Array,
    is_fraud_N: BoolArray,
    weight_N: Float64Array,
    *,
    feature_names: Sequence[str],
    config: MetaModelConfig,
    seed: int,
    num_threads: int,
) -> str:
    """The trees as text."""
    import lightgbm

    settings = {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": min(
            config.min_rows_per_leaf, max(1, len(is_fraud_N) // _ROWS_PER_LEAF)
        ),
        "max_bin": config.num_bins,
        "lambda_l2": config.shrinkage,
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(
        features_NF,
        label=is_fraud_N.astype(np.float32),
        weight=weight_N,
        feature_name=list(feature_names),
        params={"max_bin": config.num_bins},
    )
    return without_threads(lightgbm.train(settings, data, config.num_rounds).model_to_string())


def _check_columns(features_NF: Float32Array, feature_names: Sequence[str]) -> None:
    if features_NF.ndim != 2 or features_NF.shape[1] != len(feature_names):
        raise _mismatch(
            f"features of {len(feature_names)} columns", f"an array of shape {features_NF.shape}"
        )


def _mismatch(expected: str, got: str) -> DataError:
    return DataError(
        file="meta-model", expected=expected, got=got, remedy="compute the features again"
    )
