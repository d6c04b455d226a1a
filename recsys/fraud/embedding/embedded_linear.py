"""Feature embedding and linear layer merged into one lookup table: a row for each code.

Shapes: B rows, C categorical columns, M numeric ones, V codes of a column, E width of its
embedding, U codes of all columns, H width of the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.features.encoder import EncodedTable
from recsys.nn.embedding import FeatureEmbedding


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedLinear:
    """What each code and each number adds to the output of a linear layer.

    For fixed weights it gives the output of the layer on the embedded features, without the product
    with a wide matrix: rows of a table are summed. Features are categorical and numeric.

    Shape:
        - Input: an `EncodedTable` of B rows
        - Output: (B, H)
    """

    codes: Tensor
    """What each code of each column adds. Shape (U, H)."""
    starts: Tensor
    """Row of the first code of each column. Shape (C,)."""
    numeric: Tensor
    """What each value, and each null flag, is multiplied by. Shape (2M, H)."""
    bias: Tensor
    """What is added to every row. Shape (H,)."""

    @classmethod
    def of(cls, features: FeatureEmbedding, linear: nn.Linear) -> EmbeddedLinear:
        """Multiply the embedding of each code by the part of the layer that reads it."""
        tables = list(features.categorical)
        widths = [table_VE.shape[1] for table_VE in tables]
        parts = torch.split(linear.weight[:, : sum(widths)], widths, dim=1)
        products = [table_VE @ part_HE.T for table_VE, part_HE in zip(tables, parts, strict=True)]
        sizes = torch.tensor([0, *(len(table_VE) for table_VE in tables)])
        return cls(
            codes=torch.cat([linear.weight.new_empty(0, linear.out_features), *products]),
            starts=sizes.cumsum(0)[:-1],
            numeric=linear.weight[:, sum(widths) :].T.contiguous(),
            bias=linear.bias,
        )

    def __call__(self, table: EncodedTable) -> Tensor:
        """The output of the layer."""
        places_BC = table.categorical + self.starts
        # Offsets are kept apart from codes, since there may be no categorical column.
        first_B = torch.arange(len(table)) * len(self.starts)
        summed_BH = functional.embedding_bag(places_BC.flatten(), self.codes, first_B, mode="sum")
        return torch.addmm(summed_BH.add_(self.bias), table.numeric, self.numeric)
