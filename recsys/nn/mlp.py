"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from recsys.errors import ConfigError


class MLP(nn.Module):
    """Linear layers with GELU between them.

    The last layer starts at zero. Added to its input, as a residual branch (He et al. 2016), the
    output at first changes nothing.

    Shape:
        - Input: (*, input_dim)
        - Output: (*, output_dim)

    Examples:
        >>> import torch
        >>> MLP(3, [8], 2)(torch.ones(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self, input_dim: int, hidden_dims: Sequence[int], output_dim: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        dims = [input_dim, *hidden_dims, output_dim]
        if min(dims) < 1:
            raise ConfigError(f"MLP: expected sizes of at least 1, got {dims}")
        self.layers = nn.Sequential()
        for number, (dim_in, dim_out) in enumerate(pairwise(dims)):
            if number:
                self.layers.extend([nn.GELU(), nn.Dropout(dropout)])
            last = nn.Linear(dim_in, dim_out)
            self.layers.append(last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        output: Tensor = self.layers(x)
        return output
