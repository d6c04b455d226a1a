"""One vector an account, for other models to use: its recent transactions, pooled.

Shapes: N transactions, A accounts, D width of the embedding of a transaction.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.datasets.transactions.days import day_of
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.model import BLOCK_ROWS, FraudModel
from recsys.fraud.profiles.arrays import Codes, Days, Floats
from recsys.schema import ACCOUNT_ID

HALF_LIFE_DAYS = 90.0
"""Age at which a transaction counts for half of what a new one does."""


def account_vectors(
    model: FraudModel, table: pa.Table, *, at: float, half_life_days: float = HALF_LIFE_DAYS
) -> tuple[Vocabulary, Floats]:
    """Embed every account that has a transaction.

    Args:
        model: A fitted scorer, whose autoencoder embeds each transaction.
        table: Transactions under their standard names.
        at: Moment in days since 1970; what is not earlier is left out.
        half_life_days: See `HALF_LIFE_DAYS`.

    Returns:
        The accounts, and their vectors. Shape (A, 2D).
    """
    table = table.filter(pa.array(day_of(table) < at))
    accounts = Vocabulary.fit(table[ACCOUNT_ID])
    blocks = [
        model.autoencoder.measure(model.inputs.encode(table.slice(start, BLOCK_ROWS)).columns)
        for start in range(0, max(table.num_rows, 1), BLOCK_ROWS)
    ]
    vectors_AW = pooled(
        np.concatenate([block.embedding_ND for block in blocks]),
        accounts.numbers(table[ACCOUNT_ID]),
        day_of(table),
        half_life_days=half_life_days,
    )
    return accounts, vectors_AW


def pooled(embedding_ND: Floats, account_N: Codes, day_N: Days, *, half_life_days: float) -> Floats:
    """Mean and standard deviation of each account's embeddings, weighted by 2^-(age / half-life).

    Neither the order of the rows matters nor, as such, how many an account has or how long ago.

    Args:
        embedding_ND: Embeddings of transactions.
        account_N: Account of each, every code from 0 on at least once.
        day_N: Time of each in days.
        half_life_days: Age at which a transaction counts for half.

    Returns:
        Means, then standard deviations. Shape (A, 2D).
    """
    if not len(account_N):
        return np.zeros((0, 2 * embedding_ND.shape[1]), dtype=np.float32)
    # Ages from each account's latest transaction on: the weights of quiet accounts would vanish.
    num_accounts = int(account_N.max()) + 1
    latest_A = np.full(num_accounts, -np.inf)
    np.maximum.at(latest_A, account_N, day_N)
    weight_N = np.exp2((day_N - latest_A[account_N]) / half_life_days)
    shape = (num_accounts, len(account_N))
    places = (account_N, np.arange(len(account_N)))
    sums_AN = sparse.csr_matrix((weight_N, places), shape=shape)
    total_A1 = np.asarray(sums_AN.sum(axis=1))
    mean_AD = sums_AN @ embedding_ND / total_A1
    deviation_ND = embedding_ND - mean_AD[account_N]
    variance_AD = sums_AN @ np.square(deviation_ND) / total_A1
    return np.hstack([mean_AD, np.sqrt(variance_AD)]).astype(np.float32)
