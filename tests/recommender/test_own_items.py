"""Lists that may hold again what a user had: terms against brute force, and a grocery log."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ranker_contract
from hypothesis import given
from hypothesis import strategies as st
from list_oracle import brute_force, csr
from small_logs import small_config

from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.datasets.synthetic.groceries import generate_groceries
from recsys.features.history import repeat_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import EvaluationConfig
from recsys.recommender.evaluation.baselines import MostPopular, OwnMostFrequent
from recsys.recommender.evaluation.holdout import MODEL
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.index import IndexConfig
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.list_files import lists_table
from recsys.recommender.model_bundle import load_model, save_model
from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.topk import masked_top_k
from recsys.recommender.serving import Recommender, build_index
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID

K = 10


@given(
    seed=st.integers(0, 10_000),
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 15)),
    is_limited=st.booleans(),
)
def test_lists_with_terms_are_those_of_a_dense_sum(
    seed: int, sizes: tuple[int, int, int], is_limited: bool
) -> None:
    """Whatever is excluded or not eligible, the best items of score plus term, ties by number."""
    rng, (num_users, num_items, k) = np.random.default_rng(seed), sizes
    # Small whole numbers, so that sums are exact and ties are many.
    queries = rng.integers(-2, 3, (num_users, 3)).astype(np.float32)
    vectors = rng.integers(-2, 3, (num_items, 3)).astype(np.float32)
    own = csr(rng.integers(0, 4, (num_users, num_items)) * (rng.random((1, num_items)) < 0.6))
    allowed = np.ones((num_users, num_items), dtype=np.bool_)
    excluded = eligible = None
    if is_limited:
        hidden = rng.random((num_users, num_items)) < 0.3
        eligible = rng.random(num_items) < 0.8
        excluded, allowed = csr(hidden), ~hidden & eligible
    base = masked_top_k(queries, vectors, k, excluded=excluded, eligible=eligible)
    items, scores = add_own_terms(
        *base, own, queries_BD=queries, vectors_CD=vectors, excluded=excluded, eligible=eligible
    )
    wide = np.hstack([queries, own.toarray()])
    expected = brute_force(wide, np.hstack([vectors, np.eye(num_items)]), k, allowed)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(scores, expected[1].astype(np.float32))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 20)), min_size=1, max_size=40
    ),
    half_life=st.one_of(st.none(), st.floats(0.5, 30)),
)
def test_repeats_are_counted_as_they_stand(
    rows: list[tuple[int, int, int]], half_life: float | None
) -> None:
    """The log of one and the events of a pair, halved with age, for known users and items."""
    users, items, days = zip(*rows, strict=True)
    times = pa.array([day * 86_400_000_000 for day in days], pa.int64()).cast(EVENT_TIME_TYPE)
    log = pa.table({USER_ID: pa.array(users), ITEM_ID: pa.array(items), EVENT_TIME: times})
    expected = np.zeros((3, 4))
    for user, item, day in rows:
        if user > 0 and item > 0:
            expected[user - 1, item - 1] += (
                0.5 ** ((max(days) - day) / half_life) if half_life else 1
            )
    known = [Vocabulary(pa.array(range(1, size))) for size in (4, 5)]
    found = repeat_matrix(log, users=known[0], items=known[1], half_life_days=half_life)
    np.testing.assert_allclose(found.toarray(), np.log1p(expected), rtol=1e-5)


@pytest.mark.parametrize("law", ranker_contract.LAWS, ids=ranker_contract.name)
def test_own_most_frequent_keeps_the_contract_of_rankers(law: ranker_contract.Law) -> None:
    """It passes every law that any ranker has to pass."""
    train = ranker_contract.train_matrix()
    law(OwnMostFrequent.of(train, MostPopular.fit(train)))


def test_own_items_come_first_then_popular_ones() -> None:
    """By count, equal counts by popularity, then items that the user never took."""
    counts = csr(np.array([[0, 3, 1, 0, 1], [0, 1, 1, 2, 0], [0, 1, 1, 0, 0]]))
    found, _ = OwnMostFrequent.of(counts, MostPopular.fit(counts)).rank(
        np.array([0, 1]), k=5, train=None
    )
    assert found.tolist() == [[1, 2, 4, 3, 0], [3, 1, 2, 4, 0]]


@functools.cache
def grocery() -> Experiment:
    """A small grocery log, fitted for lists that may hold what a user had."""
    dataset = generate_groceries(num_users=150, num_items=120, num_days=60, seed=1)
    split = split_interactions(
        dataset.interactions, SplitConfig(test_share=0.15, valid_share=0.15), seed=0
    )
    config = small_config({"num_epochs": 2})
    return run_experiment(dataset, split, config, EvaluationConfig(k=K), filter_seen=False)


def test_in_a_grocery_the_model_is_no_worse_than_what_users_bought_most() -> None:
    """The weight is not 0, the baseline stands beside, and it is not better on any measure."""
    experiment = grocery()
    assert experiment.selection.repeat_weight > 0
    assert not experiment.selection.filter_seen
    found = experiment.comparison.evaluations
    for measure in (f"recall@{K}", f"ndcg@{K}"):
        mine, own = (found[name].overall[measure] for name in (MODEL, "own most frequent"))
        assert mine >= own - 0.005
        assert own > 1.3 * found["most popular"].overall[measure]


def test_lists_evaluation_and_the_saved_model_agree(tmp_path: Path) -> None:
    """The lists of the index, of the measured ranker and of the bundle are the same ones."""
    model = grocery().model
    bundle = save_model(model, tmp_path / "model", data_digests={})
    index = build_index(model, IndexConfig(), model_fingerprint=bundle.fingerprint, seed=0)
    users = model.users.terms
    table = Recommender(model=model, index=index).recommend_table(users, K)
    again, _ = load_model(tmp_path / "model")
    assert again.selection == model.selection
    assert again.learnt_until == model.learnt_until
    reopened = Recommender(model=again, index=index)
    assert reopened.recommend_table(users, K).equals(table)
    lists = reopened.recommend(
        users,
        k=K,
        filters=Filters(num_items=len(model.items)),
        histories=model.histories,
        repeats=model.repeats,
    )
    assert lists_table(lists, user_id_type=users.type, item_ids=model.items).equals(table)
    seen = model.histories.toarray()[
        model.users.numbers(table[USER_ID]), model.items.numbers(table[ITEM_ID])
    ]
    assert np.mean(seen) > 0.5


def test_where_seen_items_are_left_out_nothing_is_added() -> None:
    """With the usual filter no weight is looked for, and no baseline of own items stands there."""
    dataset = generate_groceries(num_users=60, num_items=100, num_days=30, seed=1)
    split = split_interactions(
        dataset.interactions, SplitConfig(test_share=0.15, valid_share=0.15), seed=0
    )
    found = run_experiment(dataset, split, small_config({"num_epochs": 1}), EvaluationConfig(k=K))
    assert found.model.repeats is None
    assert found.selection.repeat_weight == 0
    assert "own most frequent" not in found.comparison.evaluations
