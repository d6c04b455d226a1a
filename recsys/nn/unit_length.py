"""Vectors brought to unit length, with a gradient that stays small and costs little.

Shapes: B vectors, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_SHORTEST = 1e-12
"""Length below which a vector counts as zero."""


def unit_length(vectors_BD: Tensor, *, length: float = 1.0) -> Tensor:
    """Bring each vector to unit length, or to another one; zero vectors stay zero.

    At a zero vector the gradient is that of a vector of length 1. `torch.nn.functional.normalize`
    makes it 1e12 times as large there: after one user without history in the first batch, Adam
    takes only tiny steps for the rest of training.

    Args:
        vectors_BD: Vectors. Shape (B, D).
        length: What is asked for, in place of 1.

    Returns:
        Shape (B, D).
    """
    unit_BD: Tensor = _UnitLength.apply(vectors_BD, length)  # type: ignore[no-untyped-call]
    return unit_BD


class _UnitLength(torch.autograd.Function):
    """Keeps no copy of its input, and makes two temporary tensors where autograd makes eight."""

    @staticmethod
    def forward(ctx: Any, vectors_BD: Tensor, length: float) -> Tensor:  # noqa: ANN401  no type
        lengths_B1: Tensor = torch.linalg.vector_norm(vectors_BD, dim=1, keepdim=True)
        lengths_B1.masked_fill_(lengths_B1 < _SHORTEST, length).div_(length)
        scaled_BD = vectors_BD / lengths_B1
        ctx.save_for_backward(scaled_BD, lengths_B1)
        ctx.length = length
        return scaled_BD

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        scaled_BD, lengths_B1 = ctx.saved_tensors
        along_B1 = torch.linalg.vecdot(grad_outputs[0], scaled_BD).unsqueeze(1)
        across_BD = torch.addcmul(grad_outputs[0], scaled_BD, along_B1, value=-(ctx.length**-2))
        return across_BD.div_(lengths_B1), None
