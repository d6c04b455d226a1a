"""Batches against the matrix they come from: every user once, complete, and exactly remapped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from recsys.features.encoder import EncodedTable, Ragged
from recsys.features.history import UserItemMatrix
from recsys.recommender.fitting.batches import TrainBatch, UserBatches, sample_items, thinned
from recsys.recommender.towers.ragged import ragged_rows

MATRICES = st_numpy.arrays(
    np.float32,
    st_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from(np.array([0, 0, 1, 2.5], dtype=np.float32)),
).map(sparse.csr_array)


def batches_of(
    matrix: UserItemMatrix,
    *,
    batch_size: int = 3,
    history_dropout: float = 0.5,
    newcomer_share: float = 0.0,
    seed: int = 0,
) -> UserBatches:
    """Batches with one feature, which is the number of the user, and with rows of users."""
    num_users = matrix.shape[0]
    features = EncodedTable(
        categorical=torch.arange(num_users)[:, None],
        multi_hot=(),
        numeric=torch.empty(num_users, 0),
        dense=(),
    )
    return UserBatches(
        matrix=matrix,
        features=features,
        batch_size=batch_size,
        history_dropout=history_dropout,
        newcomer_share=newcomer_share,
        user_embedding=True,
        seed=seed,
    )


def users_of(batch: TrainBatch) -> list[int]:
    """Numbers of the users of a batch, from their feature."""
    assert batch.inputs.features is not None
    return batch.inputs.features.categorical[:, 0].tolist()


def lists_of(bags: Ragged) -> list[list[int]]:
    """A ragged tensor as lists."""
    return [codes.tolist() for codes in bags.codes.split(bags.offsets.diff().tolist())]


@given(matrix=MATRICES, batch_size=st.integers(1, 10), seed=st.integers(0, 5))
def test_each_user_with_interactions_comes_once_an_epoch(
    matrix: UserItemMatrix, batch_size: int, seed: int
) -> None:
    """No user is left out or repeated; batches differ by one user at most and are as announced."""
    batches = batches_of(matrix, batch_size=batch_size, seed=seed)
    drawn = [users_of(batch) for batch in batches.draw(1)] if matrix.nnz else []
    active = np.flatnonzero(np.diff(matrix.indptr)).tolist()
    assert sorted(user for users in drawn for user in users) == active
    sizes = {len(users) for users in drawn}
    assert len(drawn) == batches.num_batches
    assert max(sizes, default=0) <= batch_size
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert batches.num_users == len(active)


@given(matrix=MATRICES.filter(lambda matrix: matrix.nnz), dropout=st.sampled_from([0, 0.3, 0.9]))
def test_positives_are_complete_and_histories_a_part_of_them(
    matrix: UserItemMatrix, dropout: float
) -> None:
    """Positives are the user's row of the matrix with its values; a history only leaves out."""
    for batch in batches_of(matrix, history_dropout=dropout).draw(1):
        positives, histories = batch.positives, lists_of(batch.inputs.history)
        for place, user in enumerate(users_of(batch)):
            row = matrix[[user]]
            mine = positives.rows == place
            assert positives.columns[mine].tolist() == row.indices.tolist()
            assert positives.weights[mine].tolist() == row.data.tolist()
            assert set(histories[place]) <= set(row.indices.tolist())
            if dropout == 0:
                assert histories[place] == row.indices.tolist()
        assert (positives.rows.diff() >= 0).all()
        assert batch.inputs.user_rows is not None
        assert (batch.inputs.user_rows - 1).tolist() == users_of(batch)


def test_epochs_differ_and_can_be_drawn_again() -> None:
    """Order and gaps depend on seed and epoch alone, whatever was drawn before."""
    matrix = sparse.csr_array(np.ones((20, 30), dtype=np.float32))

    def drawn(seed: int, epoch: int) -> list[tuple[list[int], list[list[int]]]]:
        batches = batches_of(matrix, seed=seed).draw(epoch)
        return [(users_of(batch), lists_of(batch.inputs.history)) for batch in batches]

    first = drawn(0, 1)
    assert drawn(0, 1) == first
    assert drawn(0, 2) != first
    assert drawn(1, 1) != first
    assert drawn(1, 0) != first  # seed and epoch are no sum


