"""Vectors brought to unit length, with a gradient that stays small and costs little.

Shapes: B vectors, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SHORTEST = 1e-12
"""Length below which a vector counts as zero."""


def unit_length(vectors_BD: Tensor) -> Tensor:
    """Divide each vector by its length; zero vectors stay zero.

    At a zero vector the gradient is that of a vector of length 1. `torch.nn.functional.normalize`
    makes it 1e12 times as large there: one user without history in the first batch, and Adam takes
    no step worth the name for the rest of training.

    Args:
        vectors_BD: Vectors. Shape (B, D).

    Returns:
        Shape (B, D).
    """
    unit_BD: Tensor = _UnitLength.apply(vectors_BD)  # type: ignore[no-untyped-call]
    return unit_BD


class _UnitLength(torch.autograd.Function):
    """Keeps no copy of its input, and makes two temporary tensors where autograd makes eight."""

    @staticmethod
    def forward(ctx: Any, vectors_BD: Tensor) -> Tensor:  # noqa: ANN401  torch gives it no type
        lengths_B1: Tensor = torch.linalg.vector_norm(vectors_BD, dim=1, keepdim=True)
        lengths_B1.masked_fill_(lengths_B1 < _SHORTEST, 1)
        unit_BD = vectors_BD / lengths_B1
        ctx.save_for_backward(unit_BD, lengths_B1)
        return unit_BD

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN401
        unit_BD, lengths_B1 = ctx.saved_tensors
        along_B1 = (grad_outputs[0] * unit_BD).sum(dim=1, keepdim=True)
        across_BD = torch.addcmul(grad_outputs[0], unit_BD, along_B1, value=-1)
        return across_BD.div_(lengths_B1)
