"""Embedding and linear layer in one, against one after the other."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recsys.features.encoder import EncodedSizes, EncodedTable
from recsys.fraud.embedding.embedded_linear import EmbeddedLinear
from recsys.nn.embedding import FeatureEmbedding


@given(
    sizes=st.lists(st.integers(2, 40), max_size=4),
    num_numeric=st.integers(0, 3),
    num_rows=st.integers(0, 20),
)
def test_it_gives_what_both_layers_give(sizes: list[int], num_numeric: int, num_rows: int) -> None:
    """The sum of the rows of a table is the product with the embedded features."""
    generator = torch.Generator().manual_seed(0)
    features = FeatureEmbedding(
        EncodedSizes(categorical=tuple(sizes), multi_hot=(), num_numeric=num_numeric + 1, dense=())
    )
    linear = nn.Linear(features.output_dim, 5)
    codes = [torch.randint(size, (num_rows,), generator=generator) for size in sizes]
    table = EncodedTable(
        categorical=torch.stack(codes, 1) if codes else torch.zeros(num_rows, 0, dtype=torch.int64),
        multi_hot=(),
        numeric=torch.randn(num_rows, 2 * num_numeric + 2, generator=generator),
        dense=(),
    )
    output = EmbeddedLinear.of(features, linear)(table)
    torch.testing.assert_close(output, linear(features(table)), rtol=1e-4, atol=1e-5)
