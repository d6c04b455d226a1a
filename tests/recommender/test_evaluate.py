"""Evaluation: published figures, which users count, segments, intervals and refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from recsys.errors import ConfigError, DataError
from recsys.recommender.evaluation.baselines import MostPopular
from recsys.recommender.evaluation.evaluate import (
    LEAST_USERS,
    evaluate_lists,
    history_length_segment,
    share_intervals,
)
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems, rank_all

GOWALLA = Path(__file__).parents[3] / "shared" / "data" / "gowalla"
NUM_USERS, NUM_ITEMS, K = 30, 12, 4


def interactions(seed: int, share: float = 0.3) -> UserItems:
    """A random matrix (U, C), independent of `lists` of the same seed."""
    dense = np.random.default_rng([seed, 1]).random((NUM_USERS, NUM_ITEMS)) < share
    return sparse.csr_array(dense.astype(np.float32))


def lists(seed: int) -> np.ndarray:
    """Lists (U, K) of distinct items."""
    shuffled = np.random.default_rng(seed).random((NUM_USERS, NUM_ITEMS))
    return np.argsort(shuffled, axis=1)[:, :K]


def gowalla(name: str) -> UserItems:
    """One part of the canonical split, whose ids are dense already."""
    table = pq.read_table(GOWALLA / f"{name}.parquet")
    users, items = table["user_id"].to_numpy(), table["item_id"].to_numpy()
    values = np.ones(len(users), dtype=np.float32)
    return sparse.csr_array((values, (users, items)), shape=(29_858, 40_981))


@pytest.mark.skipif(not GOWALLA.exists(), reason=f"needs the Gowalla split in {GOWALLA}")
def test_most_popular_on_gowalla_has_the_published_figures() -> None:
    """The evaluator reproduces the known figures of most-popular on the canonical split."""
    train, test = gowalla("train"), gowalla("test")
    batches = rank_all(MostPopular.fit(train), np.arange(train.shape[0]), k=20, train=train)
    items_UK = np.concatenate([items for _, items, _ in batches])
    overall = evaluate_lists(items_UK, test, train=train, ks=(20,)).overall
    assert round(overall["recall@20"], 4) == 0.0416
    assert round(overall["ndcg@20"], 4) == 0.0317
    assert overall["num_users"] == 29_858


def test_a_perfect_and_a_useless_ranker_span_the_scale() -> None:
    """Lists that are the test items score 1 on all accuracy measures, others 0."""
    perfect = np.arange(NUM_USERS * 2).reshape(NUM_USERS, 2) % NUM_ITEMS
    relevant = sparse.lil_array((NUM_USERS, NUM_ITEMS), dtype=np.float32)
    relevant[np.arange(NUM_USERS)[:, None], perfect] = 1
    for items_UK, expected in [(perfect, 1.0), ((perfect + 2) % NUM_ITEMS, 0.0)]:
        overall = evaluate_lists(items_UK, relevant.tocsr(), train=interactions(0), ks=(2,)).overall
        names = ("recall@2", "ndcg@2", "mrr@2", "hit_rate@2")
        assert [overall[name] for name in names] == [expected] * 4


@given(seed=st.integers(0, 1000))
def test_users_without_test_items_do_not_change_accuracy(seed: int) -> None:
    """Adding users that have no test items leaves recall, NDCG, MRR and hit rate as they are."""
    items_UK, relevant, train = lists(seed), interactions(seed), interactions(seed + 1)
    nobody = sparse.csr_array((NUM_USERS, NUM_ITEMS), dtype=np.float32)
    alone = evaluate_lists(items_UK, relevant, train=train, ks=(K,)).overall
    joined = evaluate_lists(
        np.concatenate([items_UK, items_UK]),
        sparse.vstack([relevant, nobody], format="csr"),
        train=sparse.vstack([train, nobody], format="csr"),
        ks=(K,),
    ).overall
    names = ["num_users", "recall@4_low", "ndcg@4_high"]
    for name in [*(f"{name}@4" for name in ("recall", "ndcg", "mrr", "hit_rate")), *names]:
        assert joined[name] == pytest.approx(alone[name], nan_ok=True), name


def test_a_test_user_without_a_list_is_a_miss() -> None:
    """Not ranking the difficult users does not make a ranker look better."""
    items_UK = np.array([[0, 1], [NO_ITEM, NO_ITEM]])
    relevant = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 0]], dtype=np.float32))
    evaluation = evaluate_lists(items_UK, relevant, train=relevant, ks=(2,))
    assert evaluation.overall["recall@2"] == 0.5
    assert evaluation.overall["novelty@2"] == 0  # the one list there is
    assert math.isnan(evaluation.per_user["novelty@2"][1])


@given(seed=st.integers(0, 1000))
def test_a_segment_is_an_evaluation_of_its_users(seed: int) -> None:
    """Each label's accuracy equals an evaluation in which only its users are present."""
    items_UK, relevant, train = lists(seed), interactions(seed, 0.1), interactions(seed + 1)
    labels_U = np.random.default_rng(seed).choice(["red", "green", "blue"], NUM_USERS)
    segments = {"colour": labels_U}
    found = evaluate_lists(items_UK, relevant, train=train, ks=(2, K), segments=segments)
    assert set(found.by_segment["colour"]) == set(labels_U)
    for label, values in found.by_segment["colour"].items():
        chosen = labels_U == label
        alone = evaluate_lists(items_UK[chosen], relevant[chosen], train=train[chosen], ks=(2, K))
        for name in ("num_users", "recall@2", "ndcg@4", "mrr@4", "hit_rate@2", "recall@4_low"):
            assert values[name] == pytest.approx(alone.overall[name], nan_ok=True), name


