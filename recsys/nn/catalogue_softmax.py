"""The softmax loss over a whole catalogue without a second copy of the scores.

`catalogue_softmax_loss` equals `recsys.nn.losses.softmax_loss`, its plain twin. Gradients are made
in the forward pass from one buffer of scores that is used for every batch; matrix products run in
bfloat16 where the processor is built for it.

Shapes: B queries, C candidates, D width, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recsys.nn.losses import Positives, check_loss_inputs

_ROWS = 1024
"""Batches of more queries are filled up to a multiple of it with queries that do not count: the
library of matrix products keeps something for each size it meets, and of sequences no two batches
have one size."""


@dataclass(eq=False)
class ScoreBuffer:
    """Memory for the scores of a batch, kept between batches: fresh pages cost a third of the time.

    Args:
        dtype: Type of the matrix products: float32 or bfloat16.
    """

    dtype: torch.dtype
    _memory: Tensor | None = field(default=None, init=False, repr=False)

    def view(self, num_rows: int, num_columns: int, device: torch.device) -> Tensor:
        """A tensor of the shape asked for, with any content."""
        size = num_rows * num_columns
        if self._memory is None or self._memory.numel() < size or self._memory.device != device:
            self._memory = torch.empty(size, dtype=self.dtype, device=device)
        return self._memory[:size].view(num_rows, num_columns)


def catalogue_softmax_loss(
    query_BD: Tensor,
    candidate_CD: Tensor,
    positives: Positives,
    *,
    temperature: float,
    buffer: ScoreBuffer,
) -> Tensor:
    """Softmax cross-entropy over all candidates, averaged over the positives by weight.

    Arguments and value are those of `recsys.nn.losses.softmax_loss`; `buffer` sets the precision.
    The scores of a query must lie within 80 of each other, or the smallest probabilities are 0 in
    float32: for unit vectors the temperature must be above 0.025.
    """
    check_loss_inputs(query_BD, candidate_CD, temperature)
    missing = -len(query_BD) % _ROWS if len(query_BD) > _ROWS else 0
    scaled_BD = functional.pad(query_BD / temperature, (0, 0, 0, missing))
    loss: Tensor = _CatalogueSoftmax.apply(  # type: ignore[no-untyped-call]
        scaled_BD, candidate_CD, positives, buffer
    )
    return loss


class _CatalogueSoftmax(torch.autograd.Function):
    """Mean over positives of the log of the sum of exp(scores) of their query, less their score."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch gives it no type
        query_BD: Tensor,
        candidate_CD: Tensor,
        positives: Positives,
        buffer: ScoreBuffer,
    ) -> Tensor:
        dtype = query_BD.dtype
        query, candidate = query_BD.to(buffer.dtype), candidate_CD.to(buffer.dtype)
        scores_BC = buffer.view(len(query), len(candidate), query.device)
        torch.mm(query, candidate.T, out=scores_BC)
        places = positives.rows, positives.columns
        score_P, first_score_B = scores_BC[places].to(dtype), scores_BC[:, 0].to(dtype, copy=True)
        probs_BC = torch.softmax(scores_BC, dim=1, out=scores_BC)
        # One score and its probability give the logarithm of the sum: no other pass is needed.
        log_sum_B = first_score_B - probs_BC[:, 0].to(dtype).log()

        total_B = query_BD.new_zeros(len(query)).index_add_(0, positives.rows, positives.weights)
        share_P = positives.weights / total_B[positives.rows]
        weight_B = total_B / total_B.sum()  # may underflow to 0, where total_B does not
        loss = (weight_B * log_sum_B).sum() - (weight_B[positives.rows] * share_P * score_P).sum()

        # The gradient by the scores of a query is its weight times this.
        error_BC = probs_BC.index_put_(places, -share_P.to(buffer.dtype), accumulate=True)
        grad_query_BD = (error_BC @ candidate).to(dtype) * weight_B[:, None]
        weighted_query = query * weight_B[:, None].to(buffer.dtype)
        # This order reads the scores row by row, as they lie in memory; one copy turns the result.
        grad_candidate_DC = weighted_query.T @ error_BC
        grad_candidate_CD = grad_candidate_DC.T.to(dtype, memory_format=torch.contiguous_format)
        ctx.save_for_backward(grad_query_BD, grad_candidate_CD)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        grad_query_BD, grad_candidate_CD = ctx.saved_tensors
        grad = grad_outputs[0]
        return grad * grad_query_BD, grad * grad_candidate_CD, None, None
