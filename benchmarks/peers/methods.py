"""What the recommender is compared with: fitted on a matrix of users and items, tuned on another.

Shapes: U users, C items, K list length.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import scipy.linalg
from climb import Settings
from scipy import sparse

from recsys.arrays import Float32Array, Int64Array
from recsys.recommender.evaluation.baselines import ItemItemCosine, MostPopular
from recsys.recommender.ranking.ranker import exclude, rank_all, top_k

Search = Callable[[Int64Array, int], Int64Array]
"""Users (U,) and K to item numbers (U, K), those of the train matrix left out."""

_WIDTH = 256
_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to rank."""

    fit: Callable[[sparse.csr_matrix, Settings], Search]
    """Fit on interactions (U, C)."""
    start: Settings
    """Where tuning starts."""
    ladders: Mapping[str, Sequence[float]]
    """What is tuned; nothing where there is nothing to."""
    max_tuned_items: int | None = None
    """Size of the catalogue up to which a fit is short enough to be tried with several settings."""
    refusal: Callable[[int], str | None] = lambda num_items: None  # noqa: ARG005
    """Why a catalogue of a size is too much for it, if it is."""


def _als(train: sparse.csr_matrix, settings: Settings) -> Search:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=_WIDTH, iterations=15, random_state=0, regularization=settings["regularization"],
        alpha=settings["alpha"], num_threads=os.cpu_count() or 1,
    )  # fmt: skip
    return _fitted(model, train)


def _bpr(train: sparse.csr_matrix, settings: Settings) -> Search:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=_WIDTH, iterations=int(settings["iterations"]), random_state=0,
        regularization=settings["regularization"], learning_rate=settings["learning_rate"],
        num_threads=os.cpu_count() or 1,
    )  # fmt: skip
    return _fitted(model, train)


def _fitted(model: Any, train: sparse.csr_matrix) -> Search:
    logging.getLogger("implicit").setLevel(logging.ERROR)
    model.fit(train, show_progress=False)

    def search(users: Int64Array, k: int) -> Int64Array:
        # The library holds a score for each user of a call and item, so users go in blocks.
        blocks = [
            model.recommend(users[start : start + 4096], train[users[start : start + 4096]], N=k)[0]
            for start in range(0, len(users), 4096)
        ]
        return np.concatenate(blocks).astype(np.int64)

    return search


def _cosine(train: sparse.csr_matrix, settings: Settings) -> Search:
    matrix = sparse.csr_array(train)
    ranker = ItemItemCosine.fit(matrix, num_neighbours=int(settings["num_neighbours"]))
    return lambda users, k: _ranked(ranker, users, k, matrix)


def _popular(train: sparse.csr_matrix, settings: Settings) -> Search:  # noqa: ARG001
    matrix = sparse.csr_array(train)
    return lambda users, k: _ranked(MostPopular.fit(matrix), users, k, matrix)


def _ranked(ranker: Any, users: Int64Array, k: int, train: sparse.csr_array) -> Int64Array:
    return np.concatenate([lists for _, lists, _ in rank_all(ranker, users, k=k, train=train)])


def _ease(train: sparse.csr_matrix, settings: Settings) -> Search:
    """Steck 2019, Embarrassingly shallow autoencoders (https://arxiv.org/abs/1905.03375), eq. 8."""
    matrix = sparse.csr_array(train)
    gram = (matrix.T @ matrix).toarray(order="F")
    gram[np.diag_indices_from(gram)] += np.float32(settings["regularization"])
    factor, _ = scipy.linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, _ = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    weights = _symmetric(inverse)
    weights /= -np.diag(weights).copy()
    weights[np.diag_indices_from(weights)] = 0

    def search(users: Int64Array, k: int) -> Int64Array:
        lists = []
        for start in range(0, len(users), _BLOCK):
            rows = matrix[users[start : start + _BLOCK]]
            scores = rows @ weights
            exclude(scores, rows)
            lists.append(top_k(scores, k)[0])
        return np.concatenate(lists)

    return search


def _symmetric(lower: Float32Array) -> Float32Array:
    """Mirror the lower triangle, in place, in C order: a whole copy may not fit."""
    matrix = lower.T  # upper triangle, C order
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
        corner = matrix[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
    return matrix


_MAX_EASE_ITEMS = 32_768
"""At 40,981 items OpenBLAS crashed in the factorisation, after minutes and with memory left."""


def _needs_memory(num_items: int) -> str | None:
    """Two matrices of items by items, with the second for LAPACK's and SciPy's own copies."""
    if num_items > _MAX_EASE_ITEMS:
        return f"refused beyond {_MAX_EASE_ITEMS:,} items: the LAPACK that SciPy brings crashes"
    needed, free = 2 * 4 * num_items**2, psutil.virtual_memory().available
    if needed <= free:
        return None
    return f"needs {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free"


METHODS: Mapping[str, Method] = {
    "most popular": Method(fit=_popular, start={}, ladders={}),
    "item-item cosine": Method(
        fit=_cosine,
        start={"num_neighbours": 100},
        ladders={"num_neighbours": (20, 50, 100, 200, 500)},
    ),
    "implicit ALS": Method(
        fit=_als,
        start={"alpha": 10, "regularization": 10},
        ladders={
            "alpha": (1, 2, 5, 10, 20, 50, 100),
            "regularization": (0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
        },
    ),
    "implicit BPR": Method(
        fit=_bpr,
        start={"learning_rate": 0.03, "regularization": 0.01, "iterations": 60},
        ladders={
            "learning_rate": (0.01, 0.03, 0.1),
            "regularization": (0.001, 0.003, 0.01, 0.03, 0.1),
            "iterations": (60, 120),
        },
    ),
    "EASE": Method(
        fit=_ease,
        start={"regularization": 300},
        ladders={"regularization": (30, 100, 300, 1000)},
        max_tuned_items=20_000,
        refusal=_needs_memory,
    ),
}
