"""A comparison of the model with its baselines, as a table and as a line."""

from __future__ import annotations

import logging

import pyarrow as pa

from recsys.datasets.frames.frame_columns import LOG
from recsys.errors import ConfigError
from recsys.recommender.evaluation.comparison import verdict
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.fitting.experiment import Experiment

_MEASURES = ("recall", "ndcg", "mrr", "hit_rate", "coverage", "novelty", "popularity")


def held_out(experiment: Experiment) -> Comparison:
    """What a fit measured on the end of its log.

    Raises:
        ConfigError: Nothing was held out.
    """
    if experiment.comparison is None:
        raise ConfigError(
            "evaluate: expected interactions that came later, got none held out; pass them, or "
            'fit with split={"test_share": 0.1, "valid_share": 0.1}'
        )
    return experiment.comparison


def measures_table(comparison: Comparison, k: int) -> pa.Table:
    """Measures of each method of a comparison, a row each, the model first."""
    names = list(comparison.evaluations)
    found = [comparison.evaluations[name].overall for name in names]
    columns = {
        f"{name}@{k}": pa.array([one[f"{name}@{k}"] for one in found], pa.float64())
        for name in _MEASURES
    }
    num_users = pa.array([int(one["num_users"]) for one in found])
    return pa.table({"method": pa.array(names, pa.string()), "num_users": num_users, **columns})


def tell_verdict(comparison: Comparison, k: int) -> None:
    """Log whether the model beats its baselines; as a warning if it does not."""
    found = verdict(
        comparison.evaluations[MODEL], comparison.baselines, (f"recall@{k}", f"ndcg@{k}")
    )
    LOG.log(logging.INFO if found.startswith("The model beats") else logging.WARNING, "%s", found)
