"""Measures of lists: a hand-computed example, plain loops, scikit-learn, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score

from recsys.errors import ConfigError
from recsys.recommender.evaluation import metrics
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems, top_k

NUM_USERS, NUM_ITEMS, WIDTH = 6, 8, 5


def matrix(dense: object) -> UserItems:
    """Interactions of a dense table."""
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


@st.composite
def lists_and_matrix(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Lists of distinct items of various lengths (U, K), and a 0/1 matrix (U, C)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items_UK = np.argsort(rng.random((NUM_USERS, NUM_ITEMS)), axis=1)[:, :WIDTH]
    lengths_U = rng.integers(0, WIDTH + 1, NUM_USERS)
    items_UK = np.where(np.arange(WIDTH) < lengths_U[:, None], items_UK, NO_ITEM)
    return items_UK, (rng.random((NUM_USERS, NUM_ITEMS)) < rng.random()).astype(np.float32)


def naive(items_UK: np.ndarray, dense_UC: np.ndarray, k: int) -> dict[str, list[float]]:
    """Oracle: every accuracy measure with plain loops, from its definition."""
    rows: dict[str, list[float]] = {"recall": [], "ndcg": [], "mrr": [], "hit_rate": []}
    for items, relevance in zip(items_UK.tolist(), dense_UC.tolist(), strict=True):
        relevant = {item for item, value in enumerate(relevance) if value}
        if not relevant:
            for values in rows.values():
                values.append(math.nan)
            continue
        ranks = [rank for rank, item in enumerate(items[:k], start=1) if item in relevant]
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
        rows["recall"].append(len(ranks) / len(relevant))
        rows["ndcg"].append(sum(1 / math.log2(rank + 1) for rank in ranks) / ideal)
        rows["mrr"].append(1 / ranks[0] if ranks else 0.0)
        rows["hit_rate"].append(float(bool(ranks)))
    return rows


def measure(items_UK: np.ndarray, relevant: UserItems, k: int) -> dict[str, list[float]]:
    """Every accuracy measure, as under test."""
    hits_UK = metrics.hit_matrix(items_UK, relevant)
    relevant_U = metrics.relevant_counts(relevant)
    functions = {
        "recall": metrics.recall_at_k,
        "ndcg": metrics.ndcg_at_k,
        "mrr": metrics.mrr_at_k,
        "hit_rate": metrics.hit_rate_at_k,
    }
    return {name: f(hits_UK, relevant_U, k=k).tolist() for name, f in functions.items()}


def test_a_hand_computed_example() -> None:
    """By hand: hits at ranks 2 and 3; more relevant items than places; none relevant; no hit."""
    items_UK = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]])
    relevant = matrix([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    values = measure(items_UK, relevant, k=3)
    gains = 1 / math.log2(3) + 1 / 2
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    expected = {
        "recall": [2 / 3, 3 / 5, math.nan, 0],
        "ndcg": [gains / ideal, 1, math.nan, 0],
        "mrr": [1 / 2, 1, math.nan, 0],
        "hit_rate": [1, 1, math.nan, 0],
    }
    for name, column in expected.items():
        assert values[name] == pytest.approx(column, nan_ok=True), name


@given(case=lists_and_matrix(), k=st.integers(1, WIDTH))
def test_accuracy_equals_plain_loops(case: tuple[np.ndarray, np.ndarray], k: int) -> None:
    """The vectorised accuracy measures equal loops over users, with padding and at every k."""
    items_UK, dense_UC = case
    actual, expected = measure(items_UK, matrix(dense_UC), k), naive(items_UK, dense_UC, k)
    for name, column in expected.items():
        assert actual[name] == pytest.approx(column, nan_ok=True), name


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, NUM_ITEMS))
def test_ndcg_equals_scikit_learn(seed: int, k: int) -> None:
    """NDCG of lists ranked from scores equals an independent implementation that reads scores."""
    rng = np.random.default_rng(seed)
    scores_UC = rng.permuted(
        np.tile(np.arange(NUM_ITEMS, dtype=np.float32), (NUM_USERS, 1)), axis=1
    )
    dense_UC = (rng.random((NUM_USERS, NUM_ITEMS)) < 0.4).astype(np.float32)
    dense_UC[:, 0] = 1  # scikit-learn gives 0, not nothing, to a row without relevant items
    items_UK, _ = top_k(scores_UC, k)
    actual = np.mean(measure(items_UK, matrix(dense_UC), k)["ndcg"])
    assert actual == pytest.approx(ndcg_score(dense_UC, scores_UC, k=k))


def test_stored_zeros_and_repeats_are_one_relevant_item() -> None:
    """A test item of weight 0 counts, one stored twice counts once: recall stays within 1."""
    relevant = sparse.csr_array(
        (np.zeros(3, dtype=np.float32), np.array([4, 1, 1]), np.array([0, 3])), shape=(1, 5)
    )
    assert metrics.relevant_counts(relevant).tolist() == [2]
    assert measure(np.array([[1, 4]]), relevant, k=2)["recall"] == [1.0]


def test_padding_is_not_the_last_item_of_the_user_before() -> None:
    """A padded place is never a hit, also where the row above ends with a relevant item."""
    relevant = matrix([[0, 0, 1], [1, 0, 1]])
    hits_UK = metrics.hit_matrix(np.array([[2, NO_ITEM], [NO_ITEM, NO_ITEM]]), relevant)
    assert hits_UK.tolist() == [[True, False], [False, False]]


@given(case=lists_and_matrix())
def test_catalogue_measures_equal_counting(case: tuple[np.ndarray, np.ndarray]) -> None:
    """Coverage and Gini equal their definitions: distinct items, and mean absolute difference."""
    items_UK, _ = case
    shown = [item for row in items_UK.tolist() for item in row if item != NO_ITEM]
    counts = np.array([shown.count(item) for item in range(NUM_ITEMS)])
    coverage = metrics.catalogue_coverage(items_UK, num_items=NUM_ITEMS)
    gini = metrics.exposure_gini(items_UK, num_items=NUM_ITEMS)
    assert coverage == len(set(shown)) / NUM_ITEMS
    if shown:
        differences = np.abs(counts[:, None] - counts).sum()
        assert gini == pytest.approx(differences / (2 * NUM_ITEMS * counts.sum()))
    else:
        assert math.isnan(gini)


def test_gini_spans_equal_and_concentrated_exposure() -> None:
    """Gini is 0 when all items appear equally often and (C-1)/C when one takes every place."""
    assert metrics.exposure_gini(np.array([[0, 1], [2, 3]]), num_items=4) == 0
    assert metrics.exposure_gini(np.array([[2], [2]]), num_items=4) == pytest.approx(3 / 4)


def test_popularity_and_information_by_hand() -> None:
    """Shares count active users only; an item of half of them carries 1 bit, an unseen one most."""
    train = matrix([[5, 1, 0, 0], [5, 0, 0, 0], [5, 1, 0, 0], [5, 0, 1, 0], [0, 0, 0, 0]])
    assert metrics.item_popularity(train).tolist() == [1, 1 / 2, 1 / 4, 0]
    assert metrics.self_information(train).tolist() == [0, 1, 2, 2]
    assert metrics.item_popularity(matrix(np.zeros((2, 3)))).tolist() == [0, 0, 0]
    assert metrics.self_information(matrix(np.zeros((2, 3)))).tolist() == [0, 0, 0]


@given(case=lists_and_matrix(), k=st.integers(1, WIDTH))
def test_means_over_lists_and_histories_equal_loops(
    case: tuple[np.ndarray, np.ndarray], k: int
) -> None:
    """The mean value of a list's first k items, and of a history, equals a loop, NaN if empty."""
    items_UK, dense_UC = case
    values_C = np.arange(NUM_ITEMS) ** 2.0
    lists = [[item for item in row[:k] if item != NO_ITEM] for row in items_UK.tolist()]
    histories = [np.flatnonzero(row).tolist() for row in dense_UC]

    def means(rows: list[list[int]]) -> list[float]:
        return [float(np.mean(values_C[row])) if row else math.nan for row in rows]

    actual_lists = metrics.list_mean(items_UK, values_C, k=k)
    actual_histories = metrics.history_mean(matrix(3 * dense_UC), values_C)
    assert actual_lists.tolist() == pytest.approx(means(lists), nan_ok=True)
    assert actual_histories.tolist() == pytest.approx(means(histories), nan_ok=True)


