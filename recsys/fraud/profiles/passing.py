"""Runs the pass: from coded rows and a state to evidence and a later state.

Shapes: N transactions, K clusters of embeddings, D width of an embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Int64Array
from recsys.fraud.embedding.inputs import CodedTransactions
from recsys.fraud.profiles.arrays import Excess, Layout, Passed, Priors, Rows, empty_passed
from recsys.fraud.profiles.kernel import advance
from recsys.fraud.profiles.state import ProfileState
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID


class Numbers(NamedTuple):
    """Accounts and counterparties of transactions, by their place in the state."""

    account: Int64Array
    """Place of the account in the state. Shape (N,)."""
    counterparty: Int64Array
    """Place of the counterparty in the state, -1 where there is none. Shape (N,)."""

    def of(self, rows: slice) -> Numbers:
        """Those of some rows."""
        return Numbers(self.account[rows], self.counterparty[rows])


def numbers_of(table: pa.Table, state: ProfileState) -> Numbers:
    """Places in a state that holds all accounts and counterparties of a table (see `grown`)."""
    counterparty_N = np.full(table.num_rows, -1, dtype=np.int64)
    if COUNTERPARTY_ID in table.column_names:
        counterparty_N = state.counterparty_ids.numbers(table[COUNTERPARTY_ID])
    return Numbers(state.account_ids.numbers(table[ACCOUNT_ID]), counterparty_N)


def rows_of(numbers: Numbers, coded: CodedTransactions, log_density_NK: Float32Array) -> Rows:
    """Transactions as the pass takes them.

    Args:
        numbers: Their accounts and counterparties.
        coded: Their numbers, in the order of time.
        log_density_NK: Log densities of their embeddings.
    """
    return Rows(
        account=numbers.account,
        counterparty=numbers.counterparty,
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
    """Measure transactions one after the other; the state is updated in place."""
    out = empty_passed(len(rows.account))
    advance(
        rows, state.accounts, state.counterparties, state.population, layout, priors, excess, out
    )
    return out