def test_a_segment_with_one_label_is_the_whole() -> None:
    """With everyone under one label, its measures are the overall ones, lift and intervals too."""
    arguments = lists(5), interactions(5)
    segments = {"all": np.full(NUM_USERS, "everyone")}
    found = evaluate_lists(*arguments, train=interactions(6), ks=(2, K), segments=segments)
    everyone = found.by_segment["all"]["everyone"]
    assert everyone == {name: found.overall[name] for name in everyone}
    assert {"popularity_lift@4", "novelty@2", "ndcg@4_high"} <= set(everyone)


@given(seed=st.integers(0, 1000))
def test_segments_recombine_to_the_whole(seed: int) -> None:
    """The user-weighted mean over the labels of a segment is the overall mean."""
    items_UK, relevant, train = lists(seed), interactions(seed, 0.1), interactions(seed + 1, 0.1)
    segments = {"history": history_length_segment(train)}
    found = evaluate_lists(items_UK, relevant, train=train, ks=(K,), segments=segments)
    labels = [row for row in found.by_segment["history"].values() if row["num_users"]]
    weighted = sum(row["recall@4"] * row["num_users"] for row in labels)
    assert weighted / found.overall["num_users"] == pytest.approx(found.overall["recall@4"])
    assert sum(row["num_users"] for row in labels) == found.overall["num_users"]


def test_lift_by_hand_leaves_out_users_without_history_or_list() -> None:
    """Lift compares mean popularities of the same users, who have both a history and a list."""
    train = sparse.csr_array(
        np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=np.float32)
    )  # popularity 1, 1/4, 1/4
    items_UK = np.array([[2], [0], [1], [NO_ITEM], [0]])
    overall = evaluate_lists(items_UK, train, train=train, ks=(1,)).overall
    recommended = (1 / 4 + 1 + 1 / 4) / 3
    history = ((1 + 1 / 4) / 2 + 1 + (1 + 1 / 4) / 2) / 3
    assert overall["popularity_lift@1"] == pytest.approx(recommended / history - 1)


def test_history_lengths_fall_into_their_bins() -> None:
    """Bins are 0, 1-4, 5-19, 20-99 and 100+, with both edges where they say."""
    lengths = [0, 1, 4, 5, 19, 20, 99, 100, 130]
    dense = np.arange(130) < np.array(lengths)[:, None]
    expected = ["0", "1-4", "1-4", "5-19", "5-19", "20-99", "20-99", "100+", "100+"]
    assert history_length_segment(sparse.csr_array(dense.astype(np.float32))).tolist() == expected


def test_labels_come_in_reading_order_with_nulls_named() -> None:
    """Labels that begin with a number are ordered by it, and a null label is `missing`."""
    labels = np.array(["100+", "5-19", None, "20-99", "0", "b", "a"] * 4 + ["0", "0"], dtype=object)
    found = evaluate_lists(
        lists(0), interactions(0), train=interactions(1), ks=(1,), segments={"any": labels}
    )
    expected = ["0", "5-19", "20-99", "100+", "a", "b", "missing"]
    assert list(found.by_segment["any"]) == expected


def test_labels_may_be_numbers_with_gaps() -> None:
    """A numeric user column with NaN works as a segment."""
    ages = np.where(np.arange(NUM_USERS) < 3, np.nan, np.arange(NUM_USERS) % 2 + 8.0)
    found = evaluate_lists(
        lists(0), interactions(0), train=interactions(1), ks=(1,), segments={"age": ages}
    )
    assert [float(label) for label in list(found.by_segment["age"])[:2]] == [8, 9]
    assert list(found.by_segment["age"])[2:] == ["missing"]


@given(share=st.floats(0, 1), num_users=st.integers(LEAST_USERS, 400), seed=st.integers(0, 1000))
def test_intervals_of_shares_stay_within_0_and_1(share: float, num_users: int, seed: int) -> None:
    """However few users and however near the end of the scale: within 0 and 1, around the mean."""
    values = np.random.default_rng(seed).random(num_users) < share
    mean, variance = values.mean(), values.var(ddof=1)
    (low,), (high,) = share_intervals(
        np.array([mean]), np.array([variance]), np.array([float(num_users)])
    )
    assert 0 <= low <= mean <= high <= 1
    assert high > low


