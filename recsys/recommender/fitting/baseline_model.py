"""A baseline in the shape of a model: published where the model is clearly behind it.

The towers stay in the bundle, for vectors of items, and rank nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from recsys.features.history import repeat_matrix
from recsys.recommender.evaluation.baselines import ItemItemCosine
from recsys.recommender.evaluation.popularity import log_shares
from recsys.recommender.model import Ranking, RecommenderModel
from recsys.recommender.ranking.ranker import distinct

MOST_POPULAR, RECENTLY_POPULAR = "most popular", "recently popular"
RANKINGS: Mapping[str, Ranking] = {
    MOST_POPULAR: "popular",
    RECENTLY_POPULAR: "popular",
    "own most frequent": "own",
    "item-item cosine": "item-item",
}
"""What ranks, by the names of the baselines that can be published."""
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
