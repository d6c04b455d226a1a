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
"""Larger batches are padded to a multiple of this with queries of weight 0. The matrix library
caches something for each size it meets, and batches of sequences hardly ever have the same size."""

_LEAST_PROBABILITY = 1e-30
"""A float32 or bfloat16 probability of at least this has full precision, with a margin."""


@dataclass(eq=False)
class ScoreBuffer:
    """Memory for the scores of a batch, kept between batches: allocation takes a third of the time.

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
    Scores may differ by any amount: the vectors of popular items grow long.
    """
    check_loss_inputs(query_BD, candidate_CD, temperature)
    missing = -len(query_BD) % _ROWS if len(query_BD) > _ROWS else 0
    scaled_BD = functional.pad(query_BD / temperature, (0, 0, 0, missing))
    loss: Tensor = _CatalogueSoftmax.apply(  # type: ignore[no-untyped-call]
        scaled_BD, candidate_CD, positives, buffer
    )
    return loss


class _CatalogueSoftmax(torch.autograd.Function):
    """Mean over positives of log(1 + N / exp(score)); N sums exp(scores) of the rivals."""

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
        score_P = scores_BC[places].to(dtype)
        log_sum_B, probs_BC = _softmax_of_rivals(scores_BC, query, candidate, positives)
        log_sum_B = log_sum_B.to(dtype)

        share_P = positives.weights / positives.weights.sum()
        margin_P = log_sum_B[positives.rows] - score_P
        loss = (share_P * functional.softplus(margin_P)).sum()

        # The gradient with respect to a rival's score is its probability times the query's weight,
        # the sum of the weights of its positives. A positive's gradient is its own part, negative.
        pull_P = share_P * torch.sigmoid(margin_P)
        weight_B = query_BD.new_zeros(len(query)).index_add_(0, positives.rows, pull_P)
        part_P = pull_P / weight_B[positives.rows].clamp(min=torch.finfo(dtype).tiny)
        error_BC = probs_BC.index_put_(places, -part_P.to(buffer.dtype), accumulate=True)
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


def _softmax_of_rivals(
    scores_BC: Tensor, query_BD: Tensor, candidate_CD: Tensor, positives: Positives
) -> tuple[Tensor, Tensor]:
    """Overwrite the scores with the softmax over the candidates that are not the query's positives.

    Returns:
        Log of the sum of exp(scores) of the rivals, minus infinity where there are none, in float32
        at least, of shape (B,); probabilities, 0 at positives, of shape (B, C).
    """
    dtype = torch.promote_types(scores_BC.dtype, torch.float32)
    rival_B, alone_B = _first_rivals(positives, *scores_BC.shape)
    first_B = torch.arange(len(scores_BC), device=scores_BC.device), rival_B
    score_B = scores_BC[first_B].to(dtype)
    scores_BC[positives.rows, positives.columns] = -torch.inf
    alone = alone_B.nonzero().squeeze(1)  # a mask would walk over all scores
    scores_BC.index_fill_(0, alone, 0)
    probs_BC = torch.softmax(scores_BC, dim=1, out=scores_BC)
    prob_B = probs_BC[first_B].to(dtype)
    # One score and its probability give the logarithm of the sum, so no further pass is needed,
    # except where that rival is so far below the others that its probability underflows.
    far = ((prob_B < _LEAST_PROBABILITY) & ~alone_B).nonzero().squeeze(1)
    if len(far):
        prob_F, best_F = probs_BC[far].max(dim=1)
        score_F = torch.linalg.vecdot(query_BD[far].to(dtype), candidate_CD[best_F].to(dtype))
        score_B[far], prob_B[far] = score_F.to(scores_BC.dtype).to(dtype), prob_F.to(dtype)
    probs_BC.index_fill_(0, alone, 0)
    return (score_B - prob_B.log()).masked_fill(alone_B, -torch.inf), probs_BC


def _first_rivals(
    positives: Positives, num_queries: int, num_candidates: int
) -> tuple[Tensor, Tensor]:
    """First candidate that is not a positive of each query; which queries have none. (B,) each."""
    rows, columns = positives.rows, positives.columns
    most = int(torch.bincount(rows, minlength=1).max())
    # A query with at most `most` positives has a rival among its first `most + 1` candidates.
    width = min(most + 1, num_candidates)
    taken_BN = torch.zeros(num_queries, width, dtype=torch.uint8, device=rows.device)  # for argmin
    early_P = columns < width
    taken_BN[rows[early_P], columns[early_P]] = 1
    return taken_BN.argmin(dim=1), (taken_BN == 1).all(dim=1)
