"""Baselines that a model has to beat: most popular, own most frequent, item-item cosine.

All but the second count an interaction once, whatever its weight, and all follow `ranking.Ranker`.

Shapes: U all users, B users of one batch, C items of the catalogue, K list length, N neighbours
kept for an item, M items at the head of the popularity order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from recsys.arrays import Float32Array, Int64Array
from recsys.errors import ConfigError
from recsys.recommender.ranking.ranker import (
    NO_ITEM,
    UserItems,
    check_k,
    check_user_numbers,
    distinct,
    exclude,
    top_k,
)

ItemItems: TypeAlias = UserItems
"""A sparse matrix (C, C) of float32."""

_PRODUCT_BUDGET = 1 << 24
"""Multiplications of one block of the item-item product, and so a bound on its stored entries."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MostPopular:
    """The same list for everyone: items by their number of train users, less those excluded.

    Args:
        order: Item numbers, most popular first, ties by item number. Shape (C,).
        num_users: Number of train users of the items in that order. Shape (C,).

    Examples:
        >>> train = sparse.csr_array(np.array([[1, 0, 1], [0, 0, 1]], dtype=np.float32))
        >>> items, scores = MostPopular.fit(train).rank(np.array([0, 1]), k=2, train=train)
        >>> items.tolist(), scores.tolist()
        ([[1, -1], [0, 1]], [[0.0, -inf], [1.0, 0.0]])
    """

    order: Int64Array
    num_users: Float32Array

    @classmethod
    def fit(cls, train: UserItems) -> MostPopular:
        """Count the users of each item in a train matrix (U, C)."""
        counts_C: Float32Array = distinct(train).sum(axis=0)
        order_C = np.argsort(-counts_C, kind="stable")
        return cls(order=order_C, num_users=counts_C[order_C])

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItems | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank (see `ranking.Ranker`); scores are numbers of train users.

        A user with e excluded items needs only the first k + e of the popularity order, so the
        work does not grow with the catalogue.
        """
        check_k(k)
        excluded = None if train is None else _rows(train, user_numbers)
        num_excluded = 0 if excluded is None else int(np.diff(excluded.indptr).max(initial=0))
        head_M = self.order[: k + num_excluded]
        scores_BM = np.tile(self.num_users[: len(head_M)], (len(user_numbers), 1))
        if excluded is not None:
            exclude(scores_BM, excluded[:, head_M])
        # Columns are in popularity order, ties by item number, so ties by column are the same rule.
        places_BK, scores_BK = top_k(scores_BM, k)
        return np.where(places_BK == NO_ITEM, NO_ITEM, head_M[places_BK]), scores_BK


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnMostFrequent:
    """What a user took most often, then the most popular items.

    The baseline of logs where people take the same things again. Items that were taken equally
    often follow each other by popularity.

    Args:
        repeats: How often each user took each item, greater than 0 where stored. Shape (U, C).
        places: Each item's popularity as a share of all places, within 0 and 1. Shape (C,).
        popular: Ranks the items that a user never took.
    """

    repeats: UserItems
    places: Float32Array
    popular: MostPopular

    @classmethod
    def of(cls, repeats: UserItems, popular: MostPopular) -> OwnMostFrequent:
        """Rank by repeats (U, C) first, then as a ranker of popular items does."""
        places_C = np.empty(len(popular.order), dtype=np.float32)
        places_C[popular.order] = np.linspace(1, 0, len(places_C), dtype=np.float32)
        return cls(repeats=repeats, places=places_C, popular=popular)

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItems | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank as `ranker.Ranker` says. Memory: about 9 bytes a user and item of the catalogue."""
        check_k(k)
        own = _rows(self.repeats, user_numbers)
        scores_BC = np.tile(self.places - 1, (len(user_numbers), 1))
        rows = np.repeat(np.arange(len(user_numbers)), np.diff(own.indptr))
        # Places break ties of equal counts, and are too small to change the order of others.
        levels = np.unique(own.data, return_inverse=True)[1].astype(np.float32)
        scores_BC[rows, own.indices] = 1 + levels + self.places[own.indices] / 2
        if train is not None:
            exclude(scores_BC, _rows(train, user_numbers))
        return top_k(scores_BC, k)


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemItemCosine:
    """Items by their summed cosine similarity to the items of the user's history.

    The similarity of two items is |users of both| / sqrt(|users of one| * |users of the other|).
    Each candidate counts only its `num_neighbours` most similar items (Sarwar et al. 2001,
    "Item-based collaborative filtering recommendation algorithms"; Deshpande and Karypis 2004,
    "Item-based top-N recommendation algorithms"), which bounds memory at C * N.

    Items that share no user with the history follow in order of popularity, with scores in
    [-1, 0), below every similarity. So a user without history gets the most popular items.

    Args:
        history: Train interactions, all values 1. Shape (U, C).
        similarity: Weight of a history item (row) for a candidate (column). Shape (C, C).
        fallback_scores: Scores of items that share no user with the history. Shape (C,).
    """

    history: UserItems
    similarity: ItemItems
    fallback_scores: Float32Array

    @classmethod
    def fit(cls, train: UserItems, *, num_neighbours: int = 200) -> ItemItemCosine:
        """Compute the neighbours of every item of a train matrix (U, C).

        Keeping fewer neighbours costs no quality. Gowalla, fitted without the validation part,
        recall@20 and ndcg@20 on it: all neighbours .1721 .0972, 200 of them .1754 .0995, 100 .1738
        .0997, 50 .1747 .1002, 20 .1715 .0995.

        Raises:
            ConfigError: `num_neighbours` is below 1.
        """
        if num_neighbours < 1:
            raise ConfigError(
                f"num_neighbours: expected at least 1, got {num_neighbours}; the default is 200"
            )
        history = distinct(train)
        counts_C: Float32Array = history.sum(axis=0)
        return cls(
            history=history,
            similarity=_nearest_neighbours(history, num_neighbours),
            fallback_scores=counts_C / (counts_C.max(initial=0) + 1) - 1,
        )

    def rank(
        self, user_numbers: Int64Array, *, k: int, train: UserItems | None
    ) -> tuple[Int64Array, Float32Array]:
        """Rank as `ranking.Ranker` says. Memory: about 9 bytes a user and item of the catalogue."""
        summed = _rows(self.history, user_numbers) @ self.similarity
        scores_BC = np.tile(self.fallback_scores, (len(user_numbers), 1))
        rows = np.repeat(np.arange(len(user_numbers)), np.diff(summed.indptr))
        scores_BC[rows, summed.indices] = summed.data
        if train is not None:
            exclude(scores_BC, _rows(train, user_numbers))
        return top_k(scores_BC, k)


