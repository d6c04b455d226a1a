"""The start of item vectors: singular vectors, planted clusters, and logs too small for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from recsys.recommender.towers.warm_start import warm_start


def started(dense_UC: np.ndarray, width: int, *, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Item vectors after the start, from random vectors of the given size."""
    weight_CD = torch.randn(dense_UC.shape[1], width, generator=torch.Generator().manual_seed(seed))
    weight_CD *= noise
    warm_start(weight_CD, sparse.csr_array(dense_UC.astype(np.float32)), num_heads=1, seed=seed)
    return weight_CD


def test_inner_products_are_those_of_the_singular_vectors() -> None:
    """Up to one factor, products of vectors equal V S Vᵀ of the degree-normalised matrix."""
    rng = np.random.default_rng(0)
    dense_UC = (rng.random((30, 8)) < 0.4) * 1.0
    vectors = started(dense_UC, 7).double().numpy()
    users, items = dense_UC.sum(axis=1).clip(1), dense_UC.sum(axis=0).clip(1)
    normalised = dense_UC / np.sqrt(users)[:, None] / np.sqrt(items)
    _, values, right = np.linalg.svd(normalised)
    expected = (right[:7].T * values[:7]) @ right[:7]
    found = vectors @ vectors.T
    np.testing.assert_allclose(found / np.trace(found), expected / np.trace(expected), atol=1e-5)
    assert np.linalg.norm(vectors, axis=1).mean() == pytest.approx(1)


def test_items_of_one_cluster_start_close_in_every_prefix() -> None:
    """Vectors of a planted cluster point one way, already in their first dimensions."""
    rng = np.random.default_rng(1)
    clusters_U, clusters_C = np.arange(300) % 3, np.arange(30) % 3
    chances_UC = np.where(clusters_U[:, None] == clusters_C, 0.3, 0.03)
    vectors = started(rng.random((300, 30)) < chances_UC, 16, noise=0.25)
    for width, gap in ((4, 0.4), (16, 0.15)):
        unit = torch.nn.functional.normalize(vectors[:, :width], dim=1)
        cosines = (unit @ unit.T).numpy()
        same = clusters_C[:, None] == clusters_C
        others = ~np.eye(30, dtype=bool)
        assert cosines[same & others].mean() > cosines[~same].mean() + gap


def test_items_with_the_same_users_are_told_apart() -> None:
    """A tenth of the random start stays, so that equal columns do not stay equal."""
    dense_UC = np.ones((5, 4))
    dense_UC[:, 3] = [1, 0, 1, 0, 0]
    vectors = started(dense_UC, 2, noise=1.0)
    random = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(vectors[0] - vectors[1], 0.1 * (random[0] - random[1]))
    assert torch.equal(vectors, started(dense_UC, 2, noise=1.0))
    assert not torch.equal(vectors, started(dense_UC, 2, noise=1.0, seed=1))


@pytest.mark.parametrize(("num_users", "num_items"), [(1, 1), (1, 5), (5, 1)])
def test_logs_without_two_users_and_items_keep_the_random_start(
    num_users: int, num_items: int
) -> None:
    """Where there is nothing to decompose nothing changes, and nothing fails."""
    before = torch.randn(num_items, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(started(np.ones((num_users, num_items)), 4, noise=1.0), before)


def test_fewer_items_than_dimensions_fill_what_they_can() -> None:
    """Three items have two singular vectors to start from; the other dimensions keep noise."""
    vectors = started(np.random.default_rng(0).random((9, 3)) < 0.6, 8, noise=1e-3)
    assert torch.isfinite(vectors).all()
    assert vectors[:, :2].norm() > 0.5
    assert vectors[:, 2:].abs().max() < 1e-2
