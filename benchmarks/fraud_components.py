"""A principal component analysis in the place of the autoencoder, for the ablation.

Shapes: N rows, B rows of a block, V one-hot and numeric columns, D components.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse

from recsys.arrays import Float64Array, Int64Array
from recsys.features.encoder import EncodedTable
from recsys.fraud.embedding.autoencoder import InputColumns
from recsys.fraud.embedding.observed import Clusters, Observed
from recsys.fraud.fitting.train import fit_clusters
from recsys.fraud.model import FraudModel

_BLOCK_ROWS = 1 << 14
_SAMPLE_ROWS = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalComponents:
    """A linear autoencoder of the same columns: V one-hot and numeric ones, D components."""

    model: FraudModel
    mean: Float64Array
    components: Float64Array
    clusters: Clusters

    @classmethod
    def fit(cls, model: FraudModel, table: pa.Table) -> PrincipalComponents:
        """Eigenvectors of the covariance of some rows.

        Args:
            model: Has the columns, and the width of the embedding.
            table: Rows to fit on.
        """
        rng = np.random.default_rng(model.config.seed)
        chosen = np.sort(rng.permutation(table.num_rows)[:_SAMPLE_ROWS])
        encoded = model.inputs.encode(table.take(pa.array(chosen))).columns
        x_NV = one_hot(encoded, model.autoencoder.inputs)
        mean_V = np.asarray(x_NV.mean(axis=0)).ravel()
        covariance_VV = (x_NV.T @ x_NV).toarray() / len(chosen) - np.outer(mean_V, mean_V)
        _, vectors_VV = np.linalg.eigh(covariance_VV)
        width = model.autoencoder.config.embedding_dim
        components_VD = vectors_VV[:, ::-1][:, :width].copy()
        embedding_ND = np.asarray(x_NV @ components_VD - mean_V @ components_VD, dtype=np.float32)
        return cls(
            model=model,
            mean=mean_V,
            components=components_VD,
            clusters=fit_clusters(embedding_ND, model.config),
        )

    def observe(self, table: pa.Table) -> Observed:
        """As the model does it, with these components in place of the embedding."""
        coded = self.model.inputs.encode(table)
        columns = self.model.autoencoder.inputs
        embedding, errors = [], []
        for start in range(0, table.num_rows, _BLOCK_ROWS):
            block = coded.columns.take(
                torch.arange(start, min(start + _BLOCK_ROWS, table.num_rows))
            )
            centred_BV = one_hot(block, columns).toarray() - self.mean
            embedding_BD = centred_BV @ self.components
            squared_BV = np.square(centred_BV - embedding_BD @ self.components.T)
            embedding.append(embedding_BD.astype(np.float32))
            errors.append(np.stack([squared_BV[:, part].sum(1) for part in parts(columns)], axis=1))
        embedding_ND = np.concatenate(embedding)
        return Observed(
            coded=coded,
            embedding=embedding_ND,
            log_density=self.clusters.log_densities(embedding_ND),
            reconstruction=np.concatenate(errors).astype(np.float32),
        )


def one_hot(encoded: EncodedTable, columns: InputColumns) -> sparse.csr_matrix:
    """A column a code, then the numeric ones. Shape (N, V)."""
    sizes = np.array([0, *columns.categorical.values()])
    places_NC = encoded.categorical.numpy() + sizes.cumsum()[:-1]
    num_rows, num_columns = places_NC.shape
    codes_NV = sparse.csr_matrix(
        (
            np.ones(places_NC.size),
            places_NC.ravel(),
            np.arange(num_rows + 1) * num_columns,
        ),
        shape=(num_rows, sizes.sum()),
    )
    return sparse.hstack([codes_NV, sparse.csr_matrix(encoded.numeric.double().numpy())]).tocsr()


def parts(columns: InputColumns) -> list[Int64Array]:
    """Columns of `one_hot` of each column to reconstruct."""
    starts = np.cumsum([0, *columns.categorical.values()])
    return [
        np.arange(starts[target.number], starts[target.number] + target.num_codes)
        if target.num_codes
        else starts[-1:] + target.number
        for target in columns.located()
    ]
