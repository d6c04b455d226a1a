"""The effort that an approximate search needs for a wanted recall, measured against exact search.

Shapes: B queries, C items, P width of the vectors, L list length, N the longest list length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float32Array, Float64Array
from recsys.errors import ArtifactError
from recsys.recommender.config import IndexConfig
from recsys.recommender.index.report import OperatingPoint
from recsys.recommender.index.store import VectorStore
from recsys.recommender.ranking.topk import Embeddings, masked_top_k

Search = Callable[[int, int], Float32Array]
"""`search(list_length, effort) -> scores_BL` of the sample queries, the best first."""

_LIST_GROWTH = (1, 4, 16)
"""Calibrated list lengths as multiples of `recall_k`: filters need longer lists."""
_ROUNDING = 1e-5
"""Scores this close, relative to a query's best, are equal: two libraries add in different
orders."""
_FULL_RECALL = 0.999
"""Recall at which the curve of recall against speed ends: more effort gains nothing."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured, and the efforts to use."""

    points: tuple[OperatingPoint, ...]
    """All measured points: the curve of recall against speed."""
    chosen: tuple[OperatingPoint, ...]
    """The point of each list length that reaches the recall; empty when none does."""
    notes: tuple[str, ...] = ()
    """Which list lengths did not reach the recall, and what is done instead."""


def calibrate(
    store: VectorStore, items_CP: Embeddings, queries_BP: Embeddings, config: IndexConfig
) -> Calibration:
    """Measure exact search, then climb the efforts of an approximate one up to the wanted recall.

    Raises:
        ArtifactError: There are no sample queries for an approximate search.
    """
    if not len(queries_BP):
        if store.kind == "exact":
            return Calibration(points=(), chosen=())
        raise ArtifactError(
            f"item index: expected sample queries to measure {store.kind!r} with, got none"
        )
    recall_k = min(config.recall_k, len(items_CP))
    lengths = [growth * recall_k for growth in _LIST_GROWTH if growth * recall_k <= len(items_CP)]
    exact, exact_scores_BN = _measure_exact(
        items_CP, queries_BP, lengths[0] if store.kind == "exact" else lengths[-1]
    )
    points, chosen = climb(
        lambda length, effort: store.search(queries_BP, length, effort=effort)[1],
        exact_scores_BN,
        recall_k=recall_k,
        ladders={length: store.efforts(length) for length in lengths},
        min_recall=config.min_recall,
    )
    complete = store.kind == "exact" or len(chosen) == len(lengths)
    notes = () if complete else (_shortfall(store.kind, points[-1], chosen, config.min_recall),)
    return Calibration(points=(exact, *points), chosen=chosen, notes=notes)


def climb(
    search: Search,
    exact_scores_BN: Float32Array,
    *,
    recall_k: int,
    ladders: Mapping[int, Sequence[int]],
    min_recall: float,
) -> tuple[tuple[OperatingPoint, ...], tuple[OperatingPoint, ...]]:
    """Climb a ladder of efforts for each list length until the recall is high enough.

    Recall is that of the last `recall_k` ranks of a list. These are what remains for a user whose
    filters remove everything above them, and recall falls with the rank: an effort that finds 98 %
    of the first 20 can miss half of ranks 490 to 510. An effort is taken when its recall less two
    standard errors is at least `min_recall`, since it is chosen on the queries it is measured on.

    Args:
        search: The approximate search of B sample queries.
        exact_scores_BN: Their scores by exact search in descending order. Shape (B, N).
        recall_k: How many last ranks of a list count.
        ladders: Ascending efforts by list length; ascending lengths, at most N.
        min_recall: The recall to reach.

    Returns:
        All measured points, and the chosen one of each list length as far as they reach the recall:
        after the first length that does not, longer ones are left out. For the first length points
        beyond the chosen one are measured too, for the curve of recall against speed.
    """
    measured: list[OperatingPoint] = []
    chosen: list[OperatingPoint] = []
    for length, ladder in ladders.items():
        least = chosen[-1].effort if chosen else 0
        point = None
        for effort in (effort for effort in ladder if effort >= least):
            current = _measure(search, exact_scores_BN[:, :length], recall_k, effort)
            measured.append(current)
            if point is None and current.recall_low >= min_recall:
                point = current
            if point is not None and (chosen or current.recall >= _FULL_RECALL):
                break
        if point is None:
            break
        chosen.append(point)
    return tuple(measured), tuple(chosen)


def recall_of_last_ranks(
    scores_BL: Float32Array, exact_scores_BL: Float32Array, num_ranks: int
) -> Float64Array:
    """Share of the last `num_ranks` ranks of exact search that another search found.

    Items are compared by score, not by number: of items with the same vector any will do.

    Args:
        scores_BL: Scores of distinct items, minus infinity where none was found. Shape (B, L).
        exact_scores_BL: The L largest scores in descending order. Shape (B, L).
        num_ranks: At most L; with L, this is recall@L.

    Returns:
        Recall of each query. Shape (B,).
    """
    length = exact_scores_BL.shape[1]
    slack_B1 = _ROUNDING * np.abs(exact_scores_BL).max(axis=1, keepdims=True)

    def num_found(ranks: int) -> Float64Array:
        if ranks == 0:
            return np.zeros(len(scores_BL))
        reached_BL = scores_BL >= exact_scores_BL[:, ranks - 1 : ranks] - slack_B1
        return np.asarray(np.minimum(reached_BL.sum(axis=1, dtype=np.float64), ranks))

    found_B = num_found(length) - num_found(length - num_ranks)
    return found_B / num_ranks


def _measure(
    search: Search, exact_scores_BL: Float32Array, recall_k: int, effort: int
) -> OperatingPoint:
    num_queries, length = exact_scores_BL.shape
    started = time.perf_counter()
    scores_BL = search(length, effort)
    elapsed_s = time.perf_counter() - started
    recall_B = recall_of_last_ranks(scores_BL, exact_scores_BL, recall_k)
    recall = float(recall_B.mean())
    return OperatingPoint(
        list_length=length,
        effort=effort,
        recall=recall,
        recall_low=recall - 2 * float(recall_B.std()) / num_queries**0.5,
        queries_per_s=num_queries / elapsed_s,
    )


def _measure_exact(
    items_CP: Embeddings, queries_BP: Embeddings, list_length: int
) -> tuple[OperatingPoint, Float32Array]:
    """The speed of exact search, and its scores of shape (B, list_length)."""
    started = time.perf_counter()
    _, scores_BN = masked_top_k(queries_BP, items_CP, list_length)
    elapsed_s = time.perf_counter() - started
    point = OperatingPoint(
        list_length=list_length,
        effort=0,
        recall=1.0,
        recall_low=1.0,
        queries_per_s=len(queries_BP) / elapsed_s,
    )
    return point, scores_BN


def _shortfall(
    kind: str, best: OperatingPoint, chosen: Sequence[OperatingPoint], min_recall: float
) -> str:
    lists = f"lists longer than {chosen[-1].list_length}" if chosen else "all lists"
    return (
        f"{kind} found {best.recall:.3f} (at least {best.recall_low:.3f}) of the last ranks of"
        f" lists of {best.list_length} with its largest effort, {best.effort}; wanted"
        f" {min_recall}: {lists} are searched exactly"
    )
