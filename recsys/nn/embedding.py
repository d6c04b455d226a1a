"""Embedding layers: from encoded features to one dense vector a row.

Shapes: B batch, F features of a kind, E width of one embedding, D width of the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.features.encoder import EncodedSizes, EncodedTable, Ragged

_MAX_WIDTH = 64


def embedding_width(num_codes: int) -> int:
    """Width of the embedding of a feature: 1.6 · n^0.56, the rule of fastai, at most 64.

    Source: https://docs.fast.ai/tabular.model.html (emb_sz_rule).
    """
    return min(_MAX_WIDTH, round(1.6 * num_codes**0.56))


class FeatureEmbedding(nn.Module):
    """Embeddings of categorical and multi-hot features beside numeric and dense ones.

    A multi-hot feature is the mean of the embeddings of its terms, zeros for an empty list.

    Shape:
        - Input: an `EncodedTable` of B rows
        - Output: (B, output_dim)
    """

    def __init__(self, sizes: EncodedSizes) -> None:
        super().__init__()
        self.categorical = nn.ModuleList(_table(size) for size in sizes.categorical)
        self.multi_hot = nn.ModuleList(_table(size) for size in sizes.multi_hot)
        embedded = sum(embedding_width(size) for size in (*sizes.categorical, *sizes.multi_hot))
        self.output_dim = embedded + 2 * sizes.num_numeric + sum(sizes.dense)
        """Width of the output."""

    def forward(self, table: EncodedTable) -> Tensor:
        """Embed the features of each row, side by side."""
        parts_BE = [
            functional.embedding(table.categorical[:, number], layer.weight)
            for number, layer in enumerate(self.categorical)
        ]
        parts_BE += [
            bag_mean(layer.weight, ragged)
            for layer, ragged in zip(self.multi_hot, table.multi_hot, strict=True)
        ]
        return torch.cat([*parts_BE, table.numeric, *table.dense], dim=1)


def bag_sum(weight_VE: Tensor, bags: Ragged) -> Tensor:
    """Sum of the rows of a table that each bag names; zeros for an empty bag. Shape (B, E)."""
    device = weight_VE.device
    codes, offsets = bags.codes.to(device), bags.offsets.to(device)
    return functional.embedding_bag(codes, weight_VE, offsets, mode="sum", include_last_offset=True)


def bag_mean(weight_VE: Tensor, bags: Ragged) -> Tensor:
    """Mean of the rows of a table that each bag names; zeros for an empty bag. Shape (B, E)."""
    lengths_B = bags.offsets.diff().clamp(min=1).to(weight_VE.device)
    return bag_sum(weight_VE, bags) / lengths_B[:, None]


def _table(num_codes: int) -> nn.Embedding:
    width = embedding_width(num_codes)
    layer = nn.Embedding(num_codes, width)
    nn.init.normal_(layer.weight, std=width**-0.5)
    return layer