def _rows(matrix: UserItems, user_numbers: Int64Array) -> UserItems:
    check_user_numbers(user_numbers, matrix.shape[0])
    return sparse.csr_array(matrix)[user_numbers]


def _nearest_neighbours(history: UserItems, num_neighbours: int) -> ItemItems:
    """Cosine similarities of columns, the largest N of each column, none with itself. (C, C)."""
    norms_C = np.sqrt(history.sum(axis=0))
    scale = sparse.diags_array(1 / np.maximum(norms_C, 1), dtype=np.float32)
    unit = sparse.csr_array(history @ scale)
    unit_by_item = sparse.csr_array(unit.T)

    # An item costs one multiplication for each interaction of each of its users.
    work_C = history.T @ np.diff(history.indptr).astype(np.float32)
    blocks = [
        _largest_of_rows(sparse.csr_array(unit_by_item[start:stop] @ unit), num_neighbours, start)
        for start, stop in _blocks(work_C, _PRODUCT_BUDGET)
    ]
    return sparse.csr_array(sparse.vstack(blocks, format="csr").T)


def _blocks(work_C: Float32Array, budget: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of items whose work stays near the budget: below it, plus one item."""
    block_C = np.cumsum(work_C, dtype=np.float64) // budget
    edges = np.flatnonzero(np.diff(block_C, prepend=-1, append=np.inf))
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def _largest_of_rows(similarity: ItemItems, num_kept: int, first_item: int) -> ItemItems:
    """The largest entries of each row, ties by column; row r is item first_item + r, not kept."""
    similarity.sort_indices()
    lengths = np.diff(similarity.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    is_self = similarity.indices == rows + first_item
    values = np.where(is_self, -1, similarity.data)  # last of its row
    order = np.lexsort((-values, rows))  # stable, so columns stay ascending within ties
    place = np.arange(len(order)) - np.repeat(similarity.indptr[:-1], lengths)
    kept = order[place < num_kept]
    kept = kept[~is_self[kept]]
    return sparse.csr_array(
        (similarity.data[kept], (rows[kept], similarity.indices[kept])), shape=similarity.shape
    )
