"""Small random inputs of the pass over transactions, without a model.

Shapes: N transactions, A accounts, M counterparties, C contexts, G peer groups, K clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.fraud.embedding.inputs import SKETCH_BITS
from recsys.fraud.profiles.arrays import (
    COUNTERPARTY_VALUES,
    EVIDENCE,
    NUM_HOURS,
    Accounts,
    Counterparties,
    Excess,
    Layout,
    Passed,
    Population,
    Priors,
    Rows,
    empty_passed,
    layout_of,
)
from recsys.fraud.profiles.kernel import advance
from recsys.fraud.profiles.state import empty_population

NUM_CONTEXTS, NUM_PEERS, NUM_CLUSTERS = 3, 2, 4


def some_layout() -> Layout:
    """The layout of the states here."""
    return layout_of(num_contexts=NUM_CONTEXTS, num_clusters=NUM_CLUSTERS, num_peers=NUM_PEERS)


def some_rows(rng: np.random.Generator, num_rows: int, *, num_accounts: int = 3) -> Rows:
    """Random transactions, some without a counterparty and some at the same time."""
    counterparty = rng.integers(-1, 6, num_rows)
    return Rows(
        account=rng.integers(0, num_accounts, num_rows),
        counterparty=counterparty,
        bit=np.maximum(counterparty, 0) * 37,
        day=19_000 + np.sort(rng.integers(0, 20 * num_rows, num_rows) / 50),
        hour=rng.integers(0, NUM_HOURS, num_rows),
        context=rng.integers(0, NUM_CONTEXTS, num_rows),
        amount=rng.normal(3, 1, num_rows).astype(np.float32),
        log_density=rng.normal(0, 2, (num_rows, NUM_CLUSTERS)).astype(np.float32),
    )


def some_priors(rng: np.random.Generator, *, strength: float = 5.0) -> Priors:
    """Random priors."""

    def shares(*shape: int) -> np.ndarray:
        drawn = rng.uniform(0.2, 1, shape)
        return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)

    def numbers(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, shape).astype(np.float32)

    return Priors(
        amount_mean=numbers(2, 4, NUM_PEERS, NUM_CONTEXTS),
        amount_var=numbers(0.5, 2, NUM_PEERS, NUM_CONTEXTS),
        context=shares(NUM_PEERS, NUM_CONTEXTS),
        hour=shares(NUM_PEERS, NUM_CONTEXTS, NUM_HOURS),
        hour_of_peer=shares(NUM_PEERS, NUM_HOURS),
        cluster=shares(NUM_PEERS, NUM_CLUSTERS),
        velocity_mean=numbers(0.5, 1.5, 3),
        velocity_var=numbers(0.2, 1, 3),
        new_share=0.3,
        strength=strength,
    )


def excess_on_amounts(*, limit: float) -> Excess:
    """Every amount more than a deviation too high is excess, nat by nat; nothing else is."""
    threshold = np.full(len(EVIDENCE), np.inf, dtype=np.float32)
    rate = np.zeros(len(EVIDENCE), dtype=np.float32)
    threshold[0], rate[0] = 1.0, 1.0
    return Excess(threshold=threshold, rate=rate, limit=limit, mean=0.1, variance=0.5)


@dataclass(frozen=True, eq=False)
class Pass:
    """A pass and the state that it leaves."""

    passed: Passed
    accounts: Accounts
    counterparties: Counterparties
    population: Population

    def evidence(self, kind: str) -> np.ndarray:
        """One kind of evidence. Shape (N,)."""
        return self.passed.evidence[:, EVIDENCE.index(kind)]


def passed_over(rows: Rows, priors: Priors, excess: Excess, *, wide: bool = False) -> Pass:
    """The pass over a log from an empty state; `wide` is the plain Python twin in float64.

    The twin calls whatever functions the module holds: the caller takes the plain ones.
    """
    num_accounts = int(rows.account.max()) + 1
    num_counterparties = int(rows.counterparty.max(initial=0)) + 1
    accounts = Accounts(
        values=np.zeros((num_accounts, some_layout().num_values), np.float64 if wide else "f4"),
        day=np.full(num_accounts, -np.inf),
        sketch=np.zeros((num_accounts, SKETCH_BITS // 64), dtype=np.uint64),
    )
    counterparties = Counterparties(
        values=np.zeros((num_counterparties, COUNTERPARTY_VALUES), np.float64 if wide else "f4"),
        day=np.full(num_counterparties, -np.inf),
        last_account=np.full(num_counterparties, -1, dtype=np.int64),
    )
    population = empty_population()
    out = empty_passed(len(rows.account))
    run = advance
    if wide:
        run = advance.py_func
        rows, priors, excess = (_widened(part) for part in (rows, priors, excess))
        out = Passed(*(array.astype(np.float64) for array in out))
    run(rows, accounts, counterparties, population, some_layout(), priors, excess, out)
    return Pass(out, accounts, counterparties, population)


def _widened(part: tuple) -> tuple:
    """The same with float64 in the place of float32."""
    return part._make(
        value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value
        for value in part
    )
