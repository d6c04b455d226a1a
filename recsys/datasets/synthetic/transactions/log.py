"""A whole log: normal transactions, the plants among them, and the truth about both.

Shapes: N transactions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from recsys.arrays import Int64Array
from recsys.datasets.synthetic.transactions.behaviour import Rows, draw_normal, joined
from recsys.datasets.synthetic.transactions.personas import CATEGORIES
from recsys.datasets.synthetic.transactions.planting import PlantedRows, Scene, draw_planted
from recsys.datasets.synthetic.transactions.plants import Plant, Planted
from recsys.datasets.synthetic.transactions.tables import (
    account_ids,
    accounts_table,
    merchant_ids,
    transaction_ids,
    transactions_table,
)
from recsys.datasets.synthetic.transactions.targets import (
    check_plants,
    draw_targets,
    find_victims,
    is_on_merchant,
)
from recsys.datasets.synthetic.transactions.world import World, draw_world
from recsys.errors import ConfigError
from recsys.schema import CURRENCY, EVENT_TIME, IS_FRAUD, TRANSACTION_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticTransactions:
    """A log of transactions and the truth behind it.

    Args:
        table: transaction_id, account_id, event_time, amount, counterparty_id, category, channel,
            country, age, currency if asked for, is_fraud and plant, sorted by event_time and
            transaction_id. `plant` is the kind of the plant where `is_fraud`, else null. Ids of
            normal transactions begin with "t" and those of planted ones with "p", the early ones
            of "slow_drift" included, which are not fraud yet.
        accounts: account_id, persona (its peer group), age and opened_day, one row an account.
        plants: What was planted, in the order asked for.
    """

    table: pa.Table
    accounts: pa.Table
    plants: tuple[Planted, ...]


def synthetic_transactions(
    *,
    num_accounts: int = 300,
    num_days: int = 90,
    seed: int = 0,
    start: date = date(2024, 1, 1),
    planted: Sequence[Plant] = (),
    transactions_per_day: float = 2.0,
    num_merchants: int = 200,
    currency: str | None = None,
) -> SyntheticTransactions:
    """Draw a log of transactions; the same arguments give the same log.

    Plants add transactions and change none: the normal ones are those of a log without plants.

    Args:
        num_accounts: Accounts; one that opens late may have no transaction.
        num_days: Days that the log spans.
        seed: Seed of every draw.
        start: The first day, UTC.
        planted: What fraud to put in.
        transactions_per_day: Mean over the accounts of how many a day they have while open.
        num_merchants: Merchants; at least one a category.
        currency: What the column `currency` holds in every row; no such column when not given.

    Raises:
        ConfigError: A size out of range, or a plant that does not fit into the log.
    """
    _check_sizes(num_accounts, num_days, seed, transactions_per_day, num_merchants)
    check_plants(planted, num_days=num_days)
    world = draw_world(
        _generator(seed, 0),
        num_accounts=num_accounts,
        num_merchants=num_merchants,
        num_days=num_days,
        transactions_per_day=transactions_per_day,
    )
    normal = draw_normal(_generator(seed, 1), world, num_days=num_days, weekday=start.weekday())
    # A generator for each plant: other plants decide only which targets are taken.
    rngs = [_generator(seed, 2, number) for number in range(len(planted))]
    targets = draw_targets(rngs, normal, planted)
    parts = [
        draw_planted(
            rng,
            Scene(
                world=world,
                normal=normal,
                num_days=num_days,
                victims=_victims(number, normal, planted, targets),
            ),
            plant,
            target,
        )
        for number, (rng, plant, target) in enumerate(zip(rngs, planted, targets, strict=True))
    ]
    table = _table(world, normal, planted, parts, start)
    if currency is not None:
        column = pa.repeat(pa.scalar(currency), table.num_rows)
        table = table.add_column(table.column_names.index(IS_FRAUD), CURRENCY, column)
    return SyntheticTransactions(
        table=table,
        accounts=accounts_table(world),
        plants=_truth(planted, targets, parts),
    )


def _generator(seed: int, *key: int) -> np.random.Generator:
    """A generator of its own for each part of the log, so that no part moves another."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _victims(
    number: int, normal: Rows, planted: Sequence[Plant], targets: Sequence[int]
) -> Int64Array:
    """Accounts that a plant on a merchant may charge; other plants need none."""
    if is_on_merchant(planted[number]):
        return find_victims(number, normal, planted, targets)
    return np.array([], dtype=np.int64)


def _table(
    world: World,
    normal: Rows,
    planted: Sequence[Plant],
    parts: Sequence[PlantedRows],
    start: date,
) -> pa.Table:
    kinds = pa.nulls(len(normal), pa.string())
    tables = [transactions_table(normal, world, start=start, id_prefix="t", plant_kinds=kinds)]
    if parts:
        rows = joined([part.rows for part in parts])
        of_parts = [_plant_kinds(plant, part) for plant, part in zip(planted, parts, strict=True)]
        kinds = pa.concat_arrays(of_parts)
        tables.append(
            transactions_table(rows, world, start=start, id_prefix="p", plant_kinds=kinds)
        )
    order = [(EVENT_TIME, "ascending"), (TRANSACTION_ID, "ascending")]
    return pa.concat_tables(tables).sort_by(order)


def _plant_kinds(plant: Plant, part: PlantedRows) -> pa.Array:
    """Kind of the plant of each row that is fraud, null in the other ones."""
    return pa.array([plant.kind] * len(part.rows), pa.string(), mask=~part.is_fraud)


def _truth(
    planted: Sequence[Plant], targets: Sequence[int], parts: Sequence[PlantedRows]
) -> tuple[Planted, ...]:
    """What was planted, with the ids that the transactions got: one number after the other."""
    ends = list(itertools.accumulate(len(part.rows) for part in parts))
    ids = transaction_ids("p", ends[-1] if ends else 0).to_pylist()
    return tuple(
        Planted(
            kind=plant.kind,
            account_id=None if is_on_merchant(plant) else account_ids([target])[0].as_py(),
            counterparty_id=merchant_ids([target])[0].as_py() if is_on_merchant(plant) else None,
            first_day=int(part.rows.days[0]),
            num_days=int(part.rows.days[-1] - part.rows.days[0]) + 1,
            transaction_ids=tuple(ids[end - len(part.rows) : end]),
        )
        for plant, target, part, end in zip(planted, targets, parts, ends, strict=True)
    )


def _check_sizes(
    num_accounts: int,
    num_days: int,
    seed: int,
    transactions_per_day: float,
    num_merchants: int,
) -> None:
    """Refuse sizes that make no log."""
    least = len(CATEGORIES)
    if (
        min(num_accounts, num_days) < 1
        or num_merchants < least
        or seed < 0
        or not 0 < transactions_per_day < math.inf
    ):
        raise ConfigError(
            "synthetic transactions: expected accounts, days and transactions a day above 0, "
            f"{least} merchants or more and a seed of at least 0, got {num_accounts} accounts, "
            f"{num_days} days, {transactions_per_day} transactions a day, {num_merchants} "
            f"merchants, seed {seed}; choose other sizes"
        )
