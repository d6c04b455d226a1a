"""Attention: nobody sees what is to come or what is not there; the short way is the long one."""

from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigError
from recsys.nn.attention import AttentionBlock

WIDTH = 8


def block() -> AttentionBlock:
    """A block with weights that are not at their start."""
    torch.manual_seed(0)
    made = AttentionBlock(WIDTH, num_heads=2, dropout=0.5).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def sequences(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random places, taken at the end."""
    longest = max(lengths)
    taken = torch.tensor([[False] * (longest - n) + [True] * n for n in lengths])
    return torch.randn(len(lengths), longest, WIDTH), taken


def test_a_place_does_not_depend_on_later_ones() -> None:
    """Causality."""
    x, taken = sequences([5, 5])
    changed = x.clone()
    changed[:, 3:] += 1
    before, after = block()(x, taken), block()(changed, taken)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_every_earlier_place_counts() -> None:
    """The gradient of the last place reaches all places."""
    x, taken = sequences([4])
    x.requires_grad_()
    block()(x, taken)[0, -1].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(dim=1) > 0).all()


def test_what_is_not_taken_has_no_influence() -> None:
    """Values of empty places change nothing."""
    x, taken = sequences([2, 5, 1])
    changed = torch.where(taken[..., None], x, x + 7)
    torch.testing.assert_close(block()(x, taken)[taken], block()(changed, taken)[taken])


def test_padding_changes_nothing() -> None:
    """Empty places in front change nothing."""
    x, taken = sequences([3])
    padded = torch.cat([torch.randn(1, 4, WIDTH), x], dim=1)
    taken_padded = torch.cat([torch.zeros(1, 4, dtype=torch.bool), taken], dim=1)
    torch.testing.assert_close(block()(padded, taken_padded)[:, 4:], block()(x, taken))


def test_the_last_place_alone_is_that_of_all_places() -> None:
    """`last` against `forward`, its plain twin."""
    x, taken = sequences([1, 6, 4])
    torch.testing.assert_close(block().last(x, taken), block()(x, taken)[:, -1])


def test_gradients_are_finite_where_places_are_not_taken() -> None:
    """A place that sees nothing makes no NaN."""
    x, taken = sequences([1, 6])
    x.requires_grad_()
    block()(x, taken)[taken].sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad[~taken] == 0).all()


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    """With what was got."""
    with pytest.raises(ConfigError, match="heads divide, got 7"):
        AttentionBlock(7, num_heads=2, dropout=0)
