"""Peer groups: accounts that behave alike, and what holds for each group.

An account's own estimate is shrunk towards that of its group, a group's towards that of everyone.

Shapes: N transactions, A accounts, G peer groups, C contexts, H hours, K clusters.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from recsys.arrays import Float32Array, Float64Array, FloatArray, Int64Array
from recsys.fraud.profiles.arrays import NUM_HOURS, Priors
from recsys.fraud.profiles.shrinkage import shrunk_moments

_ACCOUNTS_PER_GROUP_ROOT = 10
_MAX_GROUPS = 16
_SHARES_WEIGHT = 3.0  # of the shares of contexts and hours, relative to the levels of amounts


def num_peer_groups(num_accounts: int) -> int:
    """Number of groups for a number of accounts: the root of a tenth of them, from 1 to 16."""
    return int(np.clip(round((num_accounts / _ACCOUNTS_PER_GROUP_ROOT) ** 0.5), 1, _MAX_GROUPS))


def find_peer_groups(
    account_N: Int64Array,
    context_N: Int64Array,
    hour_N: Int64Array,
    amount_N: Float32Array,
    *,
    num_accounts: int,
    num_contexts: int,
    seed: int,
) -> Int64Array:
    """A group for each account, by k-means over what it buys, when, and at what level.

    Shares enter as their square roots, so that their distance is that of Hellinger.

    Returns:
        Shape (A,).
    """
    num_groups = num_peer_groups(num_accounts)
    if num_groups == 1:
        return np.zeros(num_accounts, dtype=np.int64)
    place_N = account_N * num_contexts + context_N
    counts_AC = _table(place_N, None, num_accounts, num_contexts)
    sums_AC = _table(place_N, amount_N, num_accounts, num_contexts)
    usual_C = sums_AC.sum(0) / np.maximum(counts_AC.sum(0), 1)
    levels_AC = (sums_AC + 5 * usual_C) / (counts_AC + 5) - usual_C
    hours_AH = _table(account_N * NUM_HOURS + hour_N, None, num_accounts, NUM_HOURS)
    vectors = np.hstack(
        [_SHARES_WEIGHT * _roots(counts_AC), levels_AC, _SHARES_WEIGHT * _roots(hours_AH)]
    )
    model = KMeans(num_groups, n_init=5, random_state=seed).fit(vectors)
    # The largest group comes first: it is the default of an account without history.
    found_A = np.asarray(model.labels_, dtype=np.int64)
    size_G = np.bincount(found_A, np.bincount(account_N, minlength=num_accounts), num_groups)
    place_G = np.empty(num_groups, dtype=np.int64)
    place_G[np.argsort(-size_G, kind="stable")] = np.arange(num_groups)
    return place_G[found_A]


def fit_priors(
    group_N: Int64Array,
    context_N: Int64Array,
    hour_N: Int64Array,
    amount_N: Float32Array,
    cluster_N: Int64Array,
    *,
    num_groups: int,
    num_contexts: int,
    num_clusters: int,
    strength: float,
) -> Priors:
    """Averages of each group, from its accounts' transactions.

    Velocities get a vague prior, since they are known only after a first pass.

    Args:
        group_N: Group of each transaction's account.
        context_N: Context of each transaction.
        hour_N: Hour of each transaction.
        amount_N: Its log amount.
        cluster_N: Cluster of its embedding.
        num_groups: G.
        num_contexts: C.
        num_clusters: K.
        strength: Weight of the more general level, as a number of transactions.
    """
    mean_GC, var_GC = _amounts(group_N, context_N, amount_N, num_groups, num_contexts, strength)
    place_N = group_N * num_contexts + context_N
    hour_H = _shares(_table(hour_N, None, 1, NUM_HOURS), np.full(NUM_HOURS, 1 / NUM_HOURS), 24.0)
    hour_CH = _shares(
        _table(context_N * NUM_HOURS + hour_N, None, num_contexts, NUM_HOURS), hour_H, strength
    )
    hour_GCH = _shares(
        _table(place_N * NUM_HOURS + hour_N, None, num_groups * num_contexts, NUM_HOURS),
        np.tile(hour_CH, (num_groups, 1)),
        strength,
    )
    hours_GH = _table(group_N * NUM_HOURS + hour_N, None, num_groups, NUM_HOURS)
    context_GC = _shares_of_groups(group_N, context_N, num_groups, num_contexts, strength)
    cluster_GK = _shares_of_groups(group_N, cluster_N, num_groups, num_clusters, strength)
    return Priors(
        amount_mean=_narrow(mean_GC),
        amount_var=_narrow(var_GC),
        context=_narrow(context_GC),
        hour=_narrow(hour_GCH.reshape(num_groups, num_contexts, NUM_HOURS)),
        hour_of_peer=_narrow(_shares(hours_GH, hour_H, strength)),
        cluster=_narrow(cluster_GK),
        velocity_mean=np.zeros(3, dtype=np.float32),
        velocity_var=np.ones(3, dtype=np.float32),
        new_share=0.2,
        strength=strength,
    )


def _amounts(
    group_N: Int64Array,
    context_N: Int64Array,
    amount_N: Float32Array,
    num_groups: int,
    num_contexts: int,
    strength: float,
) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of log amounts by group and context, shrunk in two steps."""
    everyone_C = np.full(num_contexts, amount_N.mean(dtype=np.float64))
    prior_var_C = np.full(num_contexts, amount_N.var(dtype=np.float64) + 1e-3)
    mean_C, var_C = shrunk_moments(context_N, amount_N, everyone_C, prior_var_C, strength=strength)
    place_N = group_N * num_contexts + context_N
    shape = (num_groups, num_contexts)
    return shrunk_moments(
        place_N,
        amount_N,
        np.broadcast_to(mean_C, shape),
        np.broadcast_to(var_C, shape),
        strength=strength,
    )


def _shares_of_groups(
    group_N: Int64Array, code_N: Int64Array, num_groups: int, num_codes: int, strength: float
) -> Float64Array:
    everyone = _table(code_N, None, 1, num_codes)
    usual = _shares(everyone, np.full(num_codes, 1 / num_codes), float(num_codes))
    return _shares(
        _table(group_N * num_codes + code_N, None, num_groups, num_codes), usual, strength
    )


def _table(
    place_N: Int64Array, weight_N: FloatArray | None, num_rows: int, num_columns: int
) -> Float64Array:
    """Counts, or sums of weights, by place."""
    sums = np.bincount(place_N, weight_N, minlength=num_rows * num_columns)
    return sums.reshape(num_rows, num_columns).astype(np.float64)


def _shares(counts: Float64Array, usual: Float64Array, strength: float) -> Float64Array:
    """Shares of each row, shrunk towards usual ones."""
    return np.asarray(
        (counts + strength * usual) / (counts.sum(-1, keepdims=True) + strength), dtype=np.float64
    )


def _roots(counts: Float64Array) -> Float64Array:
    """Square roots of the shares of each row, with one event spread over it."""
    smooth = counts + 1 / counts.shape[1]
    return np.asarray(np.sqrt(smooth / smooth.sum(1, keepdims=True)), dtype=np.float64)


def _narrow(array: Float64Array) -> Float32Array:
    return np.ascontiguousarray(array, dtype=np.float32)
