"""Self-attention over sequences of different lengths.

Shapes: B sequences, L places of the longest, D width. Sequences end at the last place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.errors import ConfigError


class AttentionBlock(nn.Module):
    """Causal self-attention, then a layer applied to each place alone; both are residual.

    Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762, section 3), with the norm before each
    part (Xiong et al. 2020, https://arxiv.org/abs/2002.04745).

    Shape:
        - Input: (B, L, D), and which places are taken, (B, L), all at the end of a sequence
        - Output: (B, L, D); the values at places that are not taken are meaningless
    """

    def __init__(self, width: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        if width % num_heads:
            raise ConfigError(
                f"attention: expected a width that the {num_heads} heads divide, got {width}"
            )
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attended = nn.Linear(width, width)
        self.place_norm = nn.LayerNorm(width)
        self.place = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, taken_BL: Tensor) -> Tensor:
        """Every place, given itself and those before it."""
        num_places = x_BLD.shape[1]
        causal_LL = torch.ones(num_places, num_places, dtype=torch.bool, device=x_BLD.device).tril()
        seen_BLL = causal_LL & taken_BL[:, None, :]
        return self._forward(x_BLD, x_BLD, seen_BLL)

    def last(self, x_BLD: Tensor, taken_BL: Tensor) -> Tensor:
        """The last place alone, the same as `forward(x, taken)[:, -1]` at a part of the cost."""
        return self._forward(x_BLD[:, -1:], x_BLD, taken_BL[:, None, :]).squeeze(1)

    def _forward(self, x_BQD: Tensor, context_BLD: Tensor, seen_BQL: Tensor) -> Tensor:
        query = self._heads(self.query(self.attention_norm(x_BQD)))
        key, value = self.key_value(self.attention_norm(context_BLD)).chunk(2, dim=-1)
        # An empty place may attend to nothing, and the softmax of nothing is NaN: let it attend to
        # all.
        seen_BQL = seen_BQL | ~seen_BQL.any(dim=-1, keepdim=True)
        mixed = functional.scaled_dot_product_attention(
            query, self._heads(key), self._heads(value), attn_mask=seen_BQL[:, None]
        )
        x_BQD = x_BQD + self.dropout(self.attended(mixed.transpose(1, 2).flatten(2)))
        output_BQD: Tensor = x_BQD + self.dropout(self.place(self.place_norm(x_BQD)))
        return output_BQD

    def _heads(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) to (B, heads, L, D / heads)."""
        num_sequences, num_places, width = x_BLD.shape
        shape = (num_sequences, num_places, self.num_heads, width // self.num_heads)
        return x_BLD.reshape(shape).transpose(1, 2)
