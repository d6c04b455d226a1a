"""Losses by hand, against torch, at their edges, and their sampling by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigError
from recsys.nn.losses import Positives, log_inclusion, sampled_softmax_loss, softmax_loss

QUERY = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
CANDIDATE = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
"""Scores at temperature 0.5: (2, 0, 2) for the first query, (0, 4, 4) for the second."""


def positives(*triples: tuple[int, int, float]) -> Positives:
    """Positives from (query, candidate, weight)."""
    rows, columns, weights = zip(*triples, strict=True)
    return Positives(
        rows=torch.tensor(rows), columns=torch.tensor(columns), weights=torch.tensor(weights)
    )


def random_case(seed: int, num_items: int = 20) -> tuple[Tensor, Tensor, Positives]:
    """Six queries in eight dimensions with three positives each, of random weights."""
    generator = torch.Generator().manual_seed(seed)
    query_BD = torch.randn(6, 8, generator=generator)
    candidate_CD = torch.randn(num_items, 8, generator=generator)
    columns = torch.stack([torch.randperm(num_items, generator=generator)[:3] for _ in range(6)])
    return query_BD, candidate_CD, Positives(
        rows=torch.arange(6).repeat_interleave(3),
        columns=columns.flatten(),
        weights=torch.rand(18, generator=generator) + 0.1,
    )  # fmt: skip


def known_mask(found: Positives, shape: tuple[int, int]) -> Tensor:
    """True at the positives."""
    known_BC = torch.zeros(shape, dtype=torch.bool)
    known_BC[found.rows, found.columns] = True
    return known_BC


def test_softmax_loss_equals_the_sum_by_hand() -> None:
    """Two queries, three candidates: weights 1 and 3 average the two negative log probabilities."""
    loss = softmax_loss(QUERY, CANDIDATE, positives((0, 1, 1.0), (1, 2, 3.0)), temperature=0.5)
    first = math.log(math.exp(2) + 1 + math.exp(2)) - 0  # the positive scores 0
    second = math.log(1 + math.exp(4) + math.exp(4)) - 4  # the positive scores 4
    assert loss.item() == pytest.approx((1 * first + 3 * second) / 4)


def test_positives_of_a_query_do_not_compete_with_each_other() -> None:
    """Two positives of one query: each against the one candidate that is left."""
    found = positives((1, 1, 1.0), (1, 2, 3.0))
    loss = softmax_loss(QUERY.double(), CANDIDATE.double(), found, temperature=0.5)
    each = math.log(1 + math.exp(4)) - 4  # both score 4, the rival 0
    assert loss.item() == pytest.approx(each)


def test_sampled_softmax_loss_equals_the_sum_by_hand() -> None:
    """Known items leave the sum, the others count by one over their probability of being drawn."""
    loss = sampled_softmax_loss(
        QUERY,
        CANDIDATE,
        positives((0, 1, 1.0), (1, 2, 3.0)),
        log_inclusion_C=torch.tensor([0.5, 0.25, 1.0]).log(),
        known_BC=torch.tensor([[False, True, False], [False, True, True]]),
        temperature=0.5,
    )
    first = math.log(1 + math.exp(2) / 0.5 + math.exp(2) / 1.0)  # candidates 0 and 2 remain
    second = math.log(math.exp(4) + 1 / 0.5) - 4  # candidate 0 remains
    assert loss.item() == pytest.approx((1 * first + 3 * second) / 4)


def test_softmax_loss_equals_the_cross_entropy_of_torch() -> None:
    """With one positive a query and equal weights the loss is that of torch."""
    query_BD, candidate_CD, _ = random_case(0)
    targets = torch.tensor([3, 1, 4, 1, 5, 9])
    loss = softmax_loss(
        query_BD,
        candidate_CD,
        Positives(rows=torch.arange(6), columns=targets, weights=torch.full((6,), 7.0)),
        temperature=0.3,
    )
    expected = torch.nn.functional.cross_entropy(query_BD @ candidate_CD.T / 0.3, targets)
    torch.testing.assert_close(loss, expected)


def test_sampled_softmax_over_everything_equals_the_softmax() -> None:
    """With all items in the sample for certain nothing is estimated."""
    query_BD, candidate_CD, found = random_case(1)
    sampled = sampled_softmax_loss(
        query_BD,
        candidate_CD,
        found,
        log_inclusion_C=torch.zeros(len(candidate_CD)),
        known_BC=known_mask(found, (6, len(candidate_CD))),
        temperature=0.3,
    )
    torch.testing.assert_close(
        sampled, softmax_loss(query_BD, candidate_CD, found, temperature=0.3)
    )


def test_samples_estimate_the_sum_over_the_catalogue_without_bias() -> None:
    """Averaged over samples, sum exp(score) / inclusion is the sum over all unknown items."""
    query_BD, candidate_CD, found = random_case(2, num_items=12)
    rng = np.random.default_rng(0)
    inclusion_C = rng.uniform(0.2, 0.9, len(candidate_CD))
    known_BC = known_mask(found, (6, len(candidate_CD)))
    first = positives((0, int(found.columns[0]), 1.0))
    score = (query_BD[0] @ candidate_CD[found.columns[0]]).item()
    full = (query_BD[0] @ candidate_CD.T).exp()[~known_BC[0]].sum().item()

    def estimate() -> float:
        drawn = torch.from_numpy(rng.random(len(candidate_CD)) < inclusion_C)
        drawn[found.columns[0]] = True
        items = drawn.nonzero().squeeze(1)
        loss = sampled_softmax_loss(
            query_BD[:1],
            candidate_CD[items],
            Positives(
                rows=first.rows,
                columns=torch.searchsorted(items, first.columns),
                weights=first.weights,
            ),
            log_inclusion_C=torch.from_numpy(inclusion_C).float().log()[items],
            known_BC=known_BC[:1, items],
            temperature=1.0,
        )
        return math.exp(loss.item() + score) - math.exp(score)  # the sum over negatives

    estimates = np.array([estimate() for _ in range(3000)])
    error = estimates.std() / math.sqrt(len(estimates))
    assert error < 0.02 * full
    assert abs(estimates.mean() - full) < 4 * error


def test_a_query_that_knows_the_whole_sample_has_no_loss_and_a_finite_gradient() -> None:
    """One user, one item: nothing is left to be told apart, and nothing becomes NaN."""
    query_BD = torch.tensor([[1.0, 0.0]], requires_grad=True)
    candidate_CD = torch.tensor([[0.6, 0.8]], requires_grad=True)
    loss = sampled_softmax_loss(
        query_BD,
        candidate_CD,
        positives((0, 0, 2.0)),
        log_inclusion_C=torch.zeros(1),
        known_BC=torch.ones(1, 1, dtype=torch.bool),
        temperature=0.1,
    )
    loss.backward()
    assert loss.item() == 0
    assert query_BD.grad is not None
    assert not query_BD.grad.any()
    assert candidate_CD.grad is not None
    assert not candidate_CD.grad.any()


@pytest.mark.parametrize("weight", [float(np.finfo(np.float32).tiny), 1e-20, 1e20])
def test_the_size_of_weights_cancels(weight: float) -> None:
    """Positives of equal weight give the plain mean, whatever the weight."""
    query_BD, candidate_CD, found = random_case(3)
    same = Positives(rows=found.rows, columns=found.columns, weights=torch.full((18,), weight))
    ones = Positives(rows=found.rows, columns=found.columns, weights=torch.ones(18))
    torch.testing.assert_close(
        softmax_loss(query_BD, candidate_CD, same, temperature=1.0),
        softmax_loss(query_BD, candidate_CD, ones, temperature=1.0),
    )


def test_inclusion_equals_its_frequency_in_simulated_samples() -> None:
    """Items of one, few and many queries are in mixed samples as often as the formula says."""
    rng = np.random.default_rng(0)
    num_queries, batch_size, num_uniform, num_rounds = 2000, 100, 30, 4000
    counts_C = np.array([1, 2, 5, 20, 60] + [3] * 195)
    users_of = [rng.choice(num_queries, count, replace=False) for count in counts_C]
    inside_C = np.zeros(len(counts_C))
    for _ in range(num_rounds):
        in_batch = np.zeros(num_queries, dtype=bool)
        in_batch[rng.choice(num_queries, batch_size, replace=False)] = True
        drawn = np.isin(np.arange(len(counts_C)), rng.integers(len(counts_C), size=num_uniform))
        inside_C += drawn | np.array([in_batch[users].any() for users in users_of])
    inclusion_C = log_inclusion(
        torch.from_numpy(counts_C),
        num_queries=num_queries,
        batch_size=batch_size,
        num_uniform=num_uniform,
    ).exp()
    deviation = np.sqrt(0.25 / num_rounds)
    np.testing.assert_allclose(inclusion_C.numpy(), inside_C / num_rounds, atol=4.5 * deviation)


def test_inclusion_by_hand() -> None:
    """An item of two queries, a tenth of them in a batch, four draws of five: 1 - .9² · .8⁴."""
    (first, *_) = log_inclusion(
        torch.tensor([2, 1, 1, 1, 1]), num_queries=40, batch_size=4, num_uniform=4
    ).tolist()
    assert first == pytest.approx(math.log(1 - 0.9**2 * 0.8**4))


@pytest.mark.parametrize(
    ("counts", "num_queries", "batch_size", "num_uniform", "expected"),
    [
        ([3, 1], 3, 3, 0, [1, 1]),
        ([3, 1], 3, 128, 0, [1, 1]),
        ([2, 0], 3, 3, 5, [1, 1 - 0.5**5]),
        ([0, 4], 8, 2, 0, [0, 1 - 0.75**4]),
        ([2], 8, 2, 1, [1]),
        ([2], 8, 2, 0, [1 - 0.75**2]),
        ([1], 1, 128, 2048, [1]),
    ],
    ids=["a batch of all", "a batch larger than all", "an item without queries", "never drawn",
         "one item", "one item, no draws", "one user, one item"],
)  # fmt: skip
def test_inclusion_at_its_edges(
    counts: list[int], num_queries: int, batch_size: int, num_uniform: int, expected: list[float]
) -> None:
    """Where a probability is 0 or 1 its logarithm is exact: no NaN, nothing above 0."""
    found = log_inclusion(
        torch.tensor(counts),
        num_queries=num_queries,
        batch_size=batch_size,
        num_uniform=num_uniform,
    )
    assert (found <= 0).all()
    assert found.exp().tolist() == pytest.approx(expected)


def test_inclusion_of_rare_items_of_huge_logs_keeps_its_digits() -> None:
    """One query in a billion, and a catalogue of millions: the logarithm is right to 1e-4."""
    counts = torch.ones(4_000_000, dtype=torch.int64)
    found = log_inclusion(counts, num_queries=10**9, batch_size=1000, num_uniform=0)
    assert found[0].item() == pytest.approx(math.log(1e-6), rel=1e-4)


@pytest.mark.parametrize(
    ("width", "temperature", "message"),
    [(3, 1.0, r"one width, got shapes \(2, 3\) and \(3, 2\)"), (2, 0.0, "greater than 0, got 0")],
)
def test_losses_refuse_what_they_cannot_compare(
    width: int, temperature: float, message: str
) -> None:
    """Vectors of two widths and a temperature of 0 are refused with what was found."""
    query_BD, found = torch.ones(2, width), positives((0, 1, 1.0))
    with pytest.raises(ConfigError, match=message):
        softmax_loss(query_BD, CANDIDATE, found, temperature=temperature)
    with pytest.raises(ConfigError, match=message):
        sampled_softmax_loss(
            query_BD,
            CANDIDATE,
            found,
            log_inclusion_C=torch.zeros(3),
            known_BC=torch.zeros(2, 3, dtype=torch.bool),
            temperature=temperature,
        )
