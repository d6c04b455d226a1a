"""Laws of vectors of accounts: what they are a mean of, and what does not matter."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.synthetic.transactions import synthetic_transactions
from recsys.datasets.transactions.days import day_of
from recsys.fraud.config import AutoencoderConfig, FraudConfig
from recsys.fraud.fitting.train import fit_fraud_model
from recsys.fraud.model import FraudModel
from recsys.fraud.vectors.account_vectors import STRENGTH, Pool, account_vectors
from recsys.schema import ACCOUNT_ID

NUM_ACCOUNTS, NUM_CLUSTERS, WIDTH = 4, 3, 2


@given(seed=st.integers(0, 50))
def test_vectors_are_shares_and_shrunk_means_of_each_cluster(seed: int) -> None:
    """As written down for one account and cluster."""
    rng = np.random.default_rng(seed)
    account_N = np.concatenate([np.arange(NUM_ACCOUNTS), rng.integers(0, NUM_ACCOUNTS, 30)])
    weight_N = rng.uniform(0.1, 1, 34)
    embedding_ND, density_NK = rng.normal(size=(34, WIDTH)), rng.normal(size=(34, NUM_CLUSTERS))
    centre_KD = rng.normal(size=(NUM_CLUSTERS, WIDTH))
    pool = Pool.empty(NUM_ACCOUNTS, centre_KD.astype(np.float32))
    pool.add(account_N, weight_N, embedding_ND.astype(np.float32), density_NK.astype(np.float32))
    vectors_AW = pool.vectors()

    assert vectors_AW.shape == (NUM_ACCOUNTS, NUM_CLUSTERS * (1 + WIDTH))
    share_NK = np.exp(density_NK) / np.exp(density_NK).sum(1, keepdims=True)
    for account in range(NUM_ACCOUNTS):
        own = account_N == account
        for cluster in range(NUM_CLUSTERS):
            weight_M = weight_N[own] * share_NK[own, cluster]
            root = np.sqrt(weight_M.sum() / weight_N[own].sum())
            summed_D = weight_M @ (embedding_ND[own] - centre_KD[cluster])
            place = NUM_CLUSTERS + cluster * WIDTH
            found = vectors_AW[account]
            np.testing.assert_allclose(found[cluster], root, atol=1e-5)
            np.testing.assert_allclose(
                found[place : place + WIDTH], summed_D / (weight_M.sum() + STRENGTH), atol=1e-5
            )


def test_an_account_at_the_centres_has_shares_alone() -> None:
    """Usual transactions of a kind deviate from nothing, few or many."""
    centre_KD = np.array([[0, 3], [3, 0]], np.float32)
    pool = Pool.empty(1, centre_KD)
    far_KK = np.where(np.eye(2), 0, -1000).astype(np.float32)
    pool.add(np.zeros(2, np.int64), np.ones(2), centre_KD, far_KK)
    assert pool.vectors()[0] == pytest.approx([0.5**0.5, 0.5**0.5, 0, 0, 0, 0])


@functools.cache
def small_model() -> tuple[FraudModel, pa.Table]:
    """A model and the log that it was fitted on."""
    drawn = synthetic_transactions(num_accounts=20, num_days=60, seed=1).table
    table = drawn.drop_columns(["is_fraud", "plant"])
    config = FraudConfig(autoencoder=AutoencoderConfig(num_steps=20))
    features = {"category": FeatureConfig(kind="categorical")}
    return fit_fraud_model(table, features, config, num_threads=1).model, table


def test_vectors_are_of_the_accounts_before_the_moment() -> None:
    """Ids go with their vectors, whatever comes later and in whatever order rows are."""
    model, table = small_model()
    at = float(np.floor(day_of(table)[0])) + 30
    before = table.filter(pa.array(day_of(table) < at))
    found = account_vectors(model, table, at=at)

    assert 0 < before.num_rows < table.num_rows
    rows = before.to_pandas().groupby(ACCOUNT_ID)
    assert found.accounts.terms.to_pylist() == list(rows.groups)
    assert found.num_transactions.tolist() == rows.size().tolist()
    last_day = rows["event_time"].max().astype("datetime64[us, UTC]").astype(np.int64) / 86_400e6
    np.testing.assert_allclose(found.last_day, last_day)
    shuffled = before.take(pa.array(np.random.default_rng(0).permutation(before.num_rows)))
    np.testing.assert_allclose(
        account_vectors(model, shuffled, at=at).vectors, found.vectors, atol=1e-5
    )


def test_an_account_has_its_vector_alone() -> None:
    """Other accounts do not matter, and neither does how long ago it all was."""
    model, table = small_model()
    found = account_vectors(model, table, at=1e6)
    one = found.accounts.terms[3]
    alone = table.filter(pa.array([name == one for name in table[ACCOUNT_ID]]))
    vector_W = account_vectors(model, alone, at=1e9).vectors[0]
    np.testing.assert_allclose(vector_W, found.vectors[3], atol=1e-6)


@pytest.mark.parametrize(("block_rows", "num_rows"), [(1, 30), (7, 200), (500, 600)])
def test_blocks_do_not_matter(block_rows: int, num_rows: int) -> None:
    """Not to the last bit."""
    model, table = small_model()
    few = table.slice(0, num_rows)
    whole = account_vectors(model, few, at=1e6).vectors
    in_blocks = account_vectors(model, few, at=1e6, block_rows=block_rows).vectors
    np.testing.assert_array_equal(in_blocks, whole)


def test_old_transactions_count_less() -> None:
    """With a half-life of next to nothing only the last transaction is left."""
    model, table = small_model()
    last = {name: row for row, name in enumerate(table[ACCOUNT_ID].to_pylist())}
    latest = table.take(pa.array(sorted(last.values())))
    found = account_vectors(model, table, at=1e6, half_life_days=1e-9).vectors
    np.testing.assert_allclose(found, account_vectors(model, latest, at=1e6).vectors, atol=1e-6)


def test_of_no_transactions_there_are_no_vectors() -> None:
    """An empty log has no accounts."""
    model, table = small_model()
    found = account_vectors(model, table, at=0)
    num_clusters, width = model.clusters.centre.shape
    assert found.vectors.shape == (0, num_clusters * (1 + width))
    assert len(found.accounts) == len(found.num_transactions) == len(found.last_day) == 0
