"""Initial item vectors: the singular vectors of the interactions.

Shapes: U users, C items, D embedding width.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from recsys.features.history import UserItemMatrix

_NOISE = 0.1
"""Share of the random start that is kept: it separates items that have the same users."""


@torch.no_grad()
def warm_start(weight_CD: Tensor, histories: UserItemMatrix, *, num_heads: int, seed: int) -> None:
    """Start item vectors, in place, at the singular vectors of the degree-normalised matrix.

    Every head starts from them, with a random part of its own. Singular values order the
    dimensions, which also gives Matryoshka prefixes a good start. Source of the
    normalisation: Wang et al. 2019 (https://arxiv.org/abs/1905.08108) and its successors.

    Args:
        weight_CD: Vectors at their random start.
        histories: Interactions, whatever their values. Shape (U, C).
        num_heads: Equal parts of the vectors.
        seed: Seed of the decomposition.
    """
    head_dim = weight_CD.shape[1] // num_heads
    width = min(head_dim, min(histories.shape) - 1)
    if width < 1:
        return
    degrees_U = np.maximum(np.diff(histories.indptr), 1)
    degrees_C = np.maximum(np.bincount(histories.indices, minlength=histories.shape[1]), 1)
    ones = np.ones_like(histories.data)
    pattern = sparse.csr_array((ones, histories.indices, histories.indptr), shape=histories.shape)
    normalised = sparse.diags_array(degrees_U**-0.5) @ pattern @ sparse.diags_array(degrees_C**-0.5)
    _, values_D, items_DC = randomized_svd(
        normalised.astype(np.float32), width, n_iter=2, random_state=seed
    )
    vectors_CD = torch.from_numpy(items_DC.T * np.sqrt(values_D))
    weight_CD.mul_(_NOISE)
    vectors_CD /= vectors_CD.norm(dim=1).mean()
    for start in range(0, weight_CD.shape[1], head_dim):
        weight_CD[:, start : start + width] += vectors_CD
