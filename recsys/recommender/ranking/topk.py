"""Exact top-k search by inner product: the search of small catalogues and the oracle of indexes.

`recsys.recommender.ranking.quick_topk` does most of the work where the processor is
fast in bfloat16.

Shapes: B queries, R rows (a block of queries), C items, W items of one chunk, T rows with ties,
D width, K list length.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch

from recsys.arrays import BoolArray, Float32Array, Int64Array, IntpArray
from recsys.errors import DataError
from recsys.nn.precision import bfloat16_is_fast
from recsys.recommender.ranking.quick_topk import quick_top_k, quick_top_k_helps
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems, check_k

Embeddings: TypeAlias = Float32Array
"""Vectors, one a row."""

_BUFFER_SCORES = 1 << 22
"""Scores held at a time. 16 MiB stays below the size from which malloc maps new pages."""
_CHUNK_ITEMS = 1 << 16
"""Items scored at a time: a chunk of them is read once for a whole block of queries."""


def masked_top_k(
    queries_BD: Embeddings,
    item_embeddings_CD: Embeddings,
    k: int,
    *,
    excluded: UserItems | None = None,
    eligible: BoolArray | None = None,
) -> tuple[Int64Array, Float32Array]:
    """The k allowed items with the largest inner products, for each query.

    Ranked by the tie rule of `recsys.recommender.ranking.ranker`, also at the end of a list, where
    it decides which of equal items is left out.

    Args:
        queries_BD: Query vectors. Shape (B, D).
        item_embeddings_CD: Item vectors. Shape (C, D).
        k: List length, at least 1.
        excluded: Items that a query must not get. Shape (B, C).
        eligible: Items that anyone may get; None for all. Shape (C,).

    Returns:
        Item numbers and scores, each of shape (B, k). Where fewer than k items are allowed, a list
        ends with `NO_ITEM` and minus infinity.

    Raises:
        ConfigError: k is below 1.
        DataError: Shapes that do not fit, or a score that is not finite.
    """
    check_k(k)
    _check_shapes(queries_BD, item_embeddings_CD, excluded, eligible)
    if eligible is not None:
        candidates = np.flatnonzero(eligible)
        items_BK, scores_BK = masked_top_k(
            queries_BD,
            item_embeddings_CD[candidates],
            k,
            excluded=None if excluded is None else excluded[:, candidates],
        )
        found = items_BK != NO_ITEM
        items_BK[found] = candidates[items_BK[found]]
        return items_BK, scores_BK
    queries, items = _tensor(queries_BD), _tensor(item_embeddings_CD)
    if not quick_top_k_helps(len(queries), items, k) or not bfloat16_is_fast():
        return _search(queries, items, k, excluded)
    items_BK, scores_BK, found_B = quick_top_k(queries.numpy(), items.numpy(), k, excluded)
    left = np.flatnonzero(~found_B)
    if len(left):
        rows = None if excluded is None else excluded[left]
        items_BK[left], scores_BK[left] = _search(queries[left], items, k, rows)
    return items_BK, scores_BK


def unit_vectors(vectors_BD: Embeddings) -> Embeddings:
    """Vectors brought to unit length; zero vectors stay. Shape (B, D)."""
    norms_B1 = np.linalg.norm(vectors_BD, axis=1, keepdims=True)
    return np.asarray(vectors_BD / np.where(norms_B1 > 0, norms_B1, 1), dtype=np.float32)


def _search(
    queries_BD: torch.Tensor, items_CD: torch.Tensor, k: int, excluded: UserItems | None
) -> tuple[Int64Array, Float32Array]:
    """Search block by block, so that memory does not grow with B times C."""
    num_queries, num_items = len(queries_BD), len(items_CD)
    items_BK = np.full((num_queries, k), NO_ITEM, dtype=np.int64)
    scores_BK = np.full((num_queries, k), -np.inf, dtype=np.float32)
    if num_items == 0:
        return items_BK, scores_BK
    kept = min(k, num_items)
    num_rows = max(1, _BUFFER_SCORES // min(num_items, _CHUNK_ITEMS))
    buffer = torch.empty(num_rows * min(num_items, _CHUNK_ITEMS))
    for start in range(0, num_queries, num_rows):
        rows = slice(start, start + num_rows)
        hidden = None if excluded is None else _pairs(excluded, rows)
        items_RK, scores_RK = _search_rows(queries_BD[rows], items_CD, kept, hidden, buffer)
        items_BK[rows, :kept], scores_BK[rows, :kept] = items_RK.numpy(), scores_RK.numpy()
    items_BK[np.isneginf(scores_BK)] = NO_ITEM
    _check_finite(scores_BK)
    return items_BK, scores_BK


def _search_rows(
    queries_RD: torch.Tensor,
    items_CD: torch.Tensor,
    k: int,
    hidden: tuple[IntpArray, IntpArray] | None,
    buffer: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Top-k of each chunk of items, then of the chunks' lists together."""
    items, scores = [], []
    for first in range(0, len(items_CD), _CHUNK_ITEMS):
        chunk_WD = items_CD[first : first + _CHUNK_ITEMS]
        shape = len(queries_RD), len(chunk_WD)
        scores_RW = buffer[: shape[0] * shape[1]].view(shape)
        torch.mm(queries_RD, chunk_WD.T, out=scores_RW)
        if hidden is not None:
            rows, columns = hidden
            here = (columns >= first) & (columns < first + shape[1])
            scores_RW.numpy()[rows[here], columns[here] - first] = -np.inf
        items_RK, scores_RK = _top_k(scores_RW, min(k, shape[1]))
        items.append(items_RK + first)
        scores.append(scores_RK)
    # Chunks follow each other by item number, so a stable sort keeps the rule for equal scores.
    merged_R, order_R = torch.cat(scores, dim=1).sort(dim=1, descending=True, stable=True)
    return torch.cat(items, dim=1).gather(1, order_R[:, :k]), merged_R[:, :k]


