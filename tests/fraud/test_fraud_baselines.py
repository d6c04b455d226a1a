"""Baselines of the fraud scorer: one contract for all, a slow twin, and the matrix they take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.errors import ConfigError, DataError
from recsys.fraud.evaluation import baselines
from recsys.fraud.evaluation.baselines import (
    AmountAlone,
    Baseline,
    BaselineInputs,
    IsolationForest,
    NearestNeighbours,
)
from recsys.schema import AMOUNT, EVENT_TIME, EVENT_TIME_TYPE

WIDTH = 6
BASELINES: dict[str, Callable[[int], Baseline]] = {
    "amount": lambda _: AmountAlone(),
    "forest": lambda seed: IsolationForest(seed=seed),
    "neighbours": lambda seed: NearestNeighbours(seed=seed, max_rows=300),
}
every_baseline = pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES.keys())
HOUR_US = 3_600_000_000


def usual_rows(num_rows: int = 1000, seed: int = 0) -> np.ndarray:
    """Rows around the origin (N, 6), a tenth of them copies of one row."""
    x_NF = np.random.default_rng(seed).normal(size=(num_rows, WIDTH)).astype(np.float32)
    x_NF[: num_rows // 10] = 0
    return x_NF


def transactions(**columns: object) -> pa.Table:
    """A table of transactions; amounts and times are made up where they are not given."""
    num_rows = len(next(iter(columns.values())))
    amounts = columns.pop("amount", np.arange(num_rows, dtype=np.float64))
    times = columns.pop("event_time", np.arange(num_rows) * HOUR_US)
    return pa.table(
        {
            AMOUNT: pa.array(amounts, pa.float64()),
            EVENT_TIME: pa.array(times, pa.int64()).cast(EVENT_TIME_TYPE),
            **columns,
        }
    )


@every_baseline
def test_a_planted_outlier_has_the_highest_score(make: Callable[[int], Baseline]) -> None:
    """Higher is more anomalous: a row far above all others in every column comes first."""
    rows = usual_rows(seed=1)
    rows[17] = 9
    scores = make(0).fit(usual_rows()).score(rows)
    assert scores.argmax() == 17
    assert scores[17] > np.sort(scores)[-2]


@every_baseline
def test_a_row_is_scored_by_itself(
    make: Callable[[int], Baseline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the other rows, nor their order, nor the size of a block changes a score."""
    fitted, rows = make(0).fit(usual_rows()), usual_rows(num_rows=50, seed=1)
    scores = fitted.score(rows)
    np.testing.assert_allclose(fitted.score(rows[::-1])[::-1], scores, rtol=1e-6, atol=1e-6)
    alone = [fitted.score(rows[place : place + 1])[0] for place in range(50)]
    np.testing.assert_allclose(alone, scores, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr(baselines, "_BLOCK_ROWS", 7)
    np.testing.assert_allclose(fitted.score(rows), scores, rtol=1e-6, atol=1e-6)


@every_baseline
def test_the_same_seed_gives_the_same_scores(make: Callable[[int], Baseline]) -> None:
    """Fitting again with the same seed repeats every score exactly."""
    rows = usual_rows(seed=1)
    first, second = (make(3).fit(usual_rows()).score(rows) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["forest", "neighbours"])
def test_the_seed_is_used(name: str) -> None:
    """Another seed gives other trees, and another choice of training rows."""
    rows = usual_rows(seed=1)
    first, second = (BASELINES[name](seed).fit(usual_rows()).score(rows) for seed in (3, 4))
    assert (first != second).any()


@every_baseline
@pytest.mark.parametrize("num_train", [1, 3, 1000])
def test_scores_are_finite_numbers_one_a_row(
    make: Callable[[int], Baseline], num_train: int
) -> None:
    """Scores are float64 of shape (N,), also for no rows and after fitting on very few."""
    fitted = make(0).fit(usual_rows(num_train))
    for num_rows in (0, 1, 20):
        scores = fitted.score(usual_rows(num_rows, seed=1))
        assert scores.shape == (num_rows,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()


@every_baseline
def test_fitting_on_nothing_is_refused(make: Callable[[int], Baseline]) -> None:
    """Without a training row there is nothing to compare with, and the error says so."""
    with pytest.raises(DataError, match="at least one transaction to fit a baseline on, got none"):
        make(0).fit(usual_rows(0))


@given(seed=st.integers(0, 999), k=st.integers(1, 7))
def test_neighbour_distances_equal_their_slow_twin(seed: int, k: int) -> None:
    """The score is the K-th smallest distance to the distinct training rows, by a full sort."""
    rng = np.random.default_rng(seed)
    train, rows = (rng.integers(0, 3, (30, 3)).astype(np.float32) for _ in range(2))
    distinct = np.array(sorted(set(map(tuple, train.tolist()))))
    distances = np.sqrt(((rows[:, None] - distinct) ** 2).sum(axis=2))
    expected = np.sort(distances, axis=1)[:, min(k, len(distinct)) - 1]
    scores = NearestNeighbours(seed=seed, num_neighbours=k).fit(train).score(rows)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_copies_of_a_fraud_do_not_make_it_usual() -> None:
    """A training row that occurs a hundred times is as far from its neighbours as one copy is."""
    train, fraud = usual_rows(), np.full((1, WIDTH), 9, dtype=np.float32)
    once, often = np.concatenate([train, fraud]), np.concatenate([train, *[fraud] * 100])
    detector = NearestNeighbours(seed=0)
    assert detector.fit(often).score(fraud) == pytest.approx(detector.fit(once).score(fraud))
    assert detector.fit(often).score(fraud)[0] > 10


def test_few_training_rows_are_kept_and_no_two_are_equal() -> None:
    """The index never holds more distinct rows than asked for, however many there are."""
    index = NearestNeighbours(seed=0, max_rows=40).fit(usual_rows(5000)).index
    assert index.n_samples_fit_ == 40
    assert len(np.unique(index._fit_X, axis=0)) == 40


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: NearestNeighbours(seed=0, num_neighbours=0), "num_neighbours"),
        (lambda: IsolationForest(seed=0, num_trees=0), "num_trees"),
        (lambda: BaselineInputs.fit(pa.table({}), {"t": FeatureConfig(kind="dense")}), "'t'"),
    ],
    ids=["neighbours", "trees", "kind"],
)
def test_settings_without_sense_are_refused(make: Callable[[], object], fault: str) -> None:
    """No neighbours, no trees and features that are no numbers are errors of the settings."""
    with pytest.raises(ConfigError, match=fault):
        make()


