"""Embedding layers: from encoded features to one dense vector a row.

Shapes: B batch, V codes of a feature, E width of one embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.features.encoder import NUM_RESERVED, EncodedSizes, EncodedTable, Ragged

_MAX_WIDTH = 64


def embedding_width(num_codes: int) -> int:
    """Width of the embedding of a feature: 1.6 · n^0.56, the rule of fastai, at most 64.

    Source: https://docs.fast.ai/tabular.model.html (emb_sz_rule).
    """
    return min(_MAX_WIDTH, round(1.6 * math.pow(num_codes, 0.56)))


class FeatureEmbedding(nn.Module):
    """Embeddings of categorical and multi-hot features beside numeric and dense ones.

    A multi-hot feature is the mean of the embeddings of its terms, zeros for an empty list.

    Shape:
        - Input: an `EncodedTable` of B rows
        - Output: (B, output_dim)
    """

    def __init__(self, sizes: EncodedSizes) -> None:
        super().__init__()
        self.categorical = nn.ParameterList(_table(size) for size in sizes.categorical)
        self.multi_hot = nn.ParameterList(_table(size) for size in sizes.multi_hot)
        embedded = sum(embedding_width(size) for size in (*sizes.categorical, *sizes.multi_hot))
        self.output_dim = embedded + 2 * sizes.num_numeric + sum(sizes.dense)
        """Width of the output."""

    def forward(self, table: EncodedTable) -> Tensor:
        """Embed the features of each row, side by side."""
        parts_BE = [
            functional.embedding(table.categorical[:, number], weight_VE)
            for number, weight_VE in enumerate(self.categorical)
        ]
        parts_BE += [
            bag_mean(weight_VE, bags)
            for weight_VE, bags in zip(self.multi_hot, table.multi_hot, strict=True)
        ]
        return torch.cat([*parts_BE, table.numeric, *table.dense], dim=1)


def bag_sum(weight_VE: Tensor, bags: Ragged) -> Tensor:
    """Sum of the rows of a table that each bag names; zeros for an empty bag. Shape (B, E)."""
    return functional.embedding_bag(
        bags.codes, weight_VE, bags.offsets, mode="sum", include_last_offset=True
    )


def bag_mean(weight_VE: Tensor, bags: Ragged) -> Tensor:
    """Mean of the rows of a table that each bag names; zeros for an empty bag. Shape (B, E)."""
    lengths_B = bags.offsets.diff().clamp(min=1)
    return bag_sum(weight_VE, bags) / lengths_B[:, None]


def _table(num_codes: int) -> nn.Parameter:
    """One row for each code; reserved codes start at zero, to have no effect until trained."""
    width = embedding_width(num_codes)
    weight_VE = torch.randn(num_codes, width) * width**-0.5
    weight_VE[:NUM_RESERVED] = 0
    return nn.Parameter(weight_VE)
