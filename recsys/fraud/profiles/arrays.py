"""What goes into the pass over transactions and what comes out, as named tuples of arrays.

Named tuples, because numba unpacks them at no cost.

Shapes: N transactions, A accounts, M counterparties, S state values of an account, C contexts,
G peer groups, H hours of a day, K clusters of embeddings, J kinds of evidence, V velocities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int16Array, Int64Array, UInt64Array

OWN_EVIDENCE = ("amount_high", "amount_low", "hour", "category", "new_counterparty")
"""Kinds that measure one aspect of one transaction. Only these decide whether a neighbour is
unusual: neighbours share the count of an hour whether they are unusual or not, and an aspect
measured by several kinds of evidence would count several times."""

EVIDENCE = (
    "amount_high",
    "amount_low",
    "hour",
    "category",
    "count_1h",
    "count_1d",
    "amount_1d",
    "new_counterparty",
    "counterparty_amount",
    "counterparty_excess",
    "account_distance",
)
"""What the pass measures of a transaction, in the order of its columns."""

SHARED_EVIDENCE = ("count_1h", "count_1d", "amount_1d", "counterparty_excess")
"""Kinds that a transaction shares with its neighbours. The booster must not see them: its target is
whether the neighbours are unusual, and a count would tell it how many neighbours there are."""

NUM_HOURS = 24
NUM_VELOCITIES = 3
NUM_COUNTS = 2
"""The velocities that are counts come first: a short one and a long one."""
PENDING_VALUES = 6 + NUM_VELOCITIES
"""Day, context, hour, log amount, cluster, whether the counterparty is new, velocities."""
COUNTERPARTY_VALUES = 6
"""Count, mean and squared deviations of the log amount; events and excess, both decayed, of other
accounts than the last; and the excess that came last."""
NUM_POPULATION_SUMS = 3
"""Sums of `Population` over counts: weights, what was counted and what was expected."""
NUM_EXCESS_SUMS = 3
"""Sums of `Population` over excess: events, their excess and its square."""


class Rows(NamedTuple):
    """Transactions in the order of time, as numbers."""

    account: Int64Array
    """Place of the account in the state. Shape (N,)."""
    counterparty: Int64Array
    """Place of the counterparty in the state, -1 where there is none. Shape (N,)."""
    bit: Int64Array
    """Bit of the counterparty in the sketches. Shape (N,)."""
    day: Float64Array
    """Time in days since 1970. Shape (N,)."""
    hour: Int64Array
    """Hour of the day. Shape (N,)."""
    context: Int64Array
    """Code of the context. Shape (N,)."""
    amount: Float32Array
    """Log amount. Shape (N,)."""
    log_density: Float32Array
    """Log density of the embedding under each cluster. Shape (N, K)."""


class Layout(NamedTuple):
    """Where each value of an account lies among its S state values."""

    num_known: int
    """Transactions it has learnt from."""
    num_new: int
    """Those among them with a counterparty that was new."""
    num_excluded: int
    """Transactions excluded from the update, at most one a day, less a tenth of those that were
    learnt."""
    excluded_since: int
    """Day of the first of them."""
    pending: int
    """The last excluded transaction, until it is known that no other is near it: P values."""
    velocity: int
    """Decayed count of an hour, decayed count and amount of a day: V values."""
    velocity_mean: int
    """Mean of the logs of these values, relative to how busy all accounts were."""
    velocity_m2: int
    """Sum of their squared deviations."""
    contexts: int
    """Count, mean and squared deviations of the log amount in each context: 3 C values."""
    hours: int
    """Transactions by hour, spread a little over the neighbouring ones: H values."""
    clusters: int
    """Transactions by cluster: K values."""
    peers: int
    """Log likelihood of each peer group: G values."""
    num_values: int
    """S."""


def layout_of(*, num_contexts: int, num_clusters: int, num_peers: int) -> Layout:
    """The layout of a state, for its sizes."""
    sizes = {
        "num_known": 1,
        "num_new": 1,
        "num_excluded": 1,
        "excluded_since": 1,
        "pending": PENDING_VALUES,
        "velocity": NUM_VELOCITIES,
        "velocity_mean": NUM_VELOCITIES,
        "velocity_m2": NUM_VELOCITIES,
        "contexts": 3 * num_contexts,
        "hours": NUM_HOURS,
        "clusters": num_clusters,
        "peers": num_peers,
    }
    places, end = {}, 0
    for name, size in sizes.items():
        places[name] = end
        end += size
    return Layout(**places, num_values=end)


class Priors(NamedTuple):
    """Averages of peer groups, towards which accounts are shrunk."""

    amount_mean: Float32Array
    """Mean log amount. Shape (G, C)."""
    amount_var: Float32Array
    """Its variance. Shape (G, C)."""
    context: Float32Array
    """Share of each context. Shape (G, C)."""
    hour: Float32Array
    """Share of each hour in each context. Shape (G, C, H)."""
    hour_of_peer: Float32Array
    """Share of each hour. Shape (G, H)."""
    cluster: Float32Array
    """Share of each cluster. Shape (G, K)."""
    velocity_mean: Float32Array
    """Mean of the log velocities. Shape (V,)."""
    velocity_var: Float32Array
    """Their variances. Shape (V,)."""
    new_share: float
    """Share of transactions with a counterparty that was new to the account."""
    strength: float
    """Weight of the prior, as a number of transactions."""


class Excess(NamedTuple):
    """How evidence becomes excess: weighted nats beyond its 95th percentile."""

    threshold: Float32Array
    """95th percentile of each kind of evidence. Shape (J,)."""
    rate: Float32Array
    """Weighted nats that one unit beyond it is worth. Shape (J,)."""
    limit: float
    """Sum of excess beyond which an account does not learn from a transaction."""
    mean: float
    """Mean of the capped excess of a transaction."""
    variance: float
    """Its variance."""


class Counterparties(NamedTuple):
    """State of counterparties."""

    values: Float32Array
    """Shape (M, COUNTERPARTY_VALUES)."""
    day: Float64Array
    """Day of the last event, -inf before the first. Shape (M,)."""
    last_account: Int64Array
    """The account whose excess was added last, -1 before the first. Shape (M,)."""


class Accounts(NamedTuple):
    """State of accounts."""

    values: Float32Array
    """Shape (A, S)."""
    day: Float64Array
    """Day of the last transaction, -inf before the first. Shape (A,)."""
    sketch: UInt64Array
    """Bits of the counterparties that each account has met. Shape (A, SKETCH_BITS / 64)."""


class Population(NamedTuple):
    """How busy all accounts have been lately, relative to their habits, and how unusual."""

    recent: Float64Array
    """Decayed sums over the last transactions: of weights, of the account's count before, and of
    the count that was expected. Shape (2, 3)."""
    long_run: Float64Array
    """The same over months. Shape (2, 3)."""
    day: Float64Array
    """Day of the last transaction, -inf before the first. Shape (1,)."""
    factor: Float64Array
    """How busy all accounts are now, as a multiple of the long run. Shape (2,)."""
    excess: Float64Array
    """Decayed sums over the events of all counterparties: their number, excess and squared excess.
    Shape (NUM_EXCESS_SUMS,)."""


class Passed(NamedTuple):
    """What the pass records of each transaction."""

    evidence: Float32Array
    """Shape (N, J)."""
    excess: Float32Array
    """Sum of excess over all evidence of the pass. Shape (N,)."""
    num_known: Float32Array
    """Transactions that the account had learnt from before. Shape (N,)."""
    expected_mean: Float32Array
    """Mean log amount that the account was expected to pay. Shape (N,)."""
    expected_var: Float32Array
    """Its variance. Shape (N,)."""
    peer: Int16Array
    """Peer group that the account was compared with. Shape (N,)."""


def empty_passed(num_rows: int) -> Passed:
    """Empty arrays for what the pass records."""
    numbers = np.zeros((4, num_rows), dtype=np.float32)
    return Passed(
        evidence=np.zeros((num_rows, len(EVIDENCE)), dtype=np.float32),
        excess=numbers[0],
        num_known=numbers[1],
        expected_mean=numbers[2],
        expected_var=numbers[3],
        peer=np.zeros(num_rows, dtype=np.int16),
    )
