"""Generated logs with frauds of all kinds, for the ablation of the fraud scorer."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fraud"))

from explained_log import FEATURES, FIRST_DAY, days_of, drawn_log

from recsys.arrays import BoolArray
from recsys.datasets.transactions.days import day_of
from recsys.schema import ACCOUNT_ID, IS_FRAUD

__all__ = ["FEATURES", "PlantedLog", "planted_log", "with_new_countries"]

_NUM_NEW_PLACES = 40  # accounts


@dataclass(frozen=True, kw_only=True, eq=False)
class PlantedLog:
    """A log without its truth, and the truth."""

    train: pa.Table
    """Rows before the first plant."""
    test: pa.Table
    """Rows after it."""
    is_fraud: BoolArray
    """Whether each of the latter is fraud."""
    plant: npt.NDArray[np.object_]
    """Its kind, None for the others."""


def planted_log(*, seed: int) -> PlantedLog:
    """Plants of every kind, and days in a new country."""
    log = drawn_log(seed=seed)
    num_train = int(np.searchsorted(days_of(log), FIRST_DAY))
    table = with_new_countries(log.table, num_train, seed=seed)
    visible = table.drop_columns([IS_FRAUD, "plant"])
    return PlantedLog(
        train=visible.slice(0, num_train),
        test=visible.slice(num_train),
        is_fraud=np.asarray(table[IS_FRAUD])[num_train:],
        plant=np.array(table["plant"].to_pylist(), dtype=object)[num_train:],
    )


def with_new_countries(table: pa.Table, num_train: int, *, seed: int) -> pa.Table:
    """The log, with some days of some accounts abroad: frauds of the kind "new country".

    Args:
        table: Transactions in the order of time, with `is_fraud` and `plant`.
        num_train: Rows, the first ones, that stay as they are.
        seed: Seed of who, when and where.
    """
    rng = np.random.default_rng(seed)
    changed = {name: table[name].to_numpy().copy() for name in ("country", IS_FRAUD, "plant")}
    account_N, day_N = table[ACCOUNT_ID].to_numpy(), np.floor(day_of(table))
    is_free_N = (np.arange(table.num_rows) >= num_train) & ~changed[IS_FRAUD]
    been = table.group_by(ACCOUNT_ID).aggregate([("country", "distinct")]).to_pydict()
    countries = dict(zip(been[ACCOUNT_ID], been["country_distinct"], strict=True))
    everywhere = {country for some in countries.values() for country in some}
    for account in rng.permutation(np.unique(account_N[is_free_N]))[:_NUM_NEW_PLACES]:
        days = day_N[is_free_N & (account_N == account)]
        new = sorted(everywhere - {*countries[account]})
        if new:
            chosen_N = is_free_N & (account_N == account) & (day_N == rng.choice(days))
            changed["country"][chosen_N] = rng.choice(new)
            changed[IS_FRAUD][chosen_N] = True
            changed["plant"][chosen_N] = "new_country"
    for name, values in changed.items():
        field = table.schema.field(name)
        place = table.column_names.index(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table
