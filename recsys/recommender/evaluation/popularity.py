"""Popularity of items now: events count less with age, at a half-life chosen on validation data.

Shapes: U users, C items.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.features.history import UserItemMatrix, event_values
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.evaluation.baselines import MostPopular
from recsys.recommender.evaluation.metrics import hit_matrix, ndcg_at_k, relevant_counts
from recsys.recommender.ranking.ranker import rank_all
from recsys.schema import EVENT_TIME, ITEM_ID

_NUM_HALVINGS = 9
_DAY_US = 86_400_000_000
_FLOOR_SHARE = 1e-6
"""Share of all events that every item is taken to have at least."""


def popularity(
    interactions: pa.Table, items: Vocabulary, *, half_life_days: float | None
) -> npt.NDArray[np.float64]:
    """Sum of the values of each item's events. Shape (C,)."""
    numbers = items.numbers(interactions[ITEM_ID])
    values = event_values(interactions, half_life_days=half_life_days)
    known = numbers != UNKNOWN
    totals_C = np.bincount(numbers[known], weights=values[known], minlength=len(items))
    return totals_C.astype(np.float64)  # without any event, bincount counts in integers


def log_shares(popularity_C: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Log of each item's share of all events, 0 for the largest. Shape (C,), not above 0."""
    floored = popularity_C + popularity_C.sum() * _FLOOR_SHARE + np.finfo(np.float64).tiny
    shares_C: npt.NDArray[np.float32] = np.log(floored / floored.max()).astype(np.float32)
    return shares_C


def half_lives(interactions: pa.Table) -> Sequence[float | None]:
    """Half-lives to choose from, in days: the span of the log and its halves; None comes first."""
    if EVENT_TIME not in interactions.column_names:
        return (None,)
    bounds = pc.min_max(interactions[EVENT_TIME].cast(pa.int64())).as_py()
    span_days = (bounds["max"] - bounds["min"]) / _DAY_US
    return (None, *(span_days / 2**n for n in range(_NUM_HALVINGS) if span_days > 0))


def choose_half_life(
    interactions: pa.Table,
    items: Vocabulary,
    *,
    seen: UserItemMatrix | None,
    relevant: UserItemMatrix,
    k: int,
) -> float | None:
    """The half-life whose most popular items rank best by NDCG for users to come.

    Args:
        interactions: Training events.
        items: The catalogue.
        seen: What the users had before and must not get again; None where they may. Shape (U, C).
        relevant: What they took afterwards. Shape (U, C).
        k: List length.

    Returns:
        Days, or None where age does not matter or there are no users.
    """
    if not relevant.shape[0]:
        return None

    def quality(half_life_days: float | None) -> float:
        scores_C = log_shares(popularity(interactions, items, half_life_days=half_life_days))
        order_C = np.argsort(-scores_C, kind="stable")
        ranker = MostPopular(order=order_C, num_users=scores_C[order_C])
        batches = rank_all(ranker, np.arange(relevant.shape[0]), k=k, train=seen)
        lists = np.concatenate([items_BK for _, items_BK, _ in batches])
        ndcg = ndcg_at_k(hit_matrix(lists, relevant), relevant_counts(relevant), k=k)
        return float(np.nanmean(ndcg))

    return max(half_lives(interactions), key=quality)
