"""A fitted model: the contract of rankers, what vectors are made of, and users of every kind."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import ranker_contract
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from small_logs import clustered_log, small_config, without_features

from recsys.errors import ConfigError, DataError
from recsys.features.history import UserItemMatrix, rows_or_empty
from recsys.features.vocabulary import UNKNOWN
from recsys.recommender.evaluation.holdout import TwoTowerRanker
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import (
    FEATURES,
    HISTORY,
    RecommenderModel,
)
from recsys.recommender.ranking.by_source import POPULARITY
from recsys.schema import ITEM_ID, USER_ID


@cache
def model(*, with_features: bool = True, popularity_weight: float = 0.5) -> RecommenderModel:
    """A model of a clustered log, which tests only read."""
    log = clustered_log(num_users=120, num_items=60, num_interactions=1500).dataset
    log = log if with_features else without_features(log)
    config = small_config({"num_epochs": 2}, prefix_dims=(8,), user_embedding=True, propagation=0.3)
    selection = replace(default_selection(config), popularity_weight=popularity_weight)
    return fit_recommender(log, config, selection)[0]


@cache
def contract_ranker(popularity_weight: float, width: int | None) -> TwoTowerRanker:
    """A model fitted on the matrix of the contract, users and items numbered as there."""
    matrix = ranker_contract.train_matrix().tocoo()
    users, items = matrix.coords
    table = pa.table({USER_ID: users.astype(np.int64), ITEM_ID: items.astype(np.int64)})
    log = replace(without_features(clustered_log(num_users=1).dataset), interactions=table)
    config = small_config({"num_epochs": 2}, prefix_dims=(8,), propagation=0.3)
    selection = replace(default_selection(config), popularity_weight=popularity_weight)
    fitted, _ = fit_recommender(log, config, selection)
    assert len(fitted.items) == ranker_contract.NUM_ITEMS
    ids = pa.array(np.arange(ranker_contract.NUM_USERS))
    return TwoTowerRanker(model=fitted, user_ids=ids, width=width)


@pytest.mark.parametrize("law", ranker_contract.LAWS, ids=ranker_contract.name)
@pytest.mark.parametrize(
    ("popularity_weight", "width"), [(0.0, None), (1.5, None), (0.5, 8)], ids=str
)
def test_the_model_keeps_the_contract_of_rankers(
    popularity_weight: float, width: int | None, law: ranker_contract.Law
) -> None:
    """With and without popularity, at the whole width and at a prefix, every law holds."""
    law(contract_ranker(popularity_weight, width))


@pytest.mark.parametrize("width", [None, 8])
def test_inner_products_are_logits_of_cosine_and_popularity(width: int | None) -> None:
    """A score over the temperature is cosine over temperature plus weight times log share."""
    fitted, plain = model(), model(popularity_weight=0.0)
    queries, _ = fitted.embed_users(fitted.users.terms, width=width)
    bare, _ = plain.embed_users(plain.users.terms, width=width)
    cosines = bare @ plain.item_vectors(width).T
    log_shares_C = fitted.log_popularity * fitted.popularity_scale
    temperature = fitted.selection.temperature
    np.testing.assert_allclose(
        queries @ fitted.item_vectors(width).T / temperature,
        cosines / temperature + 0.5 * log_shares_C,
        atol=1e-4,
    )
    for vectors in (bare, replace(plain, item_propagated=None).item_vectors(width)):
        assert vectors.shape[1] == (width or 32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert fitted.log_popularity.max() == 0
    assert fitted.log_popularity.min() == -1


def test_item_vectors_are_those_of_the_candidate_tower_and_what_they_take_on() -> None:
    """Searched is the tower's vector plus its users' sum, normalised by both degrees."""
    fitted = model(with_features=False, popularity_weight=0.0)
    with torch.no_grad():
        own_CD = fitted.towers.candidate(None, None).numpy()
    np.testing.assert_array_equal(fitted.item_embeddings, own_CD)
    queries_UD, _ = fitted.embed_users(fitted.users.terms)
    seen = fitted.histories.toarray() > 0
    degrees = np.outer(seen.sum(axis=1), np.maximum(seen.sum(axis=0), 1))
    taken_on = fitted.selection.propagation * (seen / degrees**0.5).T @ queries_UD
    np.testing.assert_allclose(fitted.item_vectors(), own_CD + taken_on, atol=1e-5)


def test_a_known_user_may_be_given_a_newer_history() -> None:
    """The history that is passed counts, not that of training; alone it makes the vector."""
    fitted = model(with_features=False)
    ids = fitted.users.terms[:4]
    newer = fitted.histories[[50, 51, 52, 53]]
    found, _ = fitted.embed_users(ids, histories=newer)
    expected = fitted.query_vectors(newer, None, user_rows=torch.arange(4) + 1)
    np.testing.assert_array_equal(found, expected)
    usual, _ = fitted.embed_users(ids)
    np.testing.assert_array_equal(
        usual, fitted.embed_users(ids, histories=fitted.histories[[0, 1, 2, 3]])[0]
    )
    assert not np.allclose(found, usual)


def test_sources_say_what_a_vector_was_made_from() -> None:
    """History before features before popularity, for known and for unknown users."""
    log = clustered_log(num_users=120, num_items=60, num_interactions=1500).dataset
    ids = pa.array([1, 999_001, 999_002], pa.int64())
    stranger = pa.table({USER_ID: [999_001], "segment": ["segment-1"], "age": [30.0]})
    table = pa.concat_tables([log.users, stranger.cast(log.users.schema)])
    fitted = model()
    _, sources = fitted.embed_users(ids, user_table=table)
    assert sources.to_pylist() == [HISTORY, FEATURES, POPULARITY]
    histories = sparse.csr_array(np.eye(3, len(fitted.items), dtype=np.float32))
    _, sources = fitted.embed_users(ids, histories=histories, user_table=table)
    assert sources.to_pylist() == [HISTORY] * 3
    _, sources = model(with_features=False).embed_users(ids)
    assert sources.to_pylist() == [HISTORY, POPULARITY, POPULARITY]


def test_a_history_of_stored_zeros_is_a_history() -> None:
    """An interaction counts by being stored, whatever its value."""
    fitted = model(with_features=False)
    ones = sparse.csr_array(np.eye(2, len(fitted.items), dtype=np.float32))
    zeros = ones.copy()
    zeros.data[:] = 0
    ids = pa.array([999_001, 999_002], pa.int64())
    found, sources = fitted.embed_users(ids, histories=zeros)
    np.testing.assert_array_equal(found, fitted.embed_users(ids, histories=ones)[0])
    assert sources.to_pylist() == [HISTORY, HISTORY]


def test_unknown_users_of_one_history_are_one() -> None:
    """Two unknown users with the same items have the same vector, whatever their ids."""
    fitted = model(with_features=False)
    history = fitted.histories[[7, 7]]
    found, _ = fitted.embed_users(pa.array([10**9, 10**9 + 1]), histories=history)
    np.testing.assert_array_equal(found[0], found[1])


def test_blocks_are_the_vectors_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming users block by block changes neither vectors nor order, histories included."""
    fitted = model()
    ids = fitted.users.terms.take(pa.array(np.random.default_rng(0).permutation(50)))
    histories = fitted.histories[np.arange(50)]
    whole, sources = fitted.embed_users(ids, histories=histories, width=8)
    monkeypatch.setattr("recsys.recommender.model._BLOCK_USERS", 7)
    blocks = list(fitted.user_blocks(ids, histories=histories, width=8, first_number=100))
    assert [len(block.user_ids) for block in blocks] == [7] * 7 + [1]
    np.testing.assert_allclose(
        np.concatenate([block.queries for block in blocks]), whole, rtol=1e-5, atol=1e-7
    )
    assert pa.concat_arrays([block.user_ids for block in blocks]).equals(ids)
    assert pa.concat_arrays([block.sources for block in blocks]).equals(sources)
    numbers = np.concatenate([block.user_numbers for block in blocks])
    np.testing.assert_array_equal(numbers, np.arange(100, 150))
    assert list(fitted.user_blocks(ids[:0])) == []


