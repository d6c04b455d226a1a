"""Tables that are not like yesterday's: refused in one line, or read as they stand.

Each trial composes some drifts of a small sound table, writes it, and loads it as the jobs do. What
is accepted must equal an independent reading of the same file, cell by cell: ids as their exact
text or integer, times as the same instant, amounts as the nearest double.
"""

from __future__ import annotations

import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from drifts import FILE_DRIFTS, TABLE_DRIFTS, write_drifted
from plain_reading import plain_rows

Result = dict[str, int | float | str]

HALVES = ("recommender", "fraud")


def run(num_trials: int, seed: int) -> Result:
    """Load drifted inputs of both halves."""
    counts: Counter[str] = Counter()
    drifts: Counter[str] = Counter()
    first_fault = ""
    with tempfile.TemporaryDirectory() as name:
        for number in range(num_trials):
            rng = random.Random(f"{seed}-{number}")  # noqa: S311  not for secrets
            half = HALVES[number % 2]
            file, told = _drifted_file(Path(name), half, rng)
            outcome, problem = _outcome(half, file)
            counts[outcome] += 1
            drifts.update(told)
            if problem and not first_fault:
                first_fault = f"{half}, {' + '.join(told)}: {problem}"
            file.unlink()
    return {
        "trials": num_trials,
        "silent casts": counts["silent cast"],
        "tracebacks": counts["traceback"],
        "refused": counts["refused"],
        "accepted": counts["accepted"],
        "kinds of drift": len(drifts),
        **({"first fault": first_fault} if first_fault else {}),
    }


def _drifted_file(folder: Path, half: str, rng: random.Random) -> tuple[Path, list[str]]:
    """A file with one to three drifts, and their names."""
    kind = rng.choice(("parquet", "parquet", "csv"))
    file_drift = rng.choice(sorted(FILE_DRIFTS[kind])) if rng.random() < 0.2 else ""
    names = rng.sample(sorted(TABLE_DRIFTS), rng.randint(0 if file_drift else 1, 2))
    columns = sound_columns(half)
    for name in names:
        columns = TABLE_DRIFTS[name](columns, rng)
    file = folder / f"log.{kind}"
    write_drifted(file, columns, FILE_DRIFTS[kind].get(file_drift), rng)
    return file, [*names, *([file_drift] if file_drift else [])]


def sound_columns(half: str) -> dict[str, pa.Array]:
    """Twelve rows that both the loading and the checks accept."""
    start, step = 1_700_000_000_000_000, 3_600_123_457
    times = pa.array([start + step * row for row in range(12)], pa.int64())
    shared = {"event_time": times.cast(pa.timestamp("us", tz="UTC"))}
    if half == "recommender":
        return {
            "user_id": pa.array([f"u{row % 4:03}" for row in range(12)]),
            "item_id": pa.array([100 + row % 5 for row in range(12)], pa.int64()),
            **shared,
        }
    return {
        "transaction_id": pa.array([f"{row:05}" for row in range(12)]),
        "account_id": pa.array([row % 4 for row in range(12)], pa.int64()),
        **shared,
        "amount": pa.array([10.25 + row / 3 for row in range(12)]),
    }


def _outcome(half: str, file: Path) -> tuple[str, str]:
    """What came of a file, and what is wrong with that."""
    from recsys.errors import RecsysError

    try:
        found = _loaded(half, file)
    except RecsysError as error:
        one_line = len(str(error).splitlines()) == 1 and str(error).isprintable()
        return ("refused", "") if one_line else ("traceback", f"not one line: {error!r}")
    except Exception:  # noqa: BLE001  any other end is a fault
        return "traceback", traceback.format_exc(limit=-1).replace("\n", " ")
    try:
        expected = plain_rows(file, list(found))
    except Exception as error:  # noqa: BLE001  what cannot be read plainly must not be accepted
        return "silent cast", f"accepted what cannot be read: {error!r}"
    difference = _difference(found, expected)
    return ("silent cast", difference) if difference else ("accepted", "")


def _loaded(half: str, file: Path) -> Mapping[str, list[object]]:
    """The columns of a file by the loading and validation of the jobs, all rows of it."""
    from pipelines.fraud.config import FraudJobConfig
    from pipelines.fraud.data import load_checked_transactions
    from pipelines.jobs.console import Reporter
    from pipelines.recommender.config import JobConfig
    from pipelines.recommender.data import load_checked
    from recsys.datasets.dataset import DataConfig
    from recsys.datasets.loading import load_dataset
    from recsys.datasets.transactions.config import TransactionsDataConfig
    from recsys.schema import EVENT_TIME

    quiet = Reporter(quiet=True)
    if half == "fraud":
        config = FraudJobConfig(data=TransactionsDataConfig(transactions=file))
        log, checked = load_checked_transactions(config, quiet)
        report = checked.report
        if report.num_rows != report.num_used + sum(report.num_quarantined.values()):
            raise AssertionError("rows do not add up")
        table = log.table
    else:
        job = JobConfig(data=DataConfig(interactions=file))
        found = load_checked(job, None, quiet, needs_time=True)
        used = found.dataset.interactions.num_rows
        if found.num_rows != used + sum(found.num_left_out.values()):
            raise AssertionError("rows do not add up")
        table = load_dataset(job.data, job.columns, job.features).interactions
    return {
        name: (table[name].cast(pa.int64()) if name == EVENT_TIME else table[name]).to_pylist()
        for name in table.column_names
    }


def _difference(found: Mapping[str, list[object]], expected: Mapping[str, list[object]]) -> str:
    for name, values in found.items():
        if len(values) != len(expected[name]):
            return f"{name}: {len(values)} rows, not {len(expected[name])}"
        for row, (mine, theirs) in enumerate(zip(values, expected[name], strict=True)):
            both_nan = repr(mine) == repr(theirs) == "nan"
            same = both_nan or (type(mine) is type(theirs) and mine == theirs)
            if not same:
                return f"{name}, row {row + 1}: {mine!r}, not {theirs!r}"
    return ""
