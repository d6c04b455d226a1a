"""What goes into the pass over transactions and what comes out, as named tuples of arrays.

Named tuples are what numba takes apart at no cost.

Shapes: N transactions, A accounts, M counterparties, S state values of an account, C contexts,
G peer groups, H hours of a day, K clusters of embeddings, J kinds of evidence, V velocities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

OWN_EVIDENCE = ("amount_high", "amount_low", "hour", "category", "new_counterparty")
"""Kinds that speak of one aspect of one transaction. Only they say whether a neighbour is unusual:
the count of an hour is shared by neighbours, unusual or not, and an aspect that several kinds of
evidence measure would count as often."""

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
"""Kinds that a transaction shares with its neighbours. The booster must not know them: it learns
what the neighbours are, and a count tells how many they are, fraud or not."""

NUM_HOURS = 24
NUM_VELOCITIES = 3
NUM_COUNTS = 2
"""The velocities that are counts come first: a short one and a long one."""
PENDING_VALUES = 6 + NUM_VELOCITIES
"""Day, context, hour, log amount, cluster, whether the counterparty is new, velocities."""
SKETCH_BITS = 512
"""Bits that tell which counterparties an account has met; two of them may share a bit."""
COUNTERPARTY_VALUES = 6
"""Count, mean and squared deviations of the log amount; events and excess, both decayed, of other
accounts than the last; and the excess that came last."""
NUM_POPULATION_SUMS = 3
"""Sums of `Population` over counts: weights, what was counted and what was expected."""
NUM_EXCESS_SUMS = 3
"""Sums of `Population` over excess: events, their excess and its square."""

Floats = npt.NDArray[np.float32]
Days = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Sketches = npt.NDArray[np.uint64]


class Rows(NamedTuple):
    """Transactions in the order of time, as numbers."""

    account: Codes
    """Place of the account in the state. Shape (N,)."""
    counterparty: Codes
    """Place of the counterparty in the state, -1 where there is none. Shape (N,)."""
    bit: Codes
    """Bit of the counterparty in the sketches. Shape (N,)."""
    day: Days
    """Time in days since 1970. Shape (N,)."""
    hour: Codes
    """Hour of the day. Shape (N,)."""
    context: Codes
    """Code of the context. Shape (N,)."""
    amount: Floats
    """Log amount. Shape (N,)."""
    log_density: Floats
    """Log density of the embedding under each cluster. Shape (N, K)."""


class Layout(NamedTuple):
    """Where each value of an account lies among its S state values."""

    num_known: int
    """Transactions it has learnt from."""
    num_new: int
    """Those among them with a counterparty that was new."""
    num_refused: int
    """Transactions that it has not learnt from, one a day at most, less a tenth of the others."""
    refused_since: int
    """Day of the first of them."""
    pending: int
    """The last transaction that was refused, until it is known to stand alone: P values."""
    velocity: int
    """Decayed count of an hour, decayed count and amount of a day: V values."""
    velocity_mean: int
    """Mean of the logs of these values, less how busy everybody was."""
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
        "num_refused": 1,
        "refused_since": 1,
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
    """What holds for peer groups; accounts are shrunk towards it."""

    amount_mean: Floats
    """Mean log amount. Shape (G, C)."""
    amount_var: Floats
    """Its variance. Shape (G, C)."""
    context: Floats
    """Share of each context. Shape (G, C)."""
    hour: Floats
    """Share of each hour in each context. Shape (G, C, H)."""
    hour_of_peer: Floats
    """Share of each hour. Shape (G, H)."""
    cluster: Floats
    """Share of each cluster. Shape (G, K)."""
    velocity_mean: Floats
    """Mean of the log velocities. Shape (V,)."""
    velocity_var: Floats
    """Their variances. Shape (V,)."""
    new_share: float
    """Share of transactions with a counterparty that was new to the account."""
    strength: float
    """Transactions that the prior counts for."""


class Excess(NamedTuple):
    """How evidence becomes excess: weighted nats beyond its 95th percentile."""

    threshold: Floats
    """95th percentile of each kind of evidence. Shape (J,)."""
    rate: Floats
    """Weighted nats that one unit beyond it is worth. Shape (J,)."""
    limit: float
    """Sum of excess beyond which an account does not learn from a transaction."""
    mean: float
    """Mean of the capped excess of a transaction."""
    variance: float
    """Its variance."""


class Counterparties(NamedTuple):
    """State of counterparties."""

    values: Floats
    """Shape (M, COUNTERPARTY_VALUES)."""
    day: Days
    """Day of the last event, -inf before the first. Shape (M,)."""
    last_account: Codes
    """The account whose excess was added last, -1 before the first. Shape (M,)."""


class Accounts(NamedTuple):
    """State of accounts."""

    values: Floats
    """Shape (A, S)."""
    day: Days
    """Day of the last transaction, -inf before the first. Shape (A,)."""
    sketch: Sketches
    """Bits of the counterparties that each account has met. Shape (A, SKETCH_BITS / 64)."""


class Population(NamedTuple):
    """How busy all accounts are of late, beside what each is used to, and how unusual they are."""

    recent: Days
    """Decayed sums over the last transactions: of weights, of the account's count before, and of
    the count that was expected. Shape (2, 3)."""
    long_run: Days
    """The same over months. Shape (2, 3)."""
    day: Days
    """Day of the last transaction, -inf before the first. Shape (1,)."""
    factor: Days
    """How many times as busy as in the long run all accounts are. Shape (2,)."""
    excess: Days
    """Decayed sums over what all counterparties have counted: events, their excess and its square.
    Shape (NUM_EXCESS_SUMS,)."""


class Passed(NamedTuple):
    """What the pass writes down for each transaction."""

    evidence: Floats
    """Shape (N, J)."""
    excess: Floats
    """Sum of excess over all evidence of the pass. Shape (N,)."""
    num_known: Floats
    """Transactions that the account had learnt from before. Shape (N,)."""
    expected_mean: Floats
    """Mean log amount that the account was expected to pay. Shape (N,)."""
    expected_var: Floats
    """Its variance. Shape (N,)."""
    peer: npt.NDArray[np.int16]
    """Peer group that the account was compared with. Shape (N,)."""


def empty_passed(num_rows: int) -> Passed:
    """Room for what the pass writes down."""
    numbers = np.zeros((4, num_rows), dtype=np.float32)
    return Passed(
        evidence=np.zeros((num_rows, len(EVIDENCE)), dtype=np.float32),
        excess=numbers[0],
        num_known=numbers[1],
        expected_mean=numbers[2],
        expected_var=numbers[3],
        peer=np.zeros(num_rows, dtype=np.int16),
    )
