"""Propagation: item vectors gain a sum of their users' vectors, one step over the graph.

Shapes: U users, C items, B users of a block, D width.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.features.encoder import EncodedTable
from recsys.features.history import UserItemMatrix
from recsys.recommender.fitting.batches import UserBatches
from recsys.recommender.towers.ragged import ragged_rows
from recsys.recommender.towers.two_tower import QueryInputs, TwoTower

_BLOCK_USERS = 1 << 16
"""Users embedded at a time."""
_REFRESHES = 8
"""How often an epoch the sums are recomputed; doing so at every step made no measurable
difference."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Propagation:
    r"""The sum of the query vectors of each item's users, normalised by both degrees.

    .. math:: p_i = a \sum_{u \in N(i)} \frac{q_u}{\sqrt{|N(u)|\,|N(i)|}}

    One step of LightGCN (He et al. 2020, https://arxiv.org/abs/2002.02126, eq. 3), from users to
    items only: the vector that is searched is the candidate tower's own plus this one. It brings
    items with common users closer, and makes the vectors of items with many users longer.
    """

    blocks: tuple[tuple[QueryInputs, Tensor], ...]
    """Users with their whole history, and the normalised matrix of items and them, (C, B)."""
    share: float
    """a, greater than 0."""

    @classmethod
    def of(cls, batches: UserBatches, *, share: float, device: torch.device) -> Propagation | None:
        """The step for a log; None where the share is 0."""
        if not share:
            return None
        blocks = [
            (inputs.to(device), matrix.to(device))
            for inputs, matrix in _blocks(
                batches.matrix, batches.features, user_embedding=batches.user_embedding
            )
        ]
        return cls(blocks=tuple(blocks), share=share)

    @torch.no_grad()
    def propagated(self, towers: TwoTower, item_features: EncodedTable | None) -> Tensor:
        """What is added to each item, given the present towers.

        Args:
            towers: The networks.
            item_features: Features of the catalogue, if the model has any.

        Returns:
            Shape (C, D).
        """
        item_CD = towers.candidate(None, item_features)
        propagated_CD = torch.zeros_like(item_CD)
        for inputs, matrix_CB in self.blocks:
            propagated_CD += matrix_CB @ towers.query(inputs, item_CD)
        return propagated_CD.mul_(self.share)


@dataclass(eq=False)
class LazyPropagation:
    """The spread while training: recomputed a few times an epoch, and constant for the gradient."""

    propagation: Propagation
    """Makes it."""
    num_batches: int
    """Batches in an epoch."""
    _steps: int = 0
    _latest: Tensor | None = None

    def next(self, towers: TwoTower, item_features: EncodedTable | None) -> Tensor:
        """What to add to item vectors in this step. Shape (C, D)."""
        if self._latest is None or self._steps % max(self.num_batches // _REFRESHES, 1) == 0:
            self._latest = self.propagation.propagated(towers, item_features)
        self._steps += 1
        return self._latest

    def state(self) -> dict[str, Tensor]:
        """What the next steps depend on; nothing before the first."""
        if self._latest is None:
            return {}
        return {"steps": torch.tensor(self._steps), "spread": self._latest}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from a `state`."""
        if state:
            self._steps = int(state["steps"])
            self._latest = state["spread"].to(device)


def _blocks(
    matrix: UserItemMatrix, features: EncodedTable | None, *, user_embedding: bool
) -> Iterator[tuple[QueryInputs, Tensor]]:
    num_users, num_items = matrix.shape
    degrees_U = np.maximum(np.diff(matrix.indptr), 1)
    degrees_C = np.maximum(np.bincount(matrix.indices, minlength=num_items), 1)
    for start in range(0, num_users, _BLOCK_USERS):
        block = matrix[start : start + _BLOCK_USERS]
        rows = torch.arange(start, start + block.shape[0])
        inputs = QueryInputs(
            history=ragged_rows(block),
            features=None if features is None else features.take(rows),
            user_rows=rows + 1 if user_embedding else None,
        )
        values = degrees_U[rows.numpy()].repeat(np.diff(block.indptr)) * degrees_C[block.indices]
        shares = sparse.csr_array(
            ((values**-0.5).astype(np.float32), block.indices, block.indptr), shape=block.shape
        )
        yield inputs, _sparse_tensor(sparse.csr_array(shares.T))


def _sparse_tensor(matrix: UserItemMatrix) -> Tensor:
    with warnings.catch_warnings():  # that sparse matrices are in beta
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        )
