"""One vector for each account, for use by other models: what its transactions are like.

The clusters of the model are kinds of transactions. A vector holds the share of each kind among the
account's transactions, and how those of each kind differ from its centre. This is the vector of
locally aggregated descriptors (Jégou et al. 2010, CVPR), with means in place of sums, shrunk
towards the centres, and with the shares that Fisher vectors have (Perronnin and Dance 2007, CVPR).

Shapes: N transactions, B those of a block, A accounts, K clusters, D width of the embedding of a
transaction, W = K + K D width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.compiled import compiled
from recsys.datasets.transactions.days import day_of
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.model import BLOCK_ROWS, FraudModel
from recsys.schema import ACCOUNT_ID

HALF_LIFE_DAYS = 180.0
"""Age at which a transaction counts for half of what a new one does."""
STRENGTH = 50.0
"""Pseudo-count of transactions at the centre of each cluster."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountVectors:
    """Vectors of accounts, from all of their transactions before a moment."""

    accounts: Vocabulary
    """The accounts, in ascending order."""
    vectors: Float32Array
    """One of each. Shape (A, W)."""
    num_transactions: Int64Array
    """What each was made from. Shape (A,)."""
    last_day: Float64Array
    """When the last of these was, in days since 1970. Shape (A,)."""


def account_vectors(
    model: FraudModel,
    table: pa.Table,
    *,
    at: float,
    half_life_days: float = HALF_LIFE_DAYS,
    block_rows: int = BLOCK_ROWS,
) -> AccountVectors:
    """Embed every account that has a transaction.

    Besides the table, memory grows with the number of accounts (12 W bytes each), and not with that
    of transactions; the result is the same to the last bit whatever the size of a block.

    Args:
        model: A fitted scorer, whose autoencoder embeds each transaction.
        table: Transactions under their standard names.
        at: Moment in days since 1970; what is not earlier is left out.
        half_life_days: See `HALF_LIFE_DAYS`.
        block_rows: Transactions that are embedded at once.
    """
    table = table.filter(pa.array(day_of(table) < at))
    accounts = Vocabulary.fit(table[ACCOUNT_ID])
    account_N, day_N = accounts.numbers(table[ACCOUNT_ID]), day_of(table)
    # Ages count from each account's latest transaction: otherwise weights of quiet accounts vanish.
    last_day_A = np.full(len(accounts), -np.inf)
    np.maximum.at(last_day_A, account_N, day_N)
    weight_N = np.exp2((day_N - last_day_A[account_N]) / half_life_days)
    pool = Pool.empty(len(accounts), model.clusters.centre)
    for start in range(0, table.num_rows, block_rows):
        observed = model.observe(table.slice(start, block_rows))
        rows = slice(start, start + block_rows)
        pool.add(account_N[rows], weight_N[rows], observed.embedding, observed.log_density)
    return AccountVectors(
        accounts=accounts,
        vectors=pool.vectors(),
        num_transactions=np.bincount(account_N, minlength=len(accounts)),
        last_day=last_day_A,
    )


class Pool(NamedTuple):
    """Sums over the transactions of each account; `add` changes them in place."""

    centre: Float32Array
    """Centres of the clusters. Shape (K, D)."""
    weights: Float64Array
    """Weight of the transactions in each cluster. Shape (A, K)."""
    deviations: Float64Array
    """Weighted sum of their deviations from its centre. Shape (A, K, D)."""

    @classmethod
    def empty(cls, num_accounts: int, centre_KD: Float32Array) -> Pool:
        """Before any transaction."""
        return cls(
            centre=centre_KD,
            weights=np.zeros((num_accounts, len(centre_KD))),
            deviations=np.zeros((num_accounts, *centre_KD.shape)),
        )

    def add(
        self,
        account_B: Int64Array,
        weight_B: Float64Array,
        embedding_BD: Float32Array,
        log_density_BK: Float32Array,
    ) -> None:
        """Add transactions.

        Args:
            account_B: Account of each.
            weight_B: Weight of each.
            embedding_BD: Their embeddings.
            log_density_BK: Log density of each embedding under each cluster. A transaction belongs
                to the clusters by these, all of them equally likely before.
        """
        _add(account_B, weight_B, embedding_BD, log_density_BK, self)

    def vectors(self) -> Float32Array:
        """Roots of the clusters' shares, then mean deviations within each of them.

        Distances between roots of shares are those of Hellinger. `STRENGTH` transactions at the
        centre keep the mean of few ones near 0.

        Returns:
            Shape (A, W).
        """
        num_accounts, num_clusters, width = self.deviations.shape
        vectors_AW = np.empty((num_accounts, num_clusters * (1 + width)), dtype=np.float32)
        roots_AK, means_AV = np.split(vectors_AW, [num_clusters], axis=1)
        roots_AK[:] = np.sqrt(self.weights / self.weights.sum(1, keepdims=True))
        for cluster in range(num_clusters):  # all at once would take twice the memory
            total_A1 = self.weights[:, cluster, None] + STRENGTH
            place = cluster * width
            means_AV[:, place : place + width] = self.deviations[:, cluster] / total_A1
        return vectors_AW


@compiled
def _add(
    account_B: Int64Array,
    weight_B: Float64Array,
    embedding_BD: Float32Array,
    log_density_BK: Float32Array,
    pool: Pool,
) -> None:
    """Row by row, so that sums do not depend on where blocks begin."""
    num_clusters, width = pool.centre.shape
    share_K = np.empty(num_clusters)
    for row in range(len(account_B)):
        account = account_B[row]
        share_K[:] = np.exp(log_density_BK[row] - log_density_BK[row].max())
        share_K *= weight_B[row] / share_K.sum()
        for cluster in range(num_clusters):
            weight = share_K[cluster]
            pool.weights[account, cluster] += weight
            for place in range(width):
                deviation = embedding_BD[row, place] - pool.centre[cluster, place]
                pool.deviations[account, cluster, place] += weight * deviation