@pytest.mark.parametrize("width", [33, 0, -1])
def test_a_width_that_the_model_lacks_is_refused(width: int) -> None:
    """More dimensions than there are, or none, are refused with the number that there is."""
    with pytest.raises(ConfigError, match=f"32 dimensions of the model, got {width}"):
        model().item_vectors(width)
    with pytest.raises(ConfigError, match=f"32 dimensions of the model, got {width}"):
        model().embed_users(model().users.terms[:1], width=width)


def test_ids_of_another_type_are_refused() -> None:
    """Asking for users as text where training had integers is an error, not a list of strangers."""
    with pytest.raises(DataError, match="expected terms of type int64"):
        model().embed_users(pa.array(["1", "2"]))


@given(
    dense=st.lists(
        st.lists(st.sampled_from([0, 1]), min_size=4, max_size=4), min_size=1, max_size=6
    ),
    draws=st.lists(st.integers(UNKNOWN, 5), max_size=8),
)
def test_rows_by_number_equal_a_loop(dense: list[list[int]], draws: list[int]) -> None:
    """Each number has its row, and no user has none; also where the matrix has no rows at all."""
    matrix: UserItemMatrix = sparse.csr_array(np.array(dense, dtype=np.float32))
    rows = np.array([min(draw, len(dense) - 1) for draw in draws], dtype=np.int64)
    found = rows_or_empty(matrix, rows)
    expected = [dense[row] if row != UNKNOWN else [0] * 4 for row in rows]
    assert found.toarray().tolist() == expected
    assert found.shape == (len(rows), 4)
    nobody: UserItemMatrix = sparse.csr_array((0, 4), dtype=np.float32)
    assert rows_or_empty(nobody, np.full(len(rows), UNKNOWN)).shape == (len(rows), 4)
