"""Unit length: torch's normalisation away from zero, and a tame gradient at zero."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.nn.unit_length import unit_length


@given(num_vectors=st.integers(0, 5), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_value_and_gradient_equal_those_of_torch(num_vectors: int, width: int, seed: int) -> None:
    """For vectors other than zero both are those of `torch.nn.functional.normalize`."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(num_vectors, width, generator=generator, dtype=torch.float64)
    vectors.requires_grad_()
    upstream = torch.randn(num_vectors, width, generator=generator, dtype=torch.float64)
    ours, theirs = unit_length(vectors), torch.nn.functional.normalize(vectors, dim=1)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, vectors, upstream),
        torch.autograd.grad(theirs, vectors, upstream),
    )


def test_gradient_equals_finite_differences() -> None:
    """The gradient written by hand is that of the value."""
    vectors = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit_length, (vectors,))


def test_a_zero_vector_stays_zero_and_passes_its_gradient_on() -> None:
    """At zero there is no direction to take away and no length to divide by."""
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1e-20, 0.0]], requires_grad=True)
    unit = unit_length(vectors)
    torch.testing.assert_close(unit.detach(), torch.tensor([[0, 0], [0.6, 0.8], [1e-20, 0]]))
    (gradient,) = torch.autograd.grad(unit, vectors, torch.tensor([[1.0, -2.0]] * 3))
    assert gradient[0].tolist() == [1, -2]
    assert gradient[2].tolist() == [1, -2]
