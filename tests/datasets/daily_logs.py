"""Regular logs of days, and what can be wrong with the newest of them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.checks.daily import day_numbers
from recsys.datasets.checks.input_checks import Finding, InputChecksConfig, check_newest_day
from recsys.datasets.origin import Origin
from recsys.schema import ACCOUNT_ID, AMOUNT, CURRENCY, EVENT_TIME, EVENT_TIME_TYPE

START = date(2024, 1, 1)
"""A Monday."""
WEEK = (1.0, 1.0, 1.0, 1.05, 1.2, 1.3, 0.7)
"""Rows of each weekday, beside those of a Monday."""
CLOSED_SUNDAYS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)

_EPOCH = date(1970, 1, 1)
_US_PER_DAY = 86_400_000_000


def regular_log(
    num_rows: int, num_days: int, *, seed: int, week: tuple[float, ...] = WEEK
) -> pa.Table:
    """A log with Poisson counts, accounts that come and go, and amounts in two currencies.

    Args:
        num_rows: Mean rows of a Monday.
        num_days: Days from the first to the last.
        seed: Seed of everything.
        week: Rows of each weekday, beside `num_rows`.
    """
    rng = np.random.default_rng(seed)
    counts = rng.poisson([num_rows * week[day % 7] for day in range(num_days)])
    days = np.repeat(np.arange(num_days), counts)
    total = len(days)
    times = (days + (START - _EPOCH).days) * _US_PER_DAY + rng.integers(0, _US_PER_DAY, total)
    # Accounts live on: some thousandth of the rows are of somebody new.
    known = max(5, num_rows // 2)
    accounts = np.where(
        rng.random(total) < 0.005, known + np.arange(total), rng.integers(0, known, total)
    )
    is_euro = rng.random(total) < 0.6
    amounts = np.exp(rng.normal(np.where(is_euro, 3.0, 7.0), 1.1))
    return pa.table(
        {
            ACCOUNT_ID: pa.array(accounts).cast(pa.string()),
            EVENT_TIME: pa.array(times).cast(EVENT_TIME_TYPE),
            AMOUNT: np.round(amounts, 2),
            CURRENCY: np.where(is_euro, "EUR", "JPY"),
        }
    )


def last_day(num_days: int) -> date:
    """The last day of a log."""
    return START + timedelta(days=num_days - 1)


def with_last_day(table: pa.Table, day: date, rows: pa.Table) -> pa.Table:
    """The log with other rows on a day, its last."""
    return pa.concat_tables([before(table, day), rows])


def before(table: pa.Table, day: date) -> pa.Table:
    """Rows before a day."""
    return table.filter(pa.array(day_numbers(table) < (day - _EPOCH).days))


def of_day(table: pa.Table, day: date) -> pa.Table:
    """Rows of a day."""
    return table.filter(pa.array(day_numbers(table) == (day - _EPOCH).days))


def replaced(table: pa.Table, name: str, values: object) -> pa.Table:
    """A table with another column of that name."""
    return table.set_column(table.column_names.index(name), name, values)


def times(table: pa.Table, factor: float, is_meant: object) -> pa.Table:
    """Amounts times a factor where it is meant."""
    return replaced(
        table, AMOUNT, pc.if_else(is_meant, pc.multiply(table[AMOUNT], factor), table[AMOUNT])
    )


def findings(table: pa.Table, day: date, config: InputChecksConfig | None = None) -> list[Finding]:
    """What the gates find of a day."""
    terms = [name for name in (ACCOUNT_ID, CURRENCY) if name in table.column_names]
    return check_newest_day(
        table, day, config or InputChecksConfig(), terms=terms,
        origin=lambda name: Origin(file="log.parquet", column=name),
    )  # fmt: skip


def held(table: pa.Table, day: date, config: InputChecksConfig | None = None) -> dict[str, str]:
    """Rules that hold a day, and the column that each names."""
    return {
        one.error.rule: one.error.column
        for one in findings(table, day, config)
        if one.error is not None
    }
