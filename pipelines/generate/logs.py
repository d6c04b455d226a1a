"""Writes generated logs: tables and a config as users have them, and the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.datasets.synthetic.transactions import Plant, PlantKind, synthetic_transactions
from recsys.datasets.synthetic.transactions.planting import LONGEST_DAYS
from recsys.errors import ConfigError
from recsys.files import PRIVATE_FOLDER
from recsys.schema import IS_FRAUD, TRANSACTION_ID

_SHOP = """\
# A generated log: users prefer the items of their own cluster.

[data]
interactions = "interactions.parquet"
users = "users.parquet"
items = "items.parquet"

[features.users]
segment = "categorical"
age = "numeric"

[features.items]
category = "categorical"
tags = "multi_hot"
price = "numeric"
vector = "dense"
"""
_BANK = """\
# A generated log with planted fraud. labels.parquet is here to measure by: nobody has labels on the
# same day. plants.parquet says what was planted, where and when.

[data]
transactions = "transactions.parquet"
# labels = "labels.parquet"   # learn from labels too, each from [labels] delay_days on

[columns]
counterparty_id = "counterparty_id"

[features]
category = "categorical"
channel = "categorical"
country = "categorical"
age = "numeric"

[alerts]
alert_budget = 5   # accounts a day
"""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was generated."""

    config: Path
    """The config of the tables."""
    num_rows: int
    """Rows of the log."""
    trained_until: date | None
    """The last day before the first fraud; None for interactions."""
    last_day: date | None
    """The last day of the log."""


def generate_shop(
    out: Path, *, num_users: int, num_items: int, num_interactions: int, num_days: int, seed: int
) -> Generated:
    """Write a log of interactions, its users and items, and a config.

    Raises:
        ConfigError: Sizes that make no log, or a folder that holds something.
    """
    log = generate_interactions(
        num_users=num_users, num_items=num_items, num_interactions=num_interactions,
        num_clusters=min(10, num_items), num_days=num_days, seed=seed,
    ).dataset  # fmt: skip
    tables = {"interactions": log.interactions, "users": log.users, "items": log.items}
    config = _write(out, tables, "shop.toml", _SHOP)
    return Generated(
        config=config, num_rows=log.interactions.num_rows, trained_until=None, last_day=None
    )


def generate_bank(
    out: Path, *, num_accounts: int, num_days: int, num_plants: int, start: date, seed: int
) -> Generated:
    """Write transactions with planted fraud, their labels, what was planted, and a config.

    All fraud is in the last third of the days, so that there are days before it to learn from.

    Raises:
        ConfigError: Sizes that make no log, or a folder that holds something.
    """
    first_day = num_days - num_days // 3
    plants = _plants(num_plants, first_day, num_days, seed=seed)
    log = synthetic_transactions(
        num_accounts=num_accounts, num_days=num_days, seed=seed, start=start, planted=plants
    )
    truth = pa.table(
        {
            "kind": pa.array([one.kind for one in log.plants], pa.string()),
            "account_id": pa.array([one.account_id for one in log.plants], pa.string()),
            "counterparty_id": pa.array([one.counterparty_id for one in log.plants], pa.string()),
            "first_day": pa.array(
                [start + timedelta(days=one.first_day) for one in log.plants], pa.date32()
            ),
            "num_days": pa.array([one.num_days for one in log.plants], pa.int64()),
            "num_transactions": pa.array(
                [len(one.transaction_ids) for one in log.plants], pa.int64()
            ),
        }
    )
    tables = {
        "transactions": log.table.drop_columns([IS_FRAUD, "plant"]),
        "labels": log.table.select([TRANSACTION_ID, IS_FRAUD]),
        "plants": truth,
    }
    return Generated(
        config=_write(out, tables, "bank.toml", _BANK),
        num_rows=log.table.num_rows,
        trained_until=start + timedelta(days=first_day - 1),
        last_day=start + timedelta(days=num_days - 1),
    )


def _plants(num_plants: int, first_day: int, num_days: int, *, seed: int) -> list[Plant]:
    """Plants of each kind in turn, but for kinds that take more days than there are."""
    rng = np.random.default_rng(seed)
    kinds: list[PlantKind] = [
        kind for kind, longest in LONGEST_DAYS.items() if first_day + longest <= num_days
    ]
    if num_plants and not kinds:
        raise ConfigError(
            f"--days: expected at least 3 days for planted fraud, got {num_days}; lengthen the log "
            "or set --plants 0"
        )
    chosen = [kinds[number % len(kinds)] for number in range(num_plants)]
    return [
        Plant(kind=kind, day=int(rng.integers(first_day, num_days - LONGEST_DAYS[kind] + 1)))
        for kind in chosen
    ]


def _write(out: Path, tables: Mapping[str, pa.Table | None], config_name: str, config: str) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out}: expected a new or an empty folder, got one that holds something; "
            "choose another --out"
        )
    out.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    for name, table in tables.items():
        if table is not None:
            pq.write_table(table, out / f"{name}.parquet")
    path = out / config_name
    path.write_text(config, encoding="utf-8")
    return path
