"""How often the gates hold an ordinary day of a real log, and how often a day that was spoilt.

    python benchmarks/input_checks.py --data data/raw

Days are drawn at random after the first two months (40 days of the Handbook). Each is judged as it
is, and after one thing was done to it alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.datasets.checks.daily import day_numbers
from recsys.datasets.checks.input_checks import InputChecksConfig, check_newest_day
from recsys.datasets.origin import Origin
from recsys.schema import AMOUNT, EVENT_TIME, EVENT_TIME_TYPE

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log and what of it is judged."""

    name: str
    file: str
    terms: tuple[str, ...]
    first_day: int
    """Days of history before the first judged one."""


LOGS = (
    Log(name="Sparkov", file="sparkov/transactions.parquet", first_day=60,
        terms=("account_id", "merchant_id", "category", "state")),
    Log(name="Handbook", file="handbook/transactions.parquet", first_day=40,
        terms=("account_id", "terminal_id")),
    Log(name="MovieLens-1M", file="ml-1m/interactions.parquet", first_day=60,
        terms=("user_id", "item_id")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Day:
    """A day of a log, and how it can be spoilt."""

    table: pa.Table
    day_of_row: np.ndarray
    number: int
    terms: tuple[str, ...]
    rng: np.random.Generator

    @property
    def rows(self) -> np.ndarray:
        """Places of the day's rows."""
        return np.flatnonzero(self.day_of_row == self.number)

    def volume(self, share: float) -> pa.Table:
        """A share of the day's rows, or each of them several times a moment apart."""
        others = np.flatnonzero(self.day_of_row != self.number)
        if share <= 1:
            kept = self.rng.choice(self.rows, round(share * len(self.rows)), replace=False)
            return self.table.take(pa.array(np.sort(np.concatenate([others, kept]))))
        kept = np.tile(self.rows, int(share))
        moved = self.table.take(pa.array(kept))
        times = moved[EVENT_TIME].cast(pa.int64()).to_numpy() + self.rng.integers(0, 999, len(kept))
        last = (self.number + 1) * 86_400_000_000 - 1
        column = pa.array(np.minimum(times, last), pa.int64()).cast(EVENT_TIME_TYPE)
        place = moved.column_names.index(EVENT_TIME)
        rest = self.table.take(pa.array(others))
        return pa.concat_tables([rest, moved.set_column(place, EVENT_TIME, column)])

    def amounts(self, factor: float, share: float) -> pa.Table:
        """Amounts of a share of the day's rows, times a factor."""
        amounts_N = self.table[AMOUNT].to_numpy().astype(np.float64)
        amounts_N[self.rng.choice(self.rows, int(share * len(self.rows)), replace=False)] *= factor
        return self.table.set_column(
            self.table.column_names.index(AMOUNT), AMOUNT, pa.array(amounts_N)
        )

    def other_ids(self) -> pa.Table:
        """The second term of the day's rows written as a float would be."""
        name = self.terms[1]
        ids_N = np.array(self.table[name].cast(pa.string()).to_pylist(), dtype=object)
        ids_N[self.rows] = [f"{one}.0" for one in ids_N[self.rows]]
        place = self.table.column_names.index(name)
        return self.table.set_column(place, name, pa.array(ids_N, pa.string()))

    def repeated(self) -> pa.Table:
        """A quarter of the day's rows twice."""
        again = self.rng.choice(self.rows, len(self.rows) // 4)
        return self.table.take(pa.array(np.concatenate([np.arange(len(self.day_of_row)), again])))


SPOILT: dict[str, Callable[[Day], pa.Table]] = {
    "as it is": lambda day: day.table,
    "no rows": lambda day: day.volume(0.0),
    "10 % of the rows": lambda day: day.volume(0.1),
    "50 % of the rows": lambda day: day.volume(0.5),
    "300 % of the rows": lambda day: day.volume(3.0),
    "a quarter of the rows twice": Day.repeated,
    "ids written as floats": Day.other_ids,
    "all amounts x 100": lambda day: day.amounts(100.0, 1.0),
    "all amounts x 10": lambda day: day.amounts(10.0, 1.0),
    "5 % of the amounts x 100": lambda day: day.amounts(100.0, 0.05),
    "5 % of the amounts x 10": lambda day: day.amounts(10.0, 0.05),
}


def main() -> None:
    """Print a row for each log and kind of day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--days", type=int, default=30)
    arguments = parser.parse_args()
    print("| log | the day | held | by |\n|---|---|---|---|")
    for log in LOGS:
        path = arguments.data / log.file
        if not path.exists():
            print(f"skipped {log.name}: no {path}", file=sys.stderr)
            continue
        for row in _rows(log, path, arguments.days):
            print(row, flush=True)


def _rows(log: Log, path: Path, num_days: int) -> Iterator[str]:
    table, rng = _read(path, log.terms), np.random.default_rng(0)
    days_N = day_numbers(table)
    drawn = rng.permutation(np.unique(days_N[days_N >= days_N.min() + log.first_day]))[:num_days]
    for name, spoil in SPOILT.items():
        if "amounts" in name and AMOUNT not in table.column_names:
            continue
        rules: dict[str, int] = {}
        held = 0
        for number in drawn:
            day = Day(table=table, day_of_row=days_N, number=int(number), terms=log.terms, rng=rng)
            found = _held_by(spoil(day), day)
            held += bool(found)
            for rule in found:
                rules[rule] = rules.get(rule, 0) + 1
        by = ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items()))
        yield f"| {log.name} | {name} | {held} of {len(drawn)} | {by} |"


def _held_by(table: pa.Table, day: Day) -> set[str]:
    findings = check_newest_day(
        table,
        EPOCH + timedelta(days=day.number),
        InputChecksConfig(),
        terms=list(day.terms),
        origin=lambda column: Origin(file="the log", column=column),
    )
    return {finding.error.rule for finding in findings if finding.error is not None}


def _read(path: Path, terms: tuple[str, ...]) -> pa.Table:
    table = pq.read_table(path)
    names = [*terms, EVENT_TIME, *([AMOUNT] if AMOUNT in table.column_names else [])]
    table = table.select(names)
    times = table[EVENT_TIME]
    if not pa.types.is_timestamp(times.type):
        times = pc.multiply(times.cast(pa.int64()), 1_000_000)
    elif times.type.tz is None:
        times = times.cast(pa.timestamp("us"))
    place = table.column_names.index(EVENT_TIME)
    return table.set_column(place, EVENT_TIME, times.cast(EVENT_TIME_TYPE))


if __name__ == "__main__":
    main()
