"""What the embedding sees of transactions: reconstruction errors and normal clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array
from recsys.compiled import compiled
from recsys.fraud.embedding.autoencoder import FittedAutoencoder
from recsys.fraud.embedding.inputs import CodedTransactions, TransactionInputs


@compiled
def log_densities(
    embedding_ND: Float32Array,
    centre_KD: Float32Array,
    precision_KD: Float32Array,
    log_norm_K: Float32Array,
) -> Float32Array:
    """Log density of each embedding under normal distributions with diagonal covariances.

    Args:
        embedding_ND: Embeddings.
        centre_KD: Means.
        precision_KD: One over each variance.
        log_norm_K: Half the sum of the log precisions.

    Returns:
        Shape (N, K), the constant of the normal distribution left out.
    """
    num_rows, num_clusters = len(embedding_ND), len(centre_KD)
    density_NK = np.empty((num_rows, num_clusters), dtype=np.float32)
    # All clusters side by side, so that their distances add up in vector registers.
    centre_DK, precision_DK = centre_KD.T.copy(), precision_KD.T.copy()
    distance_K = np.empty(num_clusters)
    for row in range(num_rows):
        distance_K[:] = 0.0
        for dim in range(embedding_ND.shape[1]):
            for cluster in range(num_clusters):
                gap = embedding_ND[row, dim] - centre_DK[dim, cluster]
                distance_K[cluster] += gap * gap * precision_DK[dim, cluster]
        for cluster in range(num_clusters):
            density_NK[row, cluster] = log_norm_K[cluster] - 0.5 * distance_K[cluster]
    return density_NK


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """Normal distributions with diagonal covariances: their mixture is what is normal."""

    centre: Float32Array
    """Means. Shape (K, D)."""
    precision: Float32Array
    """One over each variance. Shape (K, D)."""

    def log_densities(self, embedding_ND: Float32Array) -> Float32Array:
        """Log density of each embedding under each of them. Shape (N, K)."""
        log_norm_K = (0.5 * np.log(self.precision.astype(np.float64)).sum(1)).astype(np.float32)
        densities: Float32Array = log_densities(
            embedding_ND, self.centre, self.precision, log_norm_K
        )
        return densities


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """Transactions as the embedding sees them, without their accounts."""

    coded: CodedTransactions
    """Their numbers."""
    embedding: Float32Array
    """Shape (N, D)."""
    log_density: Float32Array
    """Log density of the embedding under each cluster. Shape (N, K)."""
    reconstruction: Float32Array
    """Reconstruction error of each target of the autoencoder. Shape (N, T)."""


def observe(
    table: pa.Table,
    inputs: TransactionInputs,
    autoencoder: FittedAutoencoder,
    clusters: Clusters,
) -> Observed:
    """Encode and embed transactions, and measure their reconstruction errors."""
    coded = inputs.encode(table)
    measured = autoencoder.measure(coded.columns)
    return Observed(
        coded=coded,
        embedding=measured.embedding_ND,
        log_density=clusters.log_densities(measured.embedding_ND),
        reconstruction=measured.surprise_NT,
    )
