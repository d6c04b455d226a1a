"""What the embedding sees of transactions: reconstruction errors and normal clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.compiled import compiled
from recsys.fraud.embedding.autoencoder import FittedAutoencoder
from recsys.fraud.embedding.inputs import CodedTransactions, TransactionInputs
from recsys.fraud.profiles.arrays import Floats


@compiled
def log_densities(
    embedding_ND: Floats, centre_KD: Floats, precision_KD: Floats, log_norm_K: Floats
) -> Floats:
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
    """Normal distributions with diagonal covariances, a mixture of which is what is normal."""

    centre: Floats
    """Means. Shape (K, D)."""
    precision: Floats
    """One over each variance. Shape (K, D)."""

    def log_densities(self, embedding_ND: Floats) -> Floats:
        """Log density of each embedding under each of them. Shape (N, K)."""
        log_norm_K = (0.5 * np.log(self.precision.astype(np.float64)).sum(1)).astype(np.float32)
        densities: Floats = log_densities(embedding_ND, self.centre, self.precision, log_norm_K)
        return densities


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """What transactions are before any account is looked at."""

    coded: CodedTransactions
    """Their numbers."""
    embedding: Floats
    """Shape (N, D)."""
    log_density: Floats
    """Log density of the embedding under each cluster. Shape (N, K)."""
    reconstruction: Floats
    """Reconstruction error of each target of the autoencoder. Shape (N, T)."""


def observe(
    table: pa.Table,
    inputs: TransactionInputs,
    autoencoder: FittedAutoencoder,
    clusters: Clusters,
) -> Observed:
    """What transactions are before any account is looked at."""
    coded = inputs.encode(table)
    measured = autoencoder.measure(coded.columns)
    return Observed(
        coded=coded,
        embedding=measured.embedding_ND,
        log_density=clusters.log_densities(measured.embedding_ND),
        reconstruction=measured.surprise_NT,
    )
