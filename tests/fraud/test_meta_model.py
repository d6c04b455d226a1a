"""The stacker: it finds what was planted, keeps its answers, and says when labels are too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.fraud.config import MetaModelConfig
from recsys.fraud.evaluation.metrics import average_precision
from recsys.fraud.labels.meta_model import MetaModel, fit_meta_model
from recsys.fraud.scoring.booster import Booster

NAMES = ("amount_high", "counterparty_risk", "noise")
SMALL = MetaModelConfig(num_rounds=40)


def planted(seed: int, num_rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are fraud where both of two kinds of evidence are high; some values unknown."""
    features_NF = np.random.default_rng(seed).standard_normal((num_rows, 3)).astype(np.float32)
    is_fraud_N = (features_NF[:, 0] > 1) & (features_NF[:, 1] > 1)
    features_NF[::7, 2] = np.nan
    return features_NF, is_fraud_N.astype(np.int8)


def fitted(
    features_NF: np.ndarray,
    label_N: np.ndarray,
    config: MetaModelConfig = SMALL,
    *,
    seed: int = 0,
    num_threads: int = 1,
) -> MetaModel:
    """A stacker where one can be fitted."""
    meta_model = fit_meta_model(
        features_NF, NAMES, label_N, config, seed=seed, num_threads=num_threads
    )
    assert meta_model is not None
    return meta_model


@pytest.fixture(scope="module")
def meta_model() -> MetaModel:
    """A stacker fitted to planted frauds."""
    return fitted(*planted(0))


def test_planted_frauds_come_first(meta_model: MetaModel) -> None:
    """Frauds that only two kinds of evidence together show come first among new rows."""
    features_NF, is_fraud_N = planted(1)
    alone = max(average_precision(features_NF[:, f], is_fraud_N == 1) for f in (0, 1))
    assert average_precision(meta_model.score(features_NF), is_fraud_N == 1) > 0.95 > 2 * alone


def test_scores_are_log_odds() -> None:
    """Where evidence says nothing the score is the log odds of a fraud, drawn rows weighted."""
    features_NF = np.zeros((4000, 3), dtype=np.float32)
    label_N = (np.arange(4000) % 40 == 0).astype(np.int8)
    config = MetaModelConfig(max_legitimate_rows=500)
    scores_N = fitted(features_NF, label_N, config).score(features_NF[:1])
    assert scores_N[0] == pytest.approx(np.log(1 / 39), abs=1e-3)


@given(st.integers(0, 2**32 - 1))
def test_a_score_does_not_depend_on_the_rows_beside_it(meta_model: MetaModel, seed: int) -> None:
    """Rows score the same to the last bit, alone, in another order, or in parts."""
    rng = np.random.default_rng(seed)
    features_NF, _ = planted(seed, num_rows=int(rng.integers(2, 50)))
    scores_N = meta_model.score(features_NF)
    order_N = rng.permutation(len(features_NF))
    np.testing.assert_array_equal(meta_model.score(features_NF[order_N]), scores_N[order_N])
    np.testing.assert_array_equal(meta_model.score(features_NF[:1]), scores_N[:1])
    np.testing.assert_array_equal(meta_model.score(features_NF, num_threads=2), scores_N)


def test_rows_without_a_label_teach_nothing() -> None:
    """Whatever stands in rows of unknown label, the stacker is the one fitted without them."""
    features_NF, label_N = planted(2)
    unknown = np.random.default_rng(0).random(len(label_N)) < 0.5
    known_only = fitted(features_NF[~unknown], label_N[~unknown])
    features_NF[unknown] = 99.0
    assert fitted(features_NF, np.where(unknown, -1, label_N)) == known_only


@pytest.mark.parametrize("max_legitimate_rows", [500, 100_000])
def test_the_same_rows_and_seed_give_the_same_stacker(max_legitimate_rows: int) -> None:
    """Fitting again gives the same trees, and more threads the same scores."""
    config = MetaModelConfig(num_rounds=40, max_legitimate_rows=max_legitimate_rows)
    features_NF, label_N = planted(3)
    first = fitted(features_NF, label_N, config, seed=5)
    assert fitted(features_NF, label_N, config, seed=5) == first
    threaded = fitted(features_NF, label_N, config, seed=5, num_threads=2)
    np.testing.assert_array_equal(threaded.score(features_NF), first.score(features_NF))


def test_text_keeps_the_meta_model(meta_model: MetaModel) -> None:
    """Trees read back from their text, as a bundle has it, score the same."""
    again = replace(meta_model, booster=Booster(text=meta_model.booster.text))
    features_NF, _ = planted(4)
    np.testing.assert_array_equal(again.score(features_NF), meta_model.score(features_NF))


@pytest.mark.parametrize("num_frauds", [0, 19, 20])
def test_too_few_frauds_give_no_stacker(num_frauds: int) -> None:
    """Below the configured number of known frauds there is none; from it on there is one."""
    features_NF, _ = planted(5, num_rows=300)
    label_N = (np.arange(300) < num_frauds).astype(np.int8)
    meta_model = fit_meta_model(features_NF, NAMES, label_N, SMALL, seed=0, num_threads=1)
    assert (meta_model is None) == (num_frauds < SMALL.min_frauds)


def test_frauds_alone_give_no_stacker() -> None:
    """Without a legitimate row there is nothing to tell frauds from."""
    features_NF, _ = planted(6, num_rows=100)
    label_N = np.ones(100, dtype=np.int8)
    assert fit_meta_model(features_NF, NAMES, label_N, SMALL, seed=0, num_threads=1) is None


def test_features_that_do_not_fit_are_refused(meta_model: MetaModel) -> None:
    """Another number of columns, or of labels, is told in one line."""
    features_NF, label_N = planted(7, num_rows=50)
    with pytest.raises(DataError, match="features of 3 columns"):
        meta_model.score(features_NF[:, :2])
    with pytest.raises(DataError, match="50 labels"):
        fit_meta_model(features_NF, NAMES, label_N[1:], SMALL, seed=0, num_threads=1)
