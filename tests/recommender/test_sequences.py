"""Histories read in order: what the reader sees, what windows hold, and that order is learned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys.datasets.dataset import DataConfig
from recsys.datasets.loading import load_dataset
from recsys.errors import ConfigError, DataError
from recsys.features.encoder import Ragged
from recsys.features.history import UserItemMatrix, event_places
from recsys.recommender.config import RecommenderConfig, SequenceConfig, TwoTowerConfig
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.sequence_batches import SequenceBatches
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model_bundle import load_model, save_model
from recsys.recommender.towers.sequence_reader import SequenceReader, latest_items
from recsys.training import TrainingConfig

NUM_ITEMS, WIDTH = 12, 8
Loss = Literal["softmax", "sampled_softmax"]

HISTORIES = st.lists(
    st.permutations(range(NUM_ITEMS)).flatmap(
        lambda items: st.integers(0, NUM_ITEMS).map(lambda length: items[:length])
    ),
    min_size=1,
    max_size=7,
)
"""Items of each user in their order."""


def matrix_of(histories: list[list[int]]) -> UserItemMatrix:
    """Histories as a matrix whose values are places."""
    rows = [number for number, items in enumerate(histories) for _ in items]
    columns = list(itertools.chain(*histories))
    values = np.array([place + 1 for items in histories for place in range(len(items))])
    made = sparse.csr_array(
        (values.astype(np.float32), (rows, columns)), shape=(len(histories), NUM_ITEMS)
    )
    made.sort_indices()
    return made


def lists_of(bags: Ragged) -> list[list[int]]:
    """Lists as lists."""
    return [
        bags.codes[start:end].tolist() for start, end in itertools.pairwise(bags.offsets.tolist())
    ]


def windows_of(histories: list[list[int]], **settings: int) -> SequenceBatches:
    """Batches of windows, all interactions of one weight."""
    matrix = matrix_of(histories)
    ones = matrix.copy()
    ones.data = np.ones_like(ones.data)
    given = {"batch_size": 3, "max_items": 4, "seed": 0} | settings
    return SequenceBatches(
        matrix=ones, histories=matrix, features=None, user_embedding=True, **given
    )


@given(HISTORIES, st.integers(1, NUM_ITEMS + 2))
def test_the_latest_items_are_the_end_of_the_history(
    histories: list[list[int]], max_items: int
) -> None:
    """In their order, whatever the order of columns."""
    found = lists_of(latest_items(matrix_of(histories), max_items))
    assert found == [items[-max_items:] for items in histories]


def test_histories_without_places_are_refused() -> None:
    """A matrix of ones says nothing about order."""
    matrix = matrix_of([[3, 1]])
    matrix.data[:] = 1
    with pytest.raises(DataError, match="place of its own"):
        latest_items(matrix, 5)


@given(HISTORIES, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_windows_hold_every_interaction_once_after_what_came_before_it(
    histories: list[list[int]], max_items: int, batch_size: int, epoch: int
) -> None:
    """An epoch is the log, cut into runs of each history."""
    batches = windows_of(histories, max_items=max_items, batch_size=batch_size)
    found: list[tuple[int, int]] = []
    drawn = list(batches.draw(epoch))
    assert len(drawn) <= batches.num_batches
    for batch in drawn:
        assert batch.inputs.user_rows is not None
        inputs = lists_of(batch.inputs.history)
        lengths = [len(items) + 1 for items in inputs]
        targets = torch.split(batch.positives.columns, lengths)
        assert batch.positives.rows.tolist() == list(range(sum(lengths)))
        assert len(inputs) <= batch_size
        for row, items, wanted in zip(batch.inputs.user_rows, inputs, targets, strict=True):
            history, window = histories[int(row) - 1], wanted.tolist()
            assert items == window[:-1]
            assert len(items) <= max_items
            start = history.index(window[0])
            assert history[start : start + len(window)] == window
            found += [(int(row) - 1, item) for item in window]
    assert sorted(found) == sorted(
        (user, item) for user, items in enumerate(histories) for item in items
    )


def test_cuts_move_from_epoch_to_epoch() -> None:
    """No interaction is the first of its window for good."""
    batches = windows_of([list(range(NUM_ITEMS))], max_items=3)
    windows = {
        frozenset(
            tuple(items)
            for batch in batches.draw(epoch)
            for items in lists_of(batch.inputs.history)
        )
        for epoch in range(8)
    }
    assert len(windows) > 1


def reader(**settings: int) -> tuple[SequenceReader, torch.Tensor]:
    """A reader, and vectors of the catalogue."""
    torch.manual_seed(0)
    made = SequenceReader(WIDTH, SequenceConfig(**settings), dropout=0.5).eval()
    return made, torch.randn(NUM_ITEMS, WIDTH)


@given(HISTORIES, st.integers(1, 2))
def test_what_comes_after_a_history_is_its_last_place(
    histories: list[list[int]], num_blocks: int
) -> None:
    """The quick way for scoring against the places of training."""
    made, items = reader(max_items=NUM_ITEMS, num_blocks=num_blocks)
    bags = latest_items(matrix_of(histories), NUM_ITEMS)
    places = made.every_place(bags, items)
    lengths = [len(history) + 1 for history in histories]
    last = torch.stack([part[-1] for part in torch.split(places, lengths)])
    torch.testing.assert_close(made(bags, items), last, atol=1e-5, rtol=1e-4)


def test_a_vector_does_not_depend_on_who_else_is_read() -> None:
    """Neither padding nor sorting shows."""
    made, items = reader(max_items=NUM_ITEMS)
    histories = [[1, 2, 3], [], [5], list(range(NUM_ITEMS))]
    together = made(latest_items(matrix_of(histories), NUM_ITEMS), items)
    alone = [made(latest_items(matrix_of([one]), NUM_ITEMS), items)[0] for one in histories]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)


def test_order_counts() -> None:
    """The same items in another order are another history."""
    made, items = reader(max_items=NUM_ITEMS)
    bags = latest_items(matrix_of([[1, 2, 3], [3, 2, 1]]), NUM_ITEMS)
    first, second = made(bags, items)
    assert not torch.allclose(first, second)


def test_nobody_is_no_error() -> None:
    """No users, no vectors."""
    made, items = reader()
    empty = Ragged(codes=torch.zeros(0, dtype=torch.int64), offsets=torch.zeros(1).long())
    assert made(empty, items).shape == (0, WIDTH)


def test_events_have_places_by_time_then_by_row() -> None:
    """Ties and logs without times keep the order of rows."""
    log = pa.table(
        {
            "user_id": pa.array([7, 7, 3, 7, 3]),
            "event_time": pa.array([30, 10, 5, 30, 4], type=pa.timestamp("us", tz="UTC")),
        }
    )
    assert event_places(log).tolist() == [2, 1, 2, 3, 1]
    assert event_places(log.drop_columns("event_time")).tolist() == [1, 2, 1, 3, 2]
    assert event_places(log.slice(0, 0)).tolist() == []


def chain_log(folder: Path, num_users: int = 120, length: int = 6) -> Path:
    """Users who walk a ring of items: what comes next follows from the latest item alone.

    A walk of half the ring goes one way or the other, so that its items without their order do
    not tell where it goes.
    """
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,event_time"]
    for user in range(num_users):
        start, step = rng.integers(NUM_ITEMS), rng.choice([-1, 1])
        for number in range(length):
            item = (start + step * number) % NUM_ITEMS
            lines.append(f"{user},{item:02},2026-01-01T00:00:{number:02}Z")
    path = folder / "log.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax"])
def test_order_is_learned_and_survives_the_bundle(tmp_path: Path, loss: Loss) -> None:
    """Planted truth: the next item of a walk."""
    data = load_dataset(DataConfig(interactions=chain_log(tmp_path)))
    config = RecommenderConfig(
        model=TwoTowerConfig(
            query="sequence",
            embedding_dim=16,
            dropout=0,
            temperature=0.1,
            loss=loss,
            num_uniform_negatives=4,
        ),
        training=TrainingConfig(num_epochs=40, batch_size=16, precision="float32"),
    )
    model, _ = fit_recommender(data, config, default_selection(config))
    queries = model.embed_users(model.users.terms)[0]
    scores = queries @ model.item_vectors().T
    walks = lists_of(latest_items(model.histories, 2))
    expected = [(2 * last - before) % NUM_ITEMS for before, last in walks]
    # What came before is taken already: of the others the next in the walk comes first.
    scores[model.histories.nonzero()] = -np.inf
    assert (scores.argmax(axis=1) == expected).mean() > 0.95

    save_model(model, tmp_path / "model", data_digests={})
    loaded, _ = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.histories.toarray(), model.histories.toarray())
    np.testing.assert_allclose(
        loaded.embed_users(loaded.users.terms)[0], queries, rtol=1e-5, atol=1e-6
    )


def test_propagation_beside_a_sequence_is_refused() -> None:
    """The two exclude each other."""
    with pytest.raises(ConfigError, match="no propagation beside"):
        TwoTowerConfig(query="sequence", propagation=0.3)
