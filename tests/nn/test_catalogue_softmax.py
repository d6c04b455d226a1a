"""The fast softmax over the catalogue against its plain twin: values, gradients, buffer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recsys.errors import ConfigError
from recsys.nn.catalogue_softmax import ScoreBuffer, catalogue_softmax_loss
from recsys.nn.losses import Positives, softmax_loss

TINY = float(torch.finfo(torch.float32).tiny)


def unit_vectors(num_vectors: int, width: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Random unit vectors that want a gradient."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(num_vectors, width, generator=generator, dtype=dtype)
    return torch.nn.functional.normalize(vectors, dim=1).requires_grad_()


def random_positives(num_queries: int, num_items: int, seed: int, dtype: torch.dtype) -> Positives:
    """One to five positives a query, of weights that differ by orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (num_queries,), generator=generator)
    num_positives = int(lengths.sum())
    return Positives(
        rows=torch.arange(num_queries).repeat_interleave(lengths),
        columns=torch.randint(num_items, (num_positives,), generator=generator),
        weights=10 ** torch.empty(num_positives, dtype=dtype).uniform_(-3, 3, generator=generator),
    )


def both_losses(
    case: tuple[Tensor, Tensor, Positives], temperature: float, buffer: ScoreBuffer
) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradients of the fast loss and of its twin, multiplied by 3 on the way."""
    query_BD, candidate_CD, positives = case
    results = []
    for loss in (
        catalogue_softmax_loss(
            query_BD, candidate_CD, positives, temperature=temperature, buffer=buffer
        ),
        softmax_loss(query_BD, candidate_CD, positives, temperature=temperature),
    ):
        gradients = torch.autograd.grad(3 * loss, [query_BD, candidate_CD])
        results.append([loss.detach(), *gradients])
    return results[0], results[1]


def case_of(
    num_queries: int, num_items: int, width: int, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Positives]:
    """Queries, candidates and positives."""
    return (
        unit_vectors(num_queries, width, seed, dtype),
        unit_vectors(num_items, width, seed + 1, dtype),
        random_positives(num_queries, num_items, seed + 2, dtype),
    )


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 6))


@given(sizes=st.lists(SIZES, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_values_and_gradients_equal_the_twin_while_the_buffer_is_used_again(
    sizes: list[tuple[int, int, int]], seed: int
) -> None:
    """In float64 both agree to 1e-9, whatever shapes went through the buffer before."""
    buffer = ScoreBuffer(torch.float64)
    for shape in sizes:
        case = case_of(*shape, seed, torch.float64)
        fast, plain = both_losses(case, 0.1, buffer)
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.03])
def test_float32_agrees_tightly(temperature: float) -> None:
    """At the temperatures in use float32 loses nothing that matters."""
    fast, plain = both_losses(case_of(40, 500, 16, 0), temperature, ScoreBuffer(torch.float32))
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.03])
def test_bfloat16_agrees_loosely(temperature: float) -> None:
    """bfloat16 keeps the loss within a percent and the direction of both gradients."""
    fast, plain = both_losses(case_of(40, 500, 16, 0), temperature, ScoreBuffer(torch.bfloat16))
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-2, atol=0)
    for ours, theirs in zip(fast[1:], plain[1:], strict=True):
        assert ours.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
        assert cosine > 0.995
        torch.testing.assert_close(ours.norm(), theirs.norm(), rtol=0.03, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("first", [0, 1])
def test_scores_that_lie_far_apart_are_no_infinity(dtype: torch.dtype, first: int) -> None:
    """One rival may be e^300 times as probable as the first one, whose probability is then 0."""
    query_BD, candidate_CD, positives = case_of(20, 30, 4, 5, dtype)
    lengths = torch.full((30, 1), 0.1, dtype=dtype)
    lengths[first::7] = 30
    case = query_BD, (candidate_CD.detach() * lengths).requires_grad_(), positives
    fast, plain = both_losses(case, 0.1, ScoreBuffer(dtype))
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)
    coarse, _ = both_losses(case, 0.1, ScoreBuffer(torch.bfloat16))
    assert all(bool(one.isfinite().all()) for one in coarse)
    torch.testing.assert_close(coarse[0], plain[0], rtol=1e-2, atol=0)


def test_gradients_equal_finite_differences() -> None:
    """The gradients made in the forward pass are those of the value."""
    query_BD, candidate_CD, positives = case_of(3, 5, 4, 7, torch.float64)
    buffer = ScoreBuffer(torch.float64)
    assert torch.autograd.gradcheck(
        lambda query, candidate: catalogue_softmax_loss(
            query, candidate, positives, temperature=0.5, buffer=buffer
        ),
        (query_BD, candidate_CD),
    )


def test_two_losses_of_one_buffer_keep_their_own_gradients() -> None:
    """A second loss may overwrite the scores of the first before either goes backward."""
    buffer = ScoreBuffer(torch.float32)
    query_BD, candidate_CD, positives = case_of(6, 9, 4, 3)
    losses = [
        catalogue_softmax_loss(
            query_BD[:, :width], candidate_CD[:, :width], positives, temperature=0.2, buffer=buffer
        )
        for width in (4, 2)
    ]
    plain = [
        softmax_loss(query_BD[:, :width], candidate_CD[:, :width], positives, temperature=0.2)
        for width in (4, 2)
    ]
    torch.testing.assert_close(
        torch.autograd.grad(sum(losses), [query_BD, candidate_CD]),
        torch.autograd.grad(sum(plain), [query_BD, candidate_CD]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_users_of_vanishing_weight_leave_the_others_alone() -> None:
    """Weights at the floor of float32 beside weights of 1e10 give no NaN and no gradient."""
    query_BD, candidate_CD, _ = case_of(2, 5, 4, 0)
    positives = Positives(
        rows=torch.tensor([0, 0, 1]),
        columns=torch.tensor([1, 2, 3]),
        weights=torch.tensor([TINY, TINY, 1e10]),
    )
    fast, plain = both_losses((query_BD, candidate_CD, positives), 0.1, ScoreBuffer(torch.float32))
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)
    assert fast[1][0].abs().max() < 1e-30


def test_the_buffer_grows_and_is_kept() -> None:
    """Memory is asked for when a batch is larger than all before it, and only then."""
    buffer = ScoreBuffer(torch.float32)
    cpu = torch.device("cpu")
    first = buffer.view(4, 5, cpu)
    assert buffer.view(2, 10, cpu).data_ptr() == first.data_ptr()
    assert buffer.view(3, 2, cpu).shape == (3, 2)
    assert buffer.view(5, 5, cpu).data_ptr() != first.data_ptr()
    assert buffer.view(4, 5, cpu).dtype == torch.float32


def test_widths_that_differ_are_refused() -> None:
    """The fast loss refuses what its twin refuses."""
    _, candidate_CD, positives = case_of(2, 5, 4, 0)
    with pytest.raises(ConfigError, match="one width"):
        catalogue_softmax_loss(
            torch.ones(2, 3),
            candidate_CD,
            positives,
            temperature=0.1,
            buffer=ScoreBuffer(torch.float32),
        )


@pytest.mark.parametrize("num_queries", [1024, 1025, 1500])
def test_queries_that_fill_up_a_batch_do_not_count(num_queries: int) -> None:
    """Below and beyond the size from which batches are filled up, the twin is met."""
    case = case_of(num_queries, 7, 3, 0, torch.float64)
    fast, plain = both_losses(case, 0.2, ScoreBuffer(torch.float64))
    for found, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