def test_intervals_of_shares_cover_as_often_as_they_say() -> None:
    """Of rare hits, where a plain interval reaches below 0, 95 in 100 intervals hold the mean."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(500):
        values = (rng.random(60) < 0.1) * rng.choice([0.5, 1.0], 60)
        (low,), (high,) = share_intervals(
            np.array([values.mean()]), np.array([values.var(ddof=1)]), np.array([60.0])
        )
        covered += low <= 0.075 <= high
    assert covered >= 0.93 * 500


def test_with_many_users_intervals_are_those_of_the_t_test() -> None:
    """Where shares are far from the ends and users are many, both intervals agree."""
    values = np.random.default_rng(0).beta(2, 3, 5000)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    (low,), (high,) = share_intervals(
        np.array([values.mean()]), np.array([values.var(ddof=1)]), np.array([5000.0])
    )
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_of_a_few_users_no_interval_is_told() -> None:
    """Two users whose values differ have a mean and no interval, not 0.5 ± 6.35."""
    items_UK = np.array([[0, 1], [2, 3]])
    relevant = sparse.csr_array(np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=np.float32))
    overall = evaluate_lists(items_UK, relevant, train=relevant, ks=(2,)).overall
    assert overall["recall@2"] == 0.5
    assert math.isnan(overall["recall@2_low"])
    assert math.isnan(overall["recall@2_high"])


def test_diversity_is_reported_with_embeddings_only() -> None:
    """Item vectors switch the diversity of the lists on."""
    embeddings_CD = np.eye(NUM_ITEMS, dtype=np.float32)
    arguments = lists(0), interactions(0)
    without = evaluate_lists(*arguments, train=interactions(1), ks=(K,))
    found = evaluate_lists(
        *arguments, train=interactions(1), ks=(2, K), item_embeddings_CD=embeddings_CD
    )
    assert "diversity@4" not in without.overall
    assert found.overall["diversity@2"] == found.overall["diversity@4"] == 1


def test_each_k_is_a_prefix_of_the_lists() -> None:
    """Every measure at k equals the measure of lists that were cut to k."""
    embeddings_CD = np.random.default_rng(0).normal(size=(NUM_ITEMS, 3))
    relevant, train = interactions(0), interactions(1)
    items_UK = lists(0)
    items_UK[2:] = NO_ITEM  # two lists do not cover the catalogue, at neither k
    whole = evaluate_lists(
        items_UK, relevant, train=train, ks=(2, K), item_embeddings_CD=embeddings_CD
    )
    cut = evaluate_lists(
        items_UK[:, :2], relevant, train=train, ks=(2,), item_embeddings_CD=embeddings_CD
    )
    assert {name for name in cut.overall if "@" in name} >= {"coverage@2", "popularity_lift@2"}
    for name, value in cut.overall.items():
        assert whole.overall[name] == pytest.approx(value), name
    assert whole.overall["coverage@2"] < whole.overall["coverage@4"]


def test_the_dictionary_is_valid_json() -> None:
    """`to_dict` survives strict JSON: what is not known becomes null, not NaN."""
    nobody = sparse.csr_array((NUM_USERS, NUM_ITEMS), dtype=np.float32)
    segments = {"history": history_length_segment(nobody)}
    found = evaluate_lists(lists(0), nobody, train=nobody, ks=(1,), segments=segments)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["overall"]["recall@1"] is None
    assert read["overall"]["num_users"] == 0
    assert read["by_segment"]["history"]["0"]["ndcg@1"] is None


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([[0, 0]], "distinct items in each list, got 1 lists"),
        ([[0, 3]], "item numbers from 0 to 2, got 0 to 3"),
        ([[-2, 1]], "item numbers from 0 to 2, got -2 to 1"),
        ([[NO_ITEM, 1]], "padding only at the end"),
        ([[0, 1], [1, 2]], "one row a user"),
    ],
)
def test_damaged_lists_are_refused(items: list[list[int]], message: str) -> None:
    """Lists that would inflate or distort a measure are refused with what was found."""
    relevant = sparse.csr_array(np.ones((1, 3), dtype=np.float32))
    with pytest.raises(DataError, match=message):
        evaluate_lists(np.array(items), relevant, train=relevant, ks=(2,))


def test_matrices_and_labels_must_fit_the_lists() -> None:
    """Test, train and labels of other sizes than the lists are refused."""
    relevant = interactions(0)
    with pytest.raises(DataError, match="one column an item"):
        evaluate_lists(lists(0), relevant, train=relevant[:, :5], ks=(1,))
    with pytest.raises(DataError, match="30 labels, one a user, got 3"):
        evaluate_lists(
            lists(0), relevant, train=relevant, ks=(1,), segments={"s": np.array(["a", "b", "c"])}
        )


@pytest.mark.parametrize(
    ("ks", "message"), [((5,), "at most 4"), ((0,), "at least 1"), ((), "none")]
)
def test_list_lengths_must_be_answerable(ks: tuple[int, ...], message: str) -> None:
    """A k outside 1..K, or none at all, is a configuration error."""
    with pytest.raises(ConfigError, match=message):
        evaluate_lists(lists(0), interactions(0), train=interactions(1), ks=ks)
