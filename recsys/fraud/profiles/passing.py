"""Transactions through the pass: from coded rows and a state to evidence and a later state.

Shapes: N transactions, K clusters of embeddings, D width of an embedding.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recsys.compiled import compiled
from recsys.fraud.inputs import CodedTransactions
from recsys.fraud.profiles.arrays import (
    Excess,
    Floats,
    Layout,
    Passed,
    Priors,
    Rows,
    empty_passed,
)
from recsys.fraud.profiles.kernel import advance
from recsys.fraud.profiles.state import ProfileState
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID


def rows_of(
    table: pa.Table, coded: CodedTransactions, log_density_NK: Floats, state: ProfileState
) -> Rows:
    """Transactions as the pass takes them.

    Args:
        table: Transactions in the order of time.
        coded: Their numbers.
        log_density_NK: Log densities of their embeddings.
        state: A state that holds all of their accounts and counterparties (see `grown`).
    """
    counterparty_N = np.full(table.num_rows, -1, dtype=np.int64)
    if COUNTERPARTY_ID in table.column_names:
        counterparty_N = state.counterparty_ids.numbers(table[COUNTERPARTY_ID])
    return Rows(
        account=state.account_ids.numbers(table[ACCOUNT_ID]),
        counterparty=counterparty_N,
        bit=coded.bit,
        day=coded.day,
        hour=coded.hour,
        context=coded.context,
        amount=coded.amount,
        log_density=log_density_NK,
    )


def pass_over(
    rows: Rows, state: ProfileState, layout: Layout, priors: Priors, excess: Excess
) -> Passed:
    """Measure transactions one after the other; the state moves on in place."""
    out = empty_passed(len(rows.account))
    advance(
        rows, state.accounts, state.counterparties, state.population, layout, priors, excess, out
    )
    return out


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
    for row in range(num_rows):
        for cluster in range(num_clusters):
            distance = 0.0
            for dim in range(embedding_ND.shape[1]):
                gap = embedding_ND[row, dim] - centre_KD[cluster, dim]
                distance += gap * gap * precision_KD[cluster, dim]
            density_NK[row, cluster] = log_norm_K[cluster] - 0.5 * distance
    return density_NK