def test_popularity_lift_is_relative_to_the_history() -> None:
    """Twice the popularity of the history is a lift of 1, the same is 0, nothing to lift is NaN."""
    lift_G = metrics.popularity_lift(np.array([0.4, 0.2, 0.1, 0.3]), np.array([0.2, 0.2, 0.2, 0.0]))
    assert lift_G.tolist() == pytest.approx([1, 0, -0.5, math.nan], nan_ok=True)


@given(case=lists_and_matrix(), seed=st.integers(0, 2**32 - 1), k=st.integers(1, WIDTH))
def test_diversity_equals_the_mean_over_pairs(
    case: tuple[np.ndarray, np.ndarray], seed: int, k: int
) -> None:
    """The closed form equals 1 minus the mean cosine over all pairs, zero vectors included."""
    items_UK, _ = case
    embeddings_CD = np.random.default_rng(seed).normal(size=(NUM_ITEMS, 3))
    embeddings_CD[2] = 0
    norms = [float(np.linalg.norm(vector)) or 1.0 for vector in embeddings_CD]
    expected = []
    for row in items_UK.tolist():
        items = [item for item in row[:k] if item != NO_ITEM]
        cosines = [
            float(embeddings_CD[a] @ embeddings_CD[b]) / (norms[a] * norms[b])
            for place, a in enumerate(items)
            for b in items[:place]
        ]
        expected.append(1 - sum(cosines) / len(cosines) if cosines else math.nan)
    actual = metrics.intra_list_diversity(items_UK, embeddings_CD, k=k)
    assert actual.tolist() == pytest.approx(expected, nan_ok=True)


def test_diversity_spans_identical_to_opposite_vectors() -> None:
    """Parallel vectors of any length have diversity 0, orthogonal ones 1, opposite ones 2."""
    embeddings_CD = np.array([[1, 0], [5, 0], [0, 2], [-1, 0]], dtype=np.float32)
    lists = np.array([[0, 1], [0, 2], [0, 3]])
    diversity_U = metrics.intra_list_diversity(lists, embeddings_CD, k=2)
    assert diversity_U.tolist() == pytest.approx([0, 1, 2])


@pytest.mark.parametrize(("k", "message"), [(0, "at least 1.* got 0"), (4, "at most 3, .* got 4")])
def test_lists_of_another_length_are_refused(k: int, message: str) -> None:
    """A k that the lists cannot answer is an error, not a measure of fewer places."""
    hits_UK = np.zeros((2, 3), dtype=bool)
    with pytest.raises(ConfigError, match=message):
        metrics.recall_at_k(hits_UK, np.array([1, 1]), k=k)