def _top_k(scores_RW: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Items and scores of the k largest scores in each row, in the order of `masked_top_k`."""
    # One more than k shows whether equal scores straddle the end of the list: torch.topk does not
    # say which of them it takes.
    width = min(k + 1, scores_RW.shape[1])
    scores_RK, items_RK = torch.topk(scores_RW, width, dim=1)
    last_R, next_R = scores_RK[:, k - 1], scores_RK[:, -1]
    scores_RK, items_RK = scores_RK[:, :k], items_RK[:, :k]
    if width > k:
        tied_R = (last_R == next_R) & ~torch.isneginf(last_R)
        if bool(tied_R.any()):
            tied_TK = _lowest_of_ties(scores_RW[tied_R], last_R[tied_R], k)
            items_RK[tied_R] = tied_TK
            scores_RK[tied_R] = scores_RW[tied_R].gather(1, tied_TK)
    items_RK, order_RK = items_RK.sort(dim=1)
    scores_RK, by_score_RK = scores_RK.gather(1, order_RK).sort(dim=1, descending=True, stable=True)
    return items_RK.gather(1, by_score_RK), scores_RK


def _lowest_of_ties(scores_TW: torch.Tensor, last_T: torch.Tensor, k: int) -> torch.Tensor:
    """In each row the k items of at least the last score; of those equal to it the lowest ones."""
    above_TW = ~(scores_TW <= last_T[:, None])  # NaN too, so that it is found out
    equal_TW = scores_TW == last_T[:, None]
    room_T1 = k - above_TW.sum(dim=1, keepdim=True)
    kept_TW = above_TW | (equal_TW & (equal_TW.cumsum(dim=1) <= room_T1))
    return kept_TW.nonzero()[:, 1].view(-1, k)


def _pairs(excluded: UserItems, rows: slice) -> tuple[IntpArray, IntpArray]:
    """Row (from the start of the block) and column of each stored entry in a block of rows."""
    bounds = excluded.indptr[rows.start : rows.stop + 1]
    row_numbers = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return row_numbers, excluded.indices[bounds[0] : bounds[-1]].astype(np.intp)


def _tensor(array: Embeddings) -> torch.Tensor:
    """A tensor on the same memory, or a copy if torch does not accept that memory."""
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))


def _check_shapes(
    queries_BD: Embeddings,
    items_CD: Embeddings,
    excluded: UserItems | None,
    eligible: BoolArray | None,
) -> None:
    if queries_BD.ndim != 2 or items_CD.ndim != 2 or queries_BD.shape[1] != items_CD.shape[1]:
        raise DataError(
            file="embeddings",
            expected="queries and items of one width",
            got=f"shapes {queries_BD.shape} and {items_CD.shape}",
            remedy="use vectors of one model",
        )
    pairs = len(queries_BD), len(items_CD)
    rules = {"excluded": (excluded, pairs), "eligible": (eligible, pairs[1:])}
    for name, (rule, shape) in rules.items():
        if rule is not None and rule.shape != shape:
            raise DataError(
                file=name,
                expected=f"the shape {shape} of the queries and items",
                got=str(rule.shape),
                remedy="build it with the item vocabulary of the model",
            )


def _check_finite(scores_BK: Float32Array) -> None:
    # torch.topk puts NaN first, so a NaN among the scores is among the best.
    num_bad = np.count_nonzero((np.isnan(scores_BK) | np.isposinf(scores_BK)).any(axis=1))
    if num_bad:
        raise DataError(
            file="embeddings",
            expected="finite scores",
            got=f"NaN or infinity for {num_bad} of {len(scores_BK)} queries",
            remedy="check the embeddings that made them",
        )
