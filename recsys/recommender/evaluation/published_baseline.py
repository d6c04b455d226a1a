"""A baseline published as a model, where the trained model is clearly worse.

The towers stay in the bundle for vectors of items, but do not rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from recsys.features.history import repeat_matrix
from recsys.recommender.evaluation.baselines import ItemItemCosine
from recsys.recommender.evaluation.comparison import paired_difference
from recsys.recommender.evaluation.evaluate import LEAST_USERS
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.evaluation.popularity import log_shares
from recsys.recommender.evaluation.promotion import is_behind
from recsys.recommender.model import Ranking, RecommenderModel
from recsys.recommender.nightly_config import PromotionConfig
from recsys.recommender.ranking.ranker import distinct

MOST_POPULAR, RECENTLY_POPULAR = "most popular", "recently popular"
RANKINGS: Mapping[str, Ranking] = {
    MOST_POPULAR: "popular",
    RECENTLY_POPULAR: "popular",
    "own most frequent": "own",
    "item-item cosine": "item-item",
}
"""Rankings, by the names of the baselines that can be published."""
_OWN_FIRST = 256.0
"""Weight of what users had with which it goes first."""


def as_baseline(model: RecommenderModel, name: str, log: pa.Table) -> RecommenderModel:
    """A model that ranks as a baseline does.

    Args:
        model: A fitted model.
        name: One of `RANKINGS`.
        log: The interactions that it was fitted on.
    """
    ranking = RANKINGS[name]
    selection = replace(model.selection, ranking=ranking)
    if name == RECENTLY_POPULAR:  # its popularity is that of the model
        return replace(model, selection=selection)
    users_C = np.asarray(distinct(model.histories).sum(axis=0), dtype=np.float64)
    log_popularity = log_shares(users_C)
    scale = float(np.abs(log_popularity).max()) or 1.0
    found = replace(
        model,
        selection=replace(selection, popularity_half_life_days=None),
        log_popularity=log_popularity / np.float32(scale),
        popularity_scale=scale,
    )
    if ranking == "item-item":
        return replace(found, neighbours=ItemItemCosine.fit(model.histories).similarity)
    if ranking == "own":
        counts = repeat_matrix(log, users=model.users, items=model.items, half_life_days=None)
        return replace(
            found,
            repeats=counts,
            selection=replace(
                found.selection, repeat_weight=_OWN_FIRST, repeat_half_life_days=None
            ),
        )
    return found


def baseline_to_publish(
    comparison: Comparison, config: PromotionConfig, *, k: int, live: str | None
) -> str | None:
    """The baseline that should rank in place of the new model while no model is live, if any.

    On a first night it is the best of those that the model is clearly behind, or, where there is
    too little to measure, the most popular items: nothing shows that the model would be better.
    Once a baseline is live, it stays until the model beats it, and gives way to another one that
    is clearly better.

    Args:
        comparison: The new model and the baselines.
        config: Whether baselines count.
        k: Length of the lists that were measured.
        live: The baseline that is live; None where nothing is.
    """
    if config.baselines == "ignored":
        return None
    measure, model = f"ndcg@{k}", comparison.evaluations[MODEL]
    if model.overall["num_users"] < LEAST_USERS:
        return live or MOST_POPULAR
    if not math.isfinite(model.overall[measure]):
        return None
    known = {name: one for name, one in comparison.baselines.items() if name in RANKINGS}
    if live is not None and live in known:
        against = known[live].per_user[measure]
        if paired_difference(model.per_user[measure], against).standing == "ahead":
            return None
        better = {
            name: one
            for name, one in known.items()
            if paired_difference(one.per_user[measure], against).standing == "ahead"
        }
        return max(better, key=lambda name: better[name].overall[measure], default=live)
    strict = config.baselines == "ahead"
    ahead = [name for name, one in known.items() if is_behind(model, one, measure, strict=strict)]
    return max(ahead, key=lambda name: known[name].overall[measure], default=None)
