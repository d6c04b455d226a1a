"""Losses over positives grouped by query.

Shapes: B queries, C candidates (the catalogue, or a sample of it), D width, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class Positives:
    """Which candidates the queries of a batch should prefer."""

    rows: Tensor
    """Query of each positive, ascending. Shape (P,), int64."""
    columns: Tensor
    """Candidate of each positive. Shape (P,), int64."""
    weights: Tensor
    """How much each positive counts, greater than 0. Shape (P,), float32."""

    def to(self, device: torch.device) -> Positives:
        """The same on another device."""
        return Positives(
            rows=self.rows.to(device),
            columns=self.columns.to(device),
            weights=self.weights.to(device),
        )


def softmax_loss(
    query_BD: Tensor, candidate_CD: Tensor, positives: Positives, *, temperature: float
) -> Tensor:
    r"""Softmax cross-entropy over all candidates, averaged over the positives by weight.

    .. math::
        -\frac{1}{\sum_p w_p} \sum_p w_p \log
        \frac{e^{s_p / t}}{e^{s_p / t} + \sum_{c \notin known} e^{s_c / t}}

    Each positive competes with the candidates that are not positives of its query, and not with the
    other positives. With one positive a query it is the multinomial likelihood of Liang et al. 2018
    (https://arxiv.org/abs/1802.05814, section 2.2) with inner products s as logits.

    Args:
        query_BD: Query embeddings.
        candidate_CD: Embeddings of the whole catalogue.
        positives: Their columns are item numbers.
        temperature: t, greater than 0.

    Returns:
        A scalar.
    """
    check_loss_inputs(query_BD, candidate_CD, temperature)
    logits_BC = query_BD @ candidate_CD.T / temperature
    places = positives.rows, positives.columns
    rivals_BC = logits_BC.index_put(places, logits_BC.new_tensor(-torch.inf))
    return _mean_loss(logits_BC[places], torch.logsumexp(rivals_BC, dim=1), positives)


def sampled_softmax_loss(
    query_BD: Tensor,
    candidate_CD: Tensor,
    positives: Positives,
    *,
    log_inclusion_C: Tensor,
    known_BC: Tensor,
    temperature: float,
) -> Tensor:
    r"""Softmax cross-entropy against a sample of the catalogue, corrected for how it was drawn.

    .. math::
        -\frac{1}{\sum_p w_p} \sum_p w_p \log
        \frac{e^{s_p / t}}{e^{s_p / t} + \sum_{c \notin known} e^{s_c / t - \log \pi_c}}

    Dividing by the probability :math:`\pi_c` that c is in the sample makes the sum an unbiased
    estimate of the one over the catalogue: the logQ correction of Bengio and Senécal 2008, used
    for in-batch negatives by Yi et al. 2019 (https://doi.org/10.1145/3298689.3346996). The
    positive is there by construction, not by sampling, and is not corrected
    (https://arxiv.org/abs/2507.09331). All other known positives of the query are left out, which
    covers accidental hits too.

    Args:
        query_BD: Query embeddings.
        candidate_CD: Embeddings of the sampled items, none twice; the positives are among them.
        positives: Their columns are positions in the sample.
        log_inclusion_C: Log of the probability of each item to be in a sample, at most 0.
        known_BC: True where an item is a known positive of the query.
        temperature: t, greater than 0.

    Returns:
        A scalar.
    """
    check_loss_inputs(query_BD, candidate_CD, temperature)
    logits_BC = (query_BD / temperature) @ candidate_CD.T
    positive_P = logits_BC[positives.rows, positives.columns]
    negative_BC = (logits_BC - log_inclusion_C).masked_fill(known_BC, -torch.inf)
    return _mean_loss(positive_P, torch.logsumexp(negative_BC, dim=1), positives)


def _mean_loss(positive_P: Tensor, negative_B: Tensor, positives: Positives) -> Tensor:
    """Mean by weight of the losses of positives against the log sum of their query's rivals."""
    loss_P = torch.logaddexp(positive_P, negative_B[positives.rows]) - positive_P
    return (positives.weights * loss_P).sum() / positives.weights.sum()


def log_inclusion(
    num_queries_C: Tensor, *, num_queries: int, batch_size: float, num_uniform: int
) -> Tensor:
    """Log probability of each item to be in a sample of mixed negatives.

    A sample holds the positives of `batch_size` queries drawn without order from `num_queries`,
    and `num_uniform` items drawn uniformly from the catalogue: the mixed negatives of Yang et al.
    2020 (https://doi.org/10.1145/3366424.3386195). Draws are taken as independent, which is nearly
    true of a batch much smaller than the log.

    Args:
        num_queries_C: Number of queries that each item is a positive of. Shape (C,).
        num_queries: Number of queries there are.
        batch_size: Number of queries in a batch, on average.
        num_uniform: Number of uniform draws, with replacement.

    Returns:
        Shape (C,), at most 0.
    """
    left_out = 1 - min(batch_size / num_queries, 1.0)  # probability of a query to be in no batch
    not_drawn = 1 - 1 / len(num_queries_C)  # probability of an item not to be a uniform draw
    # xlogy takes 0 · log 0 for 0: an item without queries is in no batch, however large.
    log_absent_C = torch.xlogy(num_queries_C.double(), left_out)
    log_absent_C += torch.xlogy(num_uniform, torch.tensor(not_drawn, dtype=torch.float64))
    return torch.log(-torch.expm1(log_absent_C)).float()


def check_loss_inputs(query_BD: Tensor, candidate_CD: Tensor, temperature: float) -> None:
    """Refuse matrices of different widths and a temperature of 0 or less with a ConfigError."""
    if query_BD.ndim != 2 or candidate_CD.ndim != 2 or query_BD.shape[1] != candidate_CD.shape[1]:
        raise ConfigError(
            "loss: expected queries and candidates of one width, "
            f"got shapes {tuple(query_BD.shape)} and {tuple(candidate_CD.shape)}"
        )
    if temperature <= 0:
        raise ConfigError(f"loss: expected a temperature greater than 0, got {temperature}")
