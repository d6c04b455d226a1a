"""Exact top-k in two steps: scores in bfloat16 say who can be in a list, float32 says who is.

The lists are those of `recsys.recommender.ranking.topk`, its plain twin, up to the rounding of
float32. The error of bfloat16 is bounded, so that no item is missed; a query with too many possible
items is left to the plain search.

Shapes: B queries, R rows (a block of queries), C items, D width, K list length.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch

from recsys.arrays import BoolArray, Float32Array, Int16Array, Int64Array
from recsys.compiled import compiled
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems

Keys: TypeAlias = Int16Array
"""Scores in bfloat16, as integers of the same order."""

_BLOCK_SCORES = 1 << 24
"""Scores held at a time: 32 MiB in bfloat16."""
_MIN_ITEMS, _MIN_SCORES = 4096, 1 << 20
"""Sizes from which on the plain search is slower."""
_SEGMENT = 64
"""Items whose largest score is found at a time, which processors do in a few instructions."""
_MAX_CANDIDATES = 1024
"""Most items of a query that are scored again."""
_LOWEST = -(1 << 15)
"""Key of minus infinity and below: that of a hidden item."""


def quick_top_k(
    queries_BD: Float32Array,
    items_CD: Float32Array,
    k: int,
    excluded: UserItems | None,
) -> tuple[Int64Array, Float32Array, BoolArray]:
    """The k allowed items with the largest inner products, for each query.

    Args:
        queries_BD: Query vectors.
        items_CD: Item vectors.
        k: List length.
        excluded: Items that a query must not get. Shape (B, C).

    Returns:
        Item numbers and scores as `masked_top_k` has them, each of shape (B, K), and which queries
        have their list: none where a vector is not finite. Shape (B,). Rows of the others are
        meaningless.
    """
    num_queries, num_items = len(queries_BD), len(items_CD)
    items_BK = np.full((num_queries, k), NO_ITEM, dtype=np.int64)
    scores_BK = np.full((num_queries, k), -np.inf, dtype=np.float32)
    found_B = np.zeros(num_queries, dtype=np.bool_)
    bound_B = _error_bounds(queries_BD, items_CD)
    if not np.isfinite(bound_B).all():
        return items_BK, scores_BK, found_B
    rough_items = torch.from_numpy(items_CD).bfloat16().T
    rough_queries = torch.from_numpy(queries_BD).bfloat16()
    num_rows = max(1, min(_BLOCK_SCORES // num_items, num_queries))
    buffer = torch.empty(num_rows, num_items, dtype=torch.bfloat16)
    indptr, indices = _hidden(excluded, num_queries)
    num_threads = torch.get_num_threads()
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, num_queries, num_rows):
            stop = min(start + num_rows, num_queries)
            scores_RC = buffer[: stop - start]
            torch.mm(rough_queries[start:stop], rough_items, out=scores_RC)
            bits_RC = scores_RC.view(torch.int16).numpy()
            cuts = np.linspace(start, stop, num_threads + 1).astype(np.int64)
            jobs = [
                pool.submit(
                    _lists, bits_RC[first - start : last - start], queries_BD[first:last], items_CD,
                    bound_B[first:last], indptr[first : last + 1], indices, _SCORE_OF_KEY,
                    items_BK[first:last], scores_BK[first:last], found_B[first:last],
                )
                for first, last in itertools.pairwise(cuts)
            ]  # fmt: skip
            for job in jobs:
                job.result()
    return items_BK, scores_BK, found_B


def quick_top_k_helps(num_queries: int, items_CD: torch.Tensor, k: int) -> bool:
    """Whether a search is large enough, and its lists short enough, for this to be faster."""
    num_items = len(items_CD)
    large = num_items >= _MIN_ITEMS and num_queries * num_items >= _MIN_SCORES
    return large and k <= _MAX_CANDIDATES // 4


def _error_bounds(queries_BD: Float32Array, items_CD: Float32Array) -> Float32Array:
    r"""How much a score in bfloat16 can differ from that in float32. Shape (B,).

    Rounding to 8 bits changes each factor by at most 2^-9 of itself, the sum of D products of them
    in float32 by D·2^-24 of the sum of their sizes, and the result by 2^-9 of itself; by Cauchy and
    Schwarz the sum of the sizes is at most the product of the lengths. Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1.
    """
    longest = np.linalg.norm(items_CD, axis=1).max()
    share = 2**-8 + 2**-9 + 2**-16 + queries_BD.shape[1] * 2.0**-22
    bounds = np.linalg.norm(queries_BD, axis=1) * longest * share + np.finfo(np.float32).tiny
    return np.asarray(bounds, dtype=np.float32)


def _hidden(excluded: UserItems | None, num_queries: int) -> tuple[Int64Array, Int64Array]:
    if excluded is None:
        return np.zeros(num_queries + 1, dtype=np.int64), np.empty(0, dtype=np.int64)
    return excluded.indptr.astype(np.int64), excluded.indices.astype(np.int64)


@compiled
def _lists(  # noqa: PLR0917  numba takes no keywords
    bits_RC: Keys,
    queries_RD: Float32Array,
    items_CD: Float32Array,
    bound_R: Float32Array,
    indptr: Int64Array,
    indices: Int64Array,
    score_of_key: Float32Array,
    items_RK: Int64Array,
    scores_RK: Float32Array,
    found_R: BoolArray,
) -> None:
    """Write the lists of some rows; in place, so that threads share the result."""
    num_items = bits_RC.shape[1]
    num_segments = (num_items + _SEGMENT - 1) // _SEGMENT
    highest = np.empty(num_segments, dtype=np.int16)
    candidates = np.empty(_MAX_CANDIDATES, dtype=np.int64)
    keys = np.empty(_MAX_CANDIDATES, dtype=np.int16)
    for row in range(bits_RC.shape[0]):
        bits = bits_RC[row]
        for place in range(num_items):  # so that keys are in the order of the scores
            bits[place] ^= (bits[place] >> 15) & 0x7FFF
        for place in range(indptr[row], indptr[row + 1]):
            bits[indices[place]] = _LOWEST
        _segment_maxima(bits, highest)
        num_found = _candidates(
            bits, highest, items_RK.shape[1], bound_R[row], score_of_key, candidates, keys
        )
        found_R[row] = num_found >= 0
        if num_found > 0:
            _rank(queries_RD[row], items_CD, candidates[:num_found], items_RK[row], scores_RK[row])


@compiled
def _segment_maxima(
    bits: Keys,
    highest: Keys,
) -> None:
    for segment in range(len(highest)):
        top = np.int16(_LOWEST)
        for place in range(segment * _SEGMENT, min((segment + 1) * _SEGMENT, len(bits))):
            top = max(top, bits[place])
        highest[segment] = top


@compiled
def _candidates(  # noqa: PLR0917  numba takes no keywords
    bits: Keys,
    highest: Keys,
    k: int,
    bound: np.float32,
    score_of_key: Float32Array,
    candidates: Int64Array,
    keys: Keys,
) -> int:
    """Find the items that may be in the list; -1 if there are too many."""
    threshold = _LOWEST + 1
    if len(highest) >= k:  # k segments have an item of at least this key each
        threshold = max(threshold, int(np.sort(highest)[-k]))
    num_found = _at_least(bits, highest, threshold, candidates, keys)
    if num_found >= k:
        last = score_of_key[int(np.sort(keys[:num_found])[-k]) - _LOWEST]
        lowest = np.searchsorted(score_of_key, last - 2 * bound) + _LOWEST
        num_found = _at_least(bits, highest, max(_LOWEST + 1, lowest), candidates, keys)
    return num_found


@compiled
def _at_least(
    bits: Keys,
    highest: Keys,
    threshold: int,
    candidates: Int64Array,
    keys: Keys,
) -> int:
    """Collect the items whose key is not below a threshold, by number; -1 if they are too many."""
    num_found = 0
    for segment in range(len(highest)):
        if highest[segment] < threshold:
            continue
        for place in range(segment * _SEGMENT, min((segment + 1) * _SEGMENT, len(bits))):
            if bits[place] >= threshold:
                if num_found == len(candidates):
                    return -1
                candidates[num_found] = place
                keys[num_found] = bits[place]
                num_found += 1
    return num_found


@compiled
def _rank(
    query_D: Float32Array,
    items_CD: Float32Array,
    candidates: Int64Array,
    items_K: Int64Array,
    scores_K: Float32Array,
) -> None:
    """Insert the candidates, which come by number, into a list by their score in float32."""
    kept = 0
    for item in candidates:
        score = np.dot(query_D, items_CD[item])
        if kept == len(items_K) and score <= scores_K[kept - 1]:
            continue
        place = min(kept, len(items_K) - 1)
        while place > 0 and scores_K[place - 1] < score:
            scores_K[place], items_K[place] = scores_K[place - 1], items_K[place - 1]
            place -= 1
        scores_K[place], items_K[place] = score, item
        kept = min(kept + 1, len(items_K))


def _score_of_key() -> Float32Array:
    """The score of each key from the lowest on, ascending; infinite for keys of no number."""
    keys = np.arange(_LOWEST, -_LOWEST)
    bits = (keys ^ ((keys >> 15) & 0x7FFF)) & 0xFFFF
    scores = (bits.astype(np.uint32) << 16).view(np.float32)
    return np.where(np.isnan(scores), np.where(keys < 0, -np.inf, np.inf), scores).astype(
        np.float32
    )


_SCORE_OF_KEY = _score_of_key()
