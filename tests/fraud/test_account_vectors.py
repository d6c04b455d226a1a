"""Laws of vectors of accounts: what they are a mean of, and what does not matter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic_transactions import synthetic_transactions
from recsys.datasets.transactions.days import day_of
from recsys.fraud.account_vectors import account_vectors, pooled
from recsys.fraud.config import AutoencoderConfig, FraudConfig
from recsys.fraud.train import fit_fraud_model


def _log(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    account_N = np.concatenate([np.arange(4), rng.integers(0, 4, 30)])
    return rng.normal(size=(34, 3)).astype(np.float32), account_N, rng.uniform(0, 400, 34)


@given(seed=st.integers(0, 50), half_life=st.floats(1, 1000))
def test_vectors_are_weighted_means_and_deviations(seed: int, half_life: float) -> None:
    """As written down for one account."""
    embedding_ND, account_N, day_N = _log(seed)
    vectors_AW = pooled(embedding_ND, account_N, day_N, half_life_days=half_life)
    for account in range(4):
        own = account_N == account
        weight_M = 0.5 ** ((day_N[own].max() - day_N[own]) / half_life)
        mean_D = np.average(embedding_ND[own], axis=0, weights=weight_M)
        variance_D = np.average((embedding_ND[own] - mean_D) ** 2, axis=0, weights=weight_M)
        np.testing.assert_allclose(vectors_AW[account, :3], mean_D, atol=1e-5)
        np.testing.assert_allclose(vectors_AW[account, 3:], np.sqrt(variance_D), atol=1e-5)


@given(seed=st.integers(0, 50), later=st.floats(0, 10_000))
def test_neither_order_nor_the_calendar_matters(seed: int, later: float) -> None:
    """Rows in another order, and all of them later by as much."""
    embedding_ND, account_N, day_N = _log(seed)
    expected = pooled(embedding_ND, account_N, day_N, half_life_days=30)
    order = np.random.default_rng(seed).permutation(len(day_N))
    found = pooled(embedding_ND[order], account_N[order], day_N[order] + later, half_life_days=30)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_of_no_transactions_there_are_no_vectors() -> None:
    """An empty log has no accounts."""
    nothing = np.zeros(0)
    found = pooled(np.zeros((0, 3), np.float32), nothing.astype(int), nothing, half_life_days=1)
    assert found.shape == (0, 6)


def test_vectors_are_of_the_accounts_before_the_moment() -> None:
    """Ids go with their vectors, whatever comes later and in whatever order rows are."""
    drawn = synthetic_transactions(num_accounts=20, num_days=60, seed=1).table
    table = drawn.drop_columns(["is_fraud", "plant"])
    config = FraudConfig(autoencoder=AutoencoderConfig(num_steps=20))
    features = {"category": FeatureConfig(kind="categorical")}
    model = fit_fraud_model(table, features, config, num_threads=1).model
    at = float(np.floor(day_of(table)[0])) + 30
    before = table.filter(pa.array(day_of(table) < at))

    accounts, vectors_AW = account_vectors(model, table, at=at)
    assert 0 < before.num_rows < table.num_rows
    assert set(accounts.terms.to_pylist()) == set(before["account_id"].to_pylist())
    shuffled = before.take(pa.array(np.random.default_rng(0).permutation(before.num_rows)))
    others, found_AW = account_vectors(model, shuffled, at=at)
    np.testing.assert_allclose(found_AW[others.numbers(accounts.terms)], vectors_AW, atol=1e-5)
    one = accounts.terms[3]
    alone = before.filter(pa.array([name == one for name in before["account_id"]]))
    np.testing.assert_allclose(account_vectors(model, alone, at=at)[1][0], vectors_AW[3], atol=1e-5)
