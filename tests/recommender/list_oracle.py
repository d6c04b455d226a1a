"""Brute force for the tests of search and lists, and vectors to search."""

from __future__ import annotations

import numpy as np
from scipy import sparse

FINGERPRINT = "0" * 64


def brute_force(
    queries: np.ndarray, items: np.ndarray, k: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sort the allowed items of each query by score, then by item number."""
    found = np.full((len(queries), k), -1)
    found_scores = np.full((len(queries), k), -np.inf)
    scores = queries.astype(np.float64) @ items.astype(np.float64).T
    for row in range(len(queries)):
        numbers = np.flatnonzero(allowed[row])
        best = sorted(numbers, key=lambda item, row=row: (-scores[row, item], item))[:k]
        found[row, : len(best)] = best
        found_scores[row, : len(best)] = scores[row, best]
    return found, found_scores


def csr(flags: np.ndarray) -> sparse.csr_array:
    """Flags as the matrix that filters take."""
    return sparse.csr_array(flags.astype(np.float32))


def clustered(
    num_items: int, num_queries: int, dim: int, *, seed: int, num_clusters: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of items around common centres, and of queries near the items."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_clusters, dim))

    def near(count: int) -> np.ndarray:
        spread = 0.5 * rng.standard_normal((count, dim))
        vectors = centres[rng.integers(num_clusters, size=count)] + spread
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return near(num_items), near(num_queries)