def test_draws_are_the_same_in_every_process() -> None:
    """A fresh interpreter with another hash seed draws the batches of this one."""
    code = (
        "import numpy as np; from scipy import sparse\n"
        "from recsys.recommender.fitting.batches import UserBatches\n"
        "matrix = sparse.csr_array(np.ones((20, 30), dtype=np.float32))\n"
        "batches = UserBatches(matrix=matrix, features=None, batch_size=3, history_dropout=0.5,"
        " newcomer_share=0, user_embedding=False, seed=4)\n"
        "print([batch.inputs.history.codes.tolist() for batch in batches.draw(2)])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "123"},
    )
    batches = batches_of(sparse.csr_array(np.ones((20, 30), dtype=np.float32)), seed=4)
    here = [batch.inputs.history.codes.tolist() for batch in batches.draw(2)]
    assert found.stdout.strip() == str(here)


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.7])
def test_gaps_are_as_frequent_as_asked_for(dropout: float) -> None:
    """Each entry is left out with the given probability, and the lists keep their owners."""
    lists = Ragged(codes=torch.arange(20_000) // 10, offsets=torch.arange(0, 20_001, 10))
    kept = thinned(lists, torch.full((2000,), 1 - dropout), torch.Generator().manual_seed(0))
    assert len(kept.codes) / 20_000 == pytest.approx(1 - dropout, abs=0.015)
    for number, codes in enumerate(lists_of(kept)):
        assert set(codes) <= {number}


@pytest.mark.parametrize("described", [True, False])
def test_newcomers_are_as_many_as_asked_for(described: bool) -> None:
    """A share has no vector of its own, and half of it no history where there are features."""
    ones = sparse.csr_array(np.ones((4000, 100), dtype=np.float32))
    batches = batches_of(ones, batch_size=500, history_dropout=0, newcomer_share=0.4)
    if not described:
        batches = replace(batches, features=None)
    drawn = [batch.inputs for batch in batches.draw(1)]
    without_vector = torch.cat([inputs.user_rows == 0 for inputs in drawn])
    lengths = torch.cat([inputs.history.offsets.diff() for inputs in drawn])
    without_history = lengths == 0
    assert without_vector.float().mean() == pytest.approx(0.4, abs=0.04)
    assert without_history.float().mean() == pytest.approx(0.2 * described, abs=0.04)
    assert not (without_history & ~without_vector).any()
    assert (lengths[~without_history] == 100).all()


@given(matrix=MATRICES)
def test_rows_of_a_matrix_become_lists(matrix: UserItemMatrix) -> None:
    """Each list names the stored columns of its row."""
    expected = [np.flatnonzero(row).tolist() for row in matrix.toarray()]
    assert lists_of(ragged_rows(matrix)) == expected


@given(
    matrix=MATRICES.filter(lambda matrix: matrix.nnz),
    num_uniform=st.integers(0, 8),
    seed=st.integers(0, 9),
)
def test_samples_rename_items_exactly(matrix: UserItemMatrix, num_uniform: int, seed: int) -> None:
    """Through the list of sampled items, positions in a sample mean the items of the batch."""
    generator = torch.Generator().manual_seed(seed)
    for batch in batches_of(matrix).draw(1):
        sample = sample_items(
            batch, num_items=matrix.shape[1], num_uniform=num_uniform, generator=generator
        )
        items, inner = sample.items, sample.batch
        assert (items.diff() > 0).all()
        assert items[inner.positives.columns].tolist() == batch.positives.columns.tolist()
        assert items[inner.inputs.history.codes].tolist() == batch.inputs.history.codes.tolist()
        assert inner.inputs.history.offsets.tolist() == batch.inputs.history.offsets.tolist()
        assert inner.positives.rows.tolist() == batch.positives.rows.tolist()
        assert inner.positives.weights.tolist() == batch.positives.weights.tolist()
        assert users_of(inner) == users_of(batch)
        assert inner.inputs.user_rows is batch.inputs.user_rows
        rows = matrix[users_of(batch)].toarray()
        np.testing.assert_array_equal(sample.known.numpy(), rows[:, items.numpy()] > 0)
        positives = set(batch.positives.columns.tolist())
        assert len(set(items.tolist()) - positives) <= num_uniform
        assert positives <= set(items.tolist())


def test_uniform_negatives_reach_the_whole_catalogue() -> None:
    """Items that nobody in the batch has are drawn too, each as often as any other."""
    dense = np.zeros((4, 50), dtype=np.float32)
    dense[:, 0] = 1
    (batch,) = batches_of(sparse.csr_array(dense), batch_size=4).draw(1)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.zeros(50)
    for _ in range(400):
        sample = sample_items(batch, num_items=50, num_uniform=10, generator=generator)
        drawn[sample.items] += 1
    expected = 400 * (1 - (1 - 1 / 50) ** 10)
    assert drawn[0] == 400
    assert (drawn[1:] - expected).abs().max() < 5 * expected**0.5
