"""Feature embeddings against loops: widths, bags, and what reserved codes say at first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.features.encoder import MISSING, UNSEEN, EncodedSizes, EncodedTable, Ragged
from recsys.nn.embedding import FeatureEmbedding, bag_mean, bag_sum, embedding_width


def bags_of(lists: list[list[int]]) -> Ragged:
    """Lists end to end."""
    return Ragged(
        codes=torch.tensor(list(itertools.chain(*lists)), dtype=torch.int64),
        offsets=torch.from_numpy(np.cumsum([0] + [len(codes) for codes in lists])),
    )


def table_of(
    categorical: list[list[int]], tags: list[list[int]], numbers: list[float], width: int
) -> EncodedTable:
    """A table with categorical columns, one list column, one numeric and one dense one."""
    num_rows = len(tags)
    return EncodedTable(
        categorical=torch.tensor(categorical, dtype=torch.int64).reshape(num_rows, -1),
        multi_hot=(bags_of(tags),),
        numeric=torch.tensor([[number, 0] for number in numbers]).reshape(num_rows, 2),
        dense=(torch.arange(num_rows * width).reshape(num_rows, width).float(),),
    )


@given(lists=st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=8))
def test_bags_equal_a_loop(lists: list[list[int]]) -> None:
    """Sum and mean of the rows that a bag names are those of a loop; empty bags are zeros."""
    weight_VE = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    sums = [weight_VE[codes].sum(dim=0) for codes in lists]
    expected = torch.stack(sums) if lists else torch.empty(0, 3)
    torch.testing.assert_close(bag_sum(weight_VE, bags_of(lists)), expected)
    lengths = torch.tensor([max(len(codes), 1) for codes in lists]).reshape(-1, 1)
    torch.testing.assert_close(bag_mean(weight_VE, bags_of(lists)), expected / lengths)


def test_bags_send_gradients_to_the_rows_they_name() -> None:
    """Each mention of a row adds the gradient of its bag, divided by its length in a mean."""
    weight_VE = torch.zeros(4, 1, requires_grad=True)
    bags = bags_of([[0, 0, 3], [], [1]])
    (by_sum,) = torch.autograd.grad(bag_sum(weight_VE, bags).sum(), weight_VE)
    (by_mean,) = torch.autograd.grad(bag_mean(weight_VE, bags).sum(), weight_VE)
    assert by_sum.flatten().tolist() == [2, 1, 0, 1]
    assert by_mean.flatten().tolist() == pytest.approx([2 / 3, 1, 0, 1 / 3])


def test_features_stand_side_by_side() -> None:
    """The output is the embedding of each term, the mean of the bag, the number and the vector."""
    torch.manual_seed(0)
    embedding = FeatureEmbedding(
        EncodedSizes(categorical=(5, 4), multi_hot=(6,), num_numeric=1, dense=(3,))
    )
    table = table_of([[2, 3], [4, 2]], [[5, 2, 2], []], [0.5, -1.0], 3)
    output = embedding(table)
    first, second = embedding.categorical
    tags = embedding.multi_hot[0]
    for row, (terms, bag) in enumerate([((2, 3), [5, 2, 2]), ((4, 2), [])]):
        mean = tags[bag].mean(dim=0) if bag else torch.zeros(tags.shape[1])
        expected = [
            first[terms[0]],
            second[terms[1]],
            mean,
            table.numeric[row],
            table.dense[0][row],
        ]
        torch.testing.assert_close(output[row], torch.cat(expected))
    assert output.shape[1] == embedding.output_dim


def test_a_table_without_some_kinds_of_features_is_embedded() -> None:
    """Only numbers, or only terms: kinds that a table lacks take no room."""
    numbers = FeatureEmbedding(EncodedSizes(categorical=(), multi_hot=(), num_numeric=2, dense=()))
    table = EncodedTable(
        categorical=torch.empty(3, 0, dtype=torch.int64),
        multi_hot=(),
        numeric=torch.ones(3, 4),
        dense=(),
    )
    assert numbers.output_dim == 4
    torch.testing.assert_close(numbers(table), torch.ones(3, 4))


def test_reserved_codes_say_nothing_until_they_are_trained() -> None:
    """A term that training never met is embedded as zeros, not as noise that means another term."""
    embedding = FeatureEmbedding(
        EncodedSizes(categorical=(9,), multi_hot=(9,), num_numeric=0, dense=())
    )
    table = EncodedTable(
        categorical=torch.tensor([[MISSING], [UNSEEN], [2]]),
        multi_hot=(bags_of([[UNSEEN], [MISSING, UNSEEN], [2]]),),
        numeric=torch.empty(3, 0),
        dense=(),
    )
    output = embedding(table)
    assert not output[:2].any()
    assert output[2].all()


@given(num_codes=st.integers(1, 10**7))
def test_widths_grow_with_the_number_of_terms_up_to_a_bound(num_codes: int) -> None:
    """A width is at least 1, at most 64, and never smaller for more terms."""
    assert 1 <= embedding_width(num_codes) <= embedding_width(num_codes + 1) <= 64


def test_width_by_hand() -> None:
    """1.6 times the number of terms to the power of 0.56, rounded: 100 terms get 21."""
    assert embedding_width(100) == round(1.6 * 100**0.56) == 21
