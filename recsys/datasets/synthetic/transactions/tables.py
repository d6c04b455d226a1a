"""Tables from the numbers of a simulated log.

Shapes: N transactions, A accounts.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int64Array
from recsys.datasets.synthetic.transactions.behaviour import Rows
from recsys.datasets.synthetic.transactions.personas import (
    CATEGORIES,
    CHANNELS,
    COUNTRIES,
    PERSONAS,
)
from recsys.datasets.synthetic.transactions.world import World
from recsys.schema import (
    ACCOUNT_ID,
    AMOUNT,
    COUNTERPARTY_ID,
    EVENT_TIME,
    EVENT_TIME_TYPE,
    IS_FRAUD,
    TRANSACTION_ID,
)


def transactions_table(
    rows: Rows,
    world: World,
    *,
    start: date,
    id_prefix: str,
    plant_kinds: pa.Array,
) -> pa.Table:
    """Transactions with their ids, numbered in the order of the rows.

    Args:
        rows: The transactions.
        world: Their accounts and merchants.
        start: The first day of the log.
        id_prefix: What ids begin with.
        plant_kinds: Kind of the plant of each row that is fraud, null in the other ones.
    """
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    start_us = int(midnight.timestamp()) * 10**6
    category_N = world.categories[rows.merchants]
    columns = {
        TRANSACTION_ID: transaction_ids(id_prefix, len(rows)),
        ACCOUNT_ID: account_ids(rows.accounts),
        EVENT_TIME: pa.array(start_us + rows.times_us).cast(EVENT_TIME_TYPE),
        AMOUNT: pa.array(rows.amounts),
        COUNTERPARTY_ID: merchant_ids(rows.merchants),
        "category": _names([category.name for category in CATEGORIES], category_N),
        "channel": _names(CHANNELS, rows.channels),
        "country": _names(COUNTRIES, world.countries[rows.merchants]),
        "age": pa.array(world.ages[rows.accounts]),
        IS_FRAUD: pc.is_valid(plant_kinds),
        "plant": plant_kinds,
    }
    return pa.table(columns)


def accounts_table(world: World) -> pa.Table:
    """The accounts with what is behind them, in the order of their numbers."""
    return pa.table(
        {
            ACCOUNT_ID: account_ids(np.arange(len(world.personas))),
            "persona": _names([persona.name for persona in PERSONAS], world.personas),
            "age": pa.array(world.ages),
            "opened_day": pa.array(world.opened_days),
        }
    )


def transaction_ids(prefix: str, num_rows: int) -> pa.Array:
    """Ids of transactions, numbered from 0, of one width.

    Examples:
        >>> transaction_ids("t", 2).to_pylist()
        ['t000000', 't000001']
    """
    return _ids(prefix, np.arange(num_rows), num_digits=max(6, len(str(num_rows))))


def account_ids(numbers: Int64Array | list[int]) -> pa.Array:
    """Ids of accounts by number."""
    return _ids("a", numbers, num_digits=4)


def merchant_ids(numbers: Int64Array | list[int]) -> pa.Array:
    """Ids of merchants by number."""
    return _ids("m", numbers, num_digits=4)


def _ids(prefix: str, numbers: Int64Array | list[int], *, num_digits: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=num_digits, padding="0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _names(names: list[str] | tuple[str, ...], numbers_N: Int64Array) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(numbers_N))