def test_amounts_and_hours_by_hand() -> None:
    """Refunds are negative, the amount keeps its order, and 23 h is as near to 0 h as 1 h is."""
    table = transactions(
        amount=[-np.e + 1, 0.0, np.e - 1, None], event_time=np.array([0, 6, 23, 1]) * HOUR_US
    )
    x_NF = BaselineInputs.fit(table, {}).encode(table)
    np.testing.assert_allclose(x_NF[:, baselines.AMOUNT_COLUMN], [-1, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(x_NF[:2, 1:], [[0, 1], [1, 0]], atol=1e-6)
    midnight, late, early = x_NF[[0, 2, 3], 1:]
    assert np.linalg.norm(late - midnight) == pytest.approx(np.linalg.norm(early - midnight))


def test_few_terms_get_a_column_each_and_the_others_share_one() -> None:
    """Each known term is its own column; null, rare and unseen terms are the last one."""
    features = {"kind": FeatureConfig(kind="categorical", min_count=2)}
    inputs = BaselineInputs.fit(transactions(kind=["b", "a", "b", "a", "rare"]), features)
    x_NF = inputs.encode(transactions(kind=["a", "b", None, "rare", "unseen"]))
    assert x_NF[:, 3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]


def test_many_terms_become_their_share_of_the_training_rows() -> None:
    """Beyond 32 terms a feature is one column that rises with the share, lowest where unseen."""
    terms = np.repeat(np.arange(33), np.arange(1, 34))  # term t occurs t + 1 times
    features = {"terminal": FeatureConfig(kind="categorical")}
    inputs = BaselineInputs.fit(transactions(terminal=terms), features)
    column_N = inputs.encode(transactions(terminal=np.array([99, 0, 1, 16, 32])))[:, 3]
    assert inputs.encode(transactions(terminal=terms)).shape == (len(terms), 4)
    assert (np.diff(column_N) > 0).all()
    np.testing.assert_allclose(np.diff(column_N)[:2], np.diff(column_N)[0], rtol=1e-5)


@given(seed=st.integers(0, 999))
def test_each_row_is_encoded_by_what_was_fitted(seed: int) -> None:
    """The matrix is finite float32, and a slice of the table gives the slice of the matrix."""
    rng = np.random.default_rng(seed)
    features = {
        "distance": FeatureConfig(kind="numeric"),
        "kind": FeatureConfig(kind="categorical"),
        "terminal": FeatureConfig(kind="categorical"),
    }
    numbers = rng.choice([0.0, 1.0, -5.0, 1e30, np.nan, np.inf], 80).astype(np.float32)
    table = transactions(
        amount=rng.choice([0.0, -3.0, 1e300, 12.5], 80),
        distance=pa.array(numbers, mask=rng.random(80) < 0.2),
        kind=pa.array(rng.choice(["a", "b"], 80), mask=rng.random(80) < 0.2),
        terminal=pa.array(rng.integers(0, 70, 80), mask=rng.random(80) < 0.2),
    )
    inputs = BaselineInputs.fit(table.slice(0, 60), features)
    x_NF = inputs.encode(table)
    assert x_NF.dtype == np.float32
    assert np.isfinite(x_NF).all()
    parts = [inputs.encode(table.slice(start, 23)) for start in range(0, 80, 23)]
    np.testing.assert_array_equal(np.concatenate(parts), x_NF)
