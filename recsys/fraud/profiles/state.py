"""The state of accounts and counterparties between two passes, how it grows and is stored.

Shapes: N transactions, A accounts, M counterparties, S state values of an account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.arrays import Float32Array, Float64Array
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.embedding.inputs import SKETCH_BITS
from recsys.fraud.profiles.arrays import (
    COUNTERPARTY_VALUES,
    NUM_COUNTS,
    NUM_EXCESS_SUMS,
    NUM_POPULATION_SUMS,
    Accounts,
    Counterparties,
    Population,
)

Arrays = Mapping[str, npt.NDArray[Any]]

NUM_CUMULATIVE = 2
"""Number of cumulative scores of an account: one over a day and one over two weeks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ProfileState:
    """What is known of accounts and counterparties up to a moment.

    `pass_over` changes the arrays in place; call `copy` first to keep the state.
    """

    account_ids: Vocabulary
    """Accounts in the order of the state."""
    counterparty_ids: Vocabulary
    """Counterparties in the order of the state."""
    accounts: Accounts
    """Profiles of the accounts."""
    counterparties: Counterparties
    """Profiles of the counterparties."""
    population: Population
    """How busy all accounts are, and how unusual."""
    cumulative_score: Float32Array
    """Decayed past excess of each account, as of `cumulative_day`. Shape (A, NUM_CUMULATIVE)."""
    cumulative_day: Float64Array
    """Day of the transaction that was added last, -inf before the first. Shape (A,)."""
    recent: pa.Table | None = None
    """Recent transactions, for models that look at labels (see `memory.RecentTransactions`)."""
    alert_memory: pa.Table | None = None
    """Accounts tested on the nights before (see `alert_memory.AlertMemory`)."""
    until: float
    """Days since 1970 up to which transactions were seen; earlier ones can no longer be added."""

    def copy(self) -> ProfileState:
        """A copy that shares no arrays."""
        return ProfileState(
            account_ids=self.account_ids,
            counterparty_ids=self.counterparty_ids,
            accounts=Accounts._make(array.copy() for array in self.accounts),
            counterparties=Counterparties._make(array.copy() for array in self.counterparties),
            population=Population._make(array.copy() for array in self.population),
            cumulative_score=self.cumulative_score.copy(),
            cumulative_day=self.cumulative_day.copy(),
            recent=self.recent,
            alert_memory=self.alert_memory,
            until=self.until,
        )

    def grown(
        self, account_ids: pa.ChunkedArray, counterparty_ids: pa.ChunkedArray | None
    ) -> ProfileState:
        """A copy with room for accounts and counterparties that are new."""
        accounts = extended(self.account_ids, account_ids)
        counterparties = (
            self.counterparty_ids
            if counterparty_ids is None
            else extended(self.counterparty_ids, counterparty_ids)
        )
        num_values = self.accounts.values.shape[1]
        fresh = empty_state(accounts, counterparties, num_values=num_values, until=self.until)
        fresh = replace(fresh, recent=self.recent, alert_memory=self.alert_memory)
        old_arrays, new_arrays = self.arrays(), fresh.arrays()
        for name, array in new_arrays.items():
            array[: len(old_arrays[name])] = old_arrays[name]
        return fresh

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything but the ids, by stored name; `from_arrays` reads it back."""
        named = {f"account_{name}": array for name, array in self.accounts._asdict().items()}
        named |= {
            f"counterparty_{name}": array for name, array in self.counterparties._asdict().items()
        }
        named |= {f"population_{name}": array for name, array in self.population._asdict().items()}
        alone = {
            "heat": self.cumulative_score,
            "heat_day": self.cumulative_day,
            "until": np.array([self.until]),
        }
        return {**named, **alone}


def from_arrays(
    account_ids: Vocabulary,
    counterparty_ids: Vocabulary,
    arrays: Arrays,
    recent: pa.Table | None = None,
    alert_memory: pa.Table | None = None,
) -> ProfileState:
    """The state that `ProfileState.arrays` was taken from."""

    def part(prefix: str, fields: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        return [np.array(arrays[f"{prefix}_{name}"]) for name in fields]

    return ProfileState(
        account_ids=account_ids,
        counterparty_ids=counterparty_ids,
        accounts=Accounts(*part("account", Accounts._fields)),
        counterparties=Counterparties(*part("counterparty", Counterparties._fields)),
        population=Population(*part("population", Population._fields)),
        cumulative_score=np.array(arrays["heat"]),
        cumulative_day=np.array(arrays["heat_day"]),
        recent=recent,
        alert_memory=alert_memory,
        until=float(arrays["until"][0]),
    )


def empty_state(
    account_ids: Vocabulary, counterparty_ids: Vocabulary, *, num_values: int, until: float
) -> ProfileState:
    """The state before any transaction."""
    num_accounts, num_counterparties = len(account_ids), len(counterparty_ids)
    return ProfileState(
        account_ids=account_ids,
        counterparty_ids=counterparty_ids,
        accounts=Accounts(
            values=np.zeros((num_accounts, num_values), dtype=np.float32),
            day=np.full(num_accounts, -np.inf),
            sketch=np.zeros((num_accounts, SKETCH_BITS // 64), dtype=np.uint64),
        ),
        counterparties=Counterparties(
            values=np.zeros((num_counterparties, COUNTERPARTY_VALUES), dtype=np.float32),
            day=np.full(num_counterparties, -np.inf),
            last_account=np.full(num_counterparties, -1, dtype=np.int64),
        ),
        population=empty_population(),
        cumulative_score=np.zeros((num_accounts, NUM_CUMULATIVE), dtype=np.float32),
        cumulative_day=np.full(num_accounts, -np.inf),
        until=until,
    )


def empty_population() -> Population:
    """The population before any transaction: all factors are 1 and all sums 0."""
    return Population(
        recent=np.zeros((NUM_COUNTS, NUM_POPULATION_SUMS)),
        long_run=np.zeros((NUM_COUNTS, NUM_POPULATION_SUMS)),
        day=np.full(1, -np.inf),
        factor=np.ones(NUM_COUNTS),
        excess=np.zeros(NUM_EXCESS_SUMS),
    )


def extended(known: Vocabulary, column: pa.ChunkedArray) -> Vocabulary:
    """The known terms in their order, then those of a column that are new, ascending."""
    seen = Vocabulary.fit(column)
    new = seen.terms.filter(pa.array(known.numbers(seen.terms) < 0))
    return known if len(new) == 0 else Vocabulary(pa.concat_arrays([known.terms, new]))
