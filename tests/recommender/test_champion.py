"""Laws of the live model beside a challenger: it ranks as ever, in numbers of a later catalogue."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from small_models import CONFIG, SELECTION, fitted, small_dataset

from recsys.datasets.dataset import Dataset
from recsys.features.history import history_matrix, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.champion import ChampionRanker
from recsys.recommender.evaluation.holdout import TwoTowerRanker
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import RecommenderModel
from recsys.recommender.ranking.ranker import NO_ITEM
from recsys.schema import ITEM_ID, USER_ID

K = 10
KINDS = ["features", "bare", "user_embedding", "sequence"]


@functools.cache
def model_of(kind: str) -> tuple[RecommenderModel, Dataset]:
    """A small model, with features, without, with vectors of users, or of sequences."""
    if kind == "sequence":
        model = replace(CONFIG.model, query="sequence", user_embedding=False, prefix_dims=())
        selection = replace(SELECTION, propagation=0.0, history_dropout=0.0)
        data = small_dataset()
        return fit_recommender(data, replace(CONFIG, model=model), selection)[0], data
    one = fitted(features=kind != "bare", user_embedding=kind == "user_embedding")
    return one.model, one.dataset


def everyone(model: RecommenderModel) -> pa.Array:
    """The users of a model and a stranger, who has nothing but popularity or features."""
    return pa.concat_arrays([model.users.terms, pa.array([10**9])])


def champion(
    model: RecommenderModel, data: Dataset, *, users: pa.Array, items: Vocabulary
) -> ChampionRanker:
    """The model as a champion over users and items."""
    return ChampionRanker.of(model, data, users=users, items=items)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("excludes", [True, False])
def test_with_the_same_catalogue_it_ranks_like_the_model(kind: str, excludes: bool) -> None:
    """Given the same histories and items, lists and scores are those of the two-tower ranker."""
    model, data = model_of(kind)
    users = everyone(model)
    seen = user_item_matrix(data.interactions, users=Vocabulary(users), items=model.items)
    train = seen if excludes else None
    numbers = np.arange(len(users))
    plain = TwoTowerRanker(model=model, user_ids=users, user_table=data.users)
    live = champion(model, data, users=users, items=model.items)
    for mine, theirs in zip(
        live.rank(numbers, k=K, train=train), plain.rank(numbers, k=K, train=train), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_users_does_not_matter(kind: str) -> None:
    """Each user has the same list, wherever they stand and whoever is asked for with them."""
    model, data = model_of(kind)
    users = everyone(model)
    numbers = np.arange(len(users))
    usual, _ = champion(model, data, users=users, items=model.items).rank(numbers, k=K, train=None)
    order = np.random.default_rng(0).permutation(len(users))
    other = champion(model, data, users=users.take(pa.array(order)), items=model.items)
    np.testing.assert_array_equal(other.rank(numbers, k=K, train=None)[0], usual[order])
    np.testing.assert_array_equal(other.rank(numbers[5:7], k=K, train=None)[0], usual[order[5:7]])


def test_items_are_told_in_the_numbers_of_the_later_catalogue() -> None:
    """New items come between the old ones and change every number, but no list."""
    model, data = model_of("bare")
    users, numbers = model.users.terms, np.arange(len(model.users))
    terms = pa.concat_arrays([pa.array([-7, -5]), model.items.terms, pa.array([10**6])])
    order = np.random.default_rng(1).permutation(len(terms))
    later = Vocabulary(terms.take(pa.array(order)))
    lists, _ = champion(model, data, users=users, items=later).rank(numbers, k=K, train=None)
    usual, _ = champion(model, data, users=users, items=model.items).rank(numbers, k=K, train=None)
    assert later.lookup(lists.ravel()).equals(model.items.lookup(usual.ravel()))


@pytest.mark.parametrize("kind", ["features", "bare"])
def test_items_that_vanished_leave_no_gap(kind: str) -> None:
    """Lists are those of the whole catalogue without the items that are gone, and are filled up."""
    model, data = model_of(kind)
    users, numbers = everyone(model), np.arange(len(model.users) + 1)
    kept = np.random.default_rng(2).random(len(model.items)) < 0.5
    later = Vocabulary(model.items.terms.filter(pa.array(kept)))
    live = champion(model, data, users=users, items=later)
    lists, scores = live.rank(numbers, k=K, train=None)
    whole, _ = champion(model, data, users=users, items=model.items).rank(
        numbers, k=len(model.items), train=None
    )
    for found, every in zip(lists, whole, strict=True):
        expected = [item for item in every if kept[item]][:K]
        assert later.lookup(found).equals(model.items.lookup(np.array(expected)))
    assert (np.diff(scores, axis=1) <= 0).all()


def test_nothing_is_left_where_all_items_vanished() -> None:
    """Of another catalogue the live model knows nothing: its lists are empty."""
    model, data = model_of("bare")
    live = champion(model, data, users=model.users.terms, items=Vocabulary(pa.array([-1, -2])))
    lists, _ = live.rank(np.arange(3), k=2, train=None)
    assert (lists == NO_ITEM).all()


def test_it_reads_todays_histories() -> None:
    """A user who was new to the model is ranked from what they did since, without what they had."""
    model, data = model_of("bare")
    log = data.interactions
    new = log.slice(0, 6).set_column(0, USER_ID, pa.array([10**9] * 6))
    today = replace(data, interactions=pa.concat_tables([log, new]))
    users = everyone(model)
    last = np.array([len(users) - 1])
    seen = user_item_matrix(today.interactions, users=Vocabulary(users), items=model.items)
    lists, _ = champion(model, today, users=users, items=model.items).rank(last, k=K, train=seen)
    ordered = history_matrix(
        today.interactions, users=Vocabulary(users), items=model.items, ordered=False
    )
    queries, sources = model.embed_users(users[-1:], histories=ordered[last])
    assert sources.to_pylist() == ["history"]
    had = model.items.numbers(new[ITEM_ID])
    scores = (queries @ model.item_vectors().T)[0]
    scores[had] = -np.inf
    assert set(lists[0]) == set(np.argsort(-scores)[:K])
