"""The softmax loss over a whole catalogue without a second copy of the scores.

`catalogue_softmax_loss` equals `recsys.nn.losses.softmax_loss`, its plain twin. Gradients are made
in the forward pass from one buffer of scores that is used for every batch; matrix products run in
bfloat16 where the processor is built for it.

Shapes: B queries, C candidates, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recsys.nn.losses import Positives


@dataclass(eq=False)
class ScoreBuffer:
    """Memory for the scores of a batch, kept between batches: fresh pages cost a third of the time."""

    dtype: torch.dtype
    """Type of the matrix products: float32 or bfloat16."""
    _memory: Tensor | None = field(default=None, repr=False)

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
    weights_P = positives.weights / positives.weights.sum()
    weights_B = query_BD.new_zeros(len(query_BD)).index_add(0, positives.rows, weights_P)
    partition: Tensor = _WeightedLogSumExp.apply(
        query_BD / temperature, candidate_CD, weights_B, buffer
    )
    lengths_B = torch.bincount(positives.rows, minlength=len(query_BD))
    offsets = torch.cat([lengths_B.new_zeros(1), lengths_B.cumsum(0)])
    # Scores are linear in the candidates: one product with their weighted sum serves a query.
    target_BD = torch.nn.functional.embedding_bag(
        positives.columns,
        candidate_CD,
        offsets,
        mode="sum",
        per_sample_weights=weights_P,
        include_last_offset=True,
    )
    return partition - (query_BD * target_BD).sum() / temperature


class _WeightedLogSumExp(torch.autograd.Function):
    """Sum over queries of w times the log of the sum over candidates of exp(query · candidate)."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch gives it no type
        query_BD: Tensor,
        candidate_CD: Tensor,
        weights_B: Tensor,
        buffer: ScoreBuffer,
    ) -> Tensor:
        query, candidate = query_BD.to(buffer.dtype), candidate_CD.to(buffer.dtype)
        scores_BC = buffer.view(len(query), len(candidate), query.device)
        torch.mm(query, candidate.T, out=scores_BC)
        # One score and its probability give the logarithm of the sum: no other pass is needed.
        first_score_B = scores_BC[:, 0].float()
        probs_BC = torch.softmax(scores_BC, dim=1, out=scores_BC)
        log_sum_B = first_score_B - probs_BC[:, 0].float().log()
        grad_query_BD = (probs_BC @ candidate).float() * weights_B[:, None]
        weighted_query = query * weights_B[:, None].to(buffer.dtype)
        # The transposed order reads the scores row by row, as they lie in memory.
        grad_candidate_CD = (weighted_query.T @ probs_BC).T.float()
        ctx.save_for_backward(grad_query_BD, grad_candidate_CD)
        return (log_sum_B * weights_B).sum()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        grad_query_BD, grad_candidate_CD = ctx.saved_tensors
        grad = grad_outputs[0]
        return grad * grad_query_BD, grad * grad_candidate_CD, None, None
