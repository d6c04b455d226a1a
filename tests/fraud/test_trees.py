"""Trees in arrays beside LightGBM itself: the same number for every row, to the last bit."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.arrays import Float32Array, Float64Array
from recsys.fraud.scoring import trees as trees_module
from recsys.fraud.scoring.booster import Booster, fit_booster
from recsys.fraud.scoring.trees import Trees, read_trees, sum_leaves

NUM_ROWS = 900
NAMES = ("small", "large", "gaps", "code", "rare_code")


def random_features(seed: int) -> Float32Array:
    """Numbers of several scales, one column with NaN among them, and two columns of codes."""
    rng = np.random.default_rng(seed)
    x_NF = rng.normal(size=(NUM_ROWS, len(NAMES))).astype(np.float32)
    x_NF[:, 0] *= 1e-6
    x_NF[:, 1] = np.round(x_NF[:, 1] * 3) * 1e6
    x_NF[rng.random(NUM_ROWS) < 0.2, 2] = np.nan
    x_NF[:, 3] = rng.integers(0, 9, NUM_ROWS)
    x_NF[:, 4] = rng.integers(0, 120, NUM_ROWS)
    return x_NF


def fitted(seed: int, num_leaves: int = 31) -> Booster:
    """Trees that read every column, in ways that depend on the seed."""
    x_NF = random_features(seed)
    rng = np.random.default_rng(seed + 1)
    signal_N = (
        1e6 * x_NF[:, 0] + np.nan_to_num(x_NF[:, 2], nan=rng.normal() * 2)
        + rng.normal(size=9)[x_NF[:, 3].astype(int)] + rng.normal(size=120)[x_NF[:, 4].astype(int)]
        + (x_NF[:, 1] > 1e6)
    )  # fmt: skip
    settings_ = {
        "objective": "binary", "num_leaves": num_leaves, "min_data_in_leaf": 5, "verbose": -1,
        "min_data_per_group": 5, "cat_smooth": 1.0, "deterministic": True, "num_threads": 1,
        "force_row_wise": True, "seed": seed,
    }  # fmt: skip
    data = lightgbm.Dataset(
        x_NF,
        label=(signal_N > np.median(signal_N)).astype(np.float32),
        feature_name=list(NAMES),
        categorical_feature=["code", "rare_code"],
    )
    return Booster(text=lightgbm.train(settings_, data, 8).model_to_string())


def strange(x_NF: Float32Array, seed: int) -> Float32Array:
    """The same with values that no training row had."""
    rng = np.random.default_rng(seed)
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, -0.5, -1.0, -7.0, 8.5, 119.0, 120.0, 5e3, 3e38]
    drawn = rng.choice(np.array(values, dtype=np.float32), x_NF.shape)
    return np.where(rng.random(x_NF.shape) < 0.2, drawn, x_NF)


def by_lightgbm(booster: Booster, x_NF: Float32Array) -> Float64Array:
    """What LightGBM makes of the same text."""
    model = lightgbm.Booster(model_str=booster.text)
    return np.asarray(model.predict(x_NF, raw_score=True, num_threads=1))


def read(booster: Booster) -> Trees:
    """The arrays, of a booster that can be read into them."""
    found = read_trees(booster.text)
    assert found is not None
    return found


@given(seed=st.integers(0, 10_000), num_rows=st.sampled_from([0, 1, 63, 64, 65, NUM_ROWS]))
@settings(max_examples=15)
def test_every_row_gets_what_lightgbm_gives(seed: int, num_rows: int) -> None:
    """Numbers, codes, NaN, infinities and codes that training did not meet."""
    booster = fitted(seed)
    x_NF = strange(random_features(seed + 2), seed)[:num_rows]
    found_N = sum_leaves(read(booster), x_NF)
    assert found_N.shape == (num_rows,)
    if num_rows:
        np.testing.assert_array_equal(found_N, by_lightgbm(booster, x_NF))


def test_numbers_at_thresholds_go_where_lightgbm_sends_them() -> None:
    """A threshold, and the float32 numbers above and below it, of every numeric split."""
    booster = fitted(3)
    trees = read(booster)
    near = trees.threshold[trees.threshold != 0.5]
    values = np.concatenate([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)])
    x_NF = np.tile(values.astype(np.float32)[:, None], (1, len(NAMES)))
    np.testing.assert_array_equal(sum_leaves(trees, x_NF), by_lightgbm(booster, x_NF))


def test_trees_of_one_leaf() -> None:
    """A target that nothing tells of gives constant trees."""
    x_NF = np.zeros((100, 2), dtype=np.float32)
    target_N = np.arange(100) % 4 == 0
    booster = fit_booster(
        x_NF, target_N, names=("a", "b"), num_rounds=3, min_rows_per_leaf=5, seed=0, num_threads=1
    )
    x_NF = np.array([[1, np.nan], [-3, 7]], dtype=np.float32)
    expected_N = by_lightgbm(booster, x_NF)
    np.testing.assert_array_equal(booster.score(x_NF, num_threads=1), expected_N)


def test_trees_of_many_leaves_are_left_to_lightgbm() -> None:
    """More leaves than there are bits."""
    booster = fitted(1, num_leaves=40)
    assert read_trees(booster.text) is None
    x_NF = random_features(5)
    expected_N = by_lightgbm(booster, x_NF)
    np.testing.assert_array_equal(booster.score(x_NF, num_threads=1), expected_N)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_compiled_sum_is_that_of_plain_python(seed: int) -> None:
    """The same loops, interpreted."""
    trees = read(fitted(seed))
    x_NF = strange(random_features(seed), seed)[:70]
    plain_N = np.zeros(len(x_NF))
    with np.errstate(over="ignore"):
        trees_module._sum_leaves.py_func(trees, x_NF, plain_N)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(plain_N, sum_leaves(trees, x_NF))
