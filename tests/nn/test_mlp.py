"""The perceptron: shapes, its silent start, and sizes that it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recsys.errors import ConfigError
from recsys.nn.mlp import MLP

SIZES = st.integers(1, 7)


@given(
    dims=st.tuples(SIZES, st.lists(SIZES, max_size=3), SIZES),
    shape=st.lists(st.integers(0, 3), max_size=2),
)
def test_output_has_the_shape_asked_for_and_starts_at_zero(
    dims: tuple[int, list[int], int], shape: list[int]
) -> None:
    """Any number of hidden layers maps (*, input) to (*, output), at first to zeros."""
    network = MLP(dims[0], dims[1], dims[2], dropout=0.5)
    output = network(torch.randn(*shape, dims[0]))
    assert output.shape == (*shape, dims[2])
    assert not output.any()


def test_layers_are_linear_with_gelu_and_dropout_between() -> None:
    """The network equals the same layers written out; dropout is silent in evaluation."""
    network = MLP(3, [5, 4], 2, dropout=0.9).eval()
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    nn.init.normal_(linear[-1].weight)
    x = torch.randn(6, 3)
    expected = linear[2](nn.functional.gelu(linear[1](nn.functional.gelu(linear[0](x)))))
    torch.testing.assert_close(network(x), expected)
    assert [type(layer) for layer in network.layers] == [
        nn.Linear, nn.GELU, nn.Dropout, nn.Linear, nn.GELU, nn.Dropout, nn.Linear,
    ]  # fmt: skip


def test_the_silent_start_can_be_left() -> None:
    """Zeros in the last layer alone block no gradient: two steps move every weight."""
    torch.manual_seed(0)
    network = MLP(3, [5], 2)
    before = [weight.detach().clone() for weight in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (network(torch.ones(4, 3)) - 1).square().sum().backward()
        optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert not torch.equal(old, new)


@pytest.mark.parametrize("dims", [(0, [3], 2), (3, [0], 2), (3, [-1], 2), (3, [], 0)])
def test_sizes_below_one_are_refused_and_shown(dims: tuple[int, list[int], int]) -> None:
    """A layer of no units is a mistake in a config, and the message has all sizes."""
    with pytest.raises(ConfigError, match=r"at least 1, got \["):
        MLP(*dims)
