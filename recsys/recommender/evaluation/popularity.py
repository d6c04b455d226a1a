"""Popularity of items: events count less with age, by a half-life chosen on validation data.

Shapes: U users, C items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float32Array, Float64Array
from recsys.features.history import UserItemMatrix, event_values
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.evaluation.baselines import MostPopular
from recsys.recommender.evaluation.metrics import (
    hit_matrix,
    ndcg_at_k,
    relevant_counts,
)
from recsys.recommender.evaluation.steady import steady_choice
from recsys.recommender.ranking.ranker import rank_all
from recsys.schema import EVENT_TIME, ITEM_ID
from recsys.time_units import US_PER_DAY

_NUM_HALVINGS = 9
_FLOOR_SHARE = 1e-6
"""Least share of all events that every item is assumed to have."""


def popularity(
    interactions: pa.Table, items: Vocabulary, *, half_life_days: float | None
) -> Float64Array:
    """Sum of the values of each item's events. Shape (C,)."""
    numbers = items.numbers(interactions[ITEM_ID])
    values = event_values(interactions, half_life_days=half_life_days)
    known = numbers != UNKNOWN
    totals_C = np.bincount(numbers[known], weights=values[known], minlength=len(items))
    return totals_C.astype(np.float64)  # without any event, bincount counts in integers


def log_shares(popularity_C: Float64Array) -> Float32Array:
    """Log of each item's share of all events, 0 for the largest. Shape (C,), not above 0."""
    floored = popularity_C + popularity_C.sum() * _FLOOR_SHARE + np.finfo(np.float64).tiny
    shares_C: Float32Array = np.log(floored / floored.max()).astype(np.float32)
    return shares_C


def half_lives(interactions: pa.Table) -> Sequence[float | None]:
    """Half-lives to choose from, in days: powers of two up to the span of the log; None is first.

    They are the same ones from day to day, so that a choice can be kept while the log grows.
    """
    if EVENT_TIME not in interactions.column_names:
        return (None,)
    bounds = pc.min_max(interactions[EVENT_TIME].cast(pa.int64())).as_py()
    span_days = (bounds["max"] - bounds["min"]) / US_PER_DAY
    if span_days <= 0:
        return (None,)
    longest = 2.0 ** math.floor(math.log2(span_days))
    return (None, *(longest / 2**n for n in range(_NUM_HALVINGS)))


def choose_half_life(
    interactions: pa.Table,
    items: Vocabulary,
    *,
    seen: UserItemMatrix | None,
    relevant: UserItemMatrix,
    k: int,
    kept: float | Literal["none"] | None = "none",
) -> float | None:
    """The longest half-life whose most popular items rank as well as any for users to come.

    As well means: within a standard error of the best NDCG, user by user. Chance would have it that
    a short one is best, and lists would follow the last hours.

    Args:
        interactions: Training events.
        items: The catalogue.
        seen: What the users had before and must not get again; None where they may. Shape (U, C).
        relevant: What they took afterwards. Shape (U, C).
        k: List length.
        kept: What was chosen the day before, which stays unless another is clearly better;
            "none" where nothing was.

    Returns:
        Days, or None where age does not matter or there are no users.
    """
    if not relevant.shape[0]:
        return None

    def qualities(half_life_days: float | None) -> Float64Array:
        scores_C = log_shares(popularity(interactions, items, half_life_days=half_life_days))
        order_C = np.argsort(-scores_C, kind="stable")
        ranker = MostPopular(order=order_C, num_users=scores_C[order_C])
        batches = rank_all(ranker, np.arange(relevant.shape[0]), k=k, train=seen)
        lists = np.concatenate([items_BK for _, items_BK, _ in batches])
        ndcg_U = ndcg_at_k(hit_matrix(lists, relevant), relevant_counts(relevant), k=k)
        return ndcg_U[~np.isnan(ndcg_U)]

    choices = list(half_lives(interactions))
    place = choices.index(kept) if kept != "none" and kept in choices else None
    found = [qualities(one) for one in choices]
    return choices[steady_choice(found, kept=place, slack_errors=1.0)]
