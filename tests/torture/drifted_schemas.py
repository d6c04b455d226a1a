"""Tables that are not like yesterday's: refused in one line, or read as they stand.

Each trial composes some drifts of a small sound table, writes it, and loads it as the jobs do. What
is accepted must equal an independent reading of the same file, cell by cell: ids as their exact
text or integer, times as the same instant, amounts as the nearest double.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from drifts import FILE_DRIFTS, TABLE_DRIFTS, write_drifted, write_folder
from plain_reading import plain_rows

Result = dict[str, int | float | str]

_NUM_ROWS = 40
_NAMES_OF_DATA = re.compile(r"\bu00[0-3]\b|\b000[0-3]\d\b")
"""Ids as the sound tables have them."""
PRODUCTS = ("recommender", "fraud")


def run(num_trials: int, seed: int) -> Result:
    """Load drifted inputs of both halves."""
    counts: Counter[str] = Counter()
    drifts: Counter[str] = Counter()
    first_fault = ""
    with tempfile.TemporaryDirectory() as name:
        for number in range(num_trials):
            rng = random.Random(f"{seed}-{number}")  # noqa: S311  not for secrets
            product = PRODUCTS[number % 2]
            file, applied = _drifted_file(Path(name), product, rng)
            outcome, problem = _outcome(product, file)
            counts[outcome] += 1
            drifts.update(applied)
            if problem and not first_fault:
                first_fault = f"{product}, {' + '.join(applied)}: {problem}"
            shutil.rmtree(file) if file.is_dir() else file.unlink()
            shutil.rmtree(Path(name) / "elsewhere", ignore_errors=True)
    return {
        "trials": num_trials,
        "silent casts": counts["silent cast"],
        "tracebacks": counts["traceback"],
        "values in messages": counts["value in a message"],
        "refused": counts["refused"],
        "accepted": counts["accepted"],
        "kinds of drift": len(drifts),
        **({"first fault": first_fault} if first_fault else {}),
    }


def _drifted_file(folder: Path, product: str, rng: random.Random) -> tuple[Path, list[str]]:
    """A file with one to three drifts, and their names."""
    kind = rng.choice(("parquet", "parquet", "csv", "folder"))
    if kind == "folder":
        place = folder / "log"
        return place, [write_folder(place, sound_columns(product), rng)]
    file_drift = rng.choice(sorted(FILE_DRIFTS[kind])) if rng.random() < 0.2 else ""
    names = rng.sample(sorted(TABLE_DRIFTS), rng.randint(0 if file_drift else 1, 2))
    columns = sound_columns(product)
    for name in names:
        columns = TABLE_DRIFTS[name](columns, rng)
    file = folder / f"log.{kind}"
    write_drifted(file, columns, FILE_DRIFTS[kind].get(file_drift), rng)
    return file, [*names, *([file_drift] if file_drift else [])]


def sound_columns(product: str) -> dict[str, pa.Array]:
    """Forty rows that both the loading and the checks accept."""
    start, step = 1_700_000_000_000_000, 3_600_123_457
    times = pa.array([start + step * row for row in range(_NUM_ROWS)], pa.int64())
    shared = {"event_time": times.cast(pa.timestamp("us", tz="UTC"))}
    if product == "recommender":
        return {
            "user_id": pa.array([f"u{row % 4:03}" for row in range(_NUM_ROWS)]),
            "item_id": pa.array([100 + row % 5 for row in range(_NUM_ROWS)], pa.int64()),
            **shared,
        }
    return {
        "transaction_id": pa.array([f"{row:05}" for row in range(_NUM_ROWS)]),
        "account_id": pa.array([row % 4 for row in range(_NUM_ROWS)], pa.int64()),
        **shared,
        "amount": pa.array([10.25 + row / 3 for row in range(_NUM_ROWS)]),
    }


def _outcome(product: str, file: Path) -> tuple[str, str]:
    """What came of a file, and what is wrong with that."""
    from recsys.errors import RecsysError

    try:
        found = _loaded(product, file)
    except RecsysError as error:
        one_line = len(str(error).splitlines()) == 1 and str(error).isprintable()
        if _NAMES_OF_DATA.search(str(error)):
            return "value in a message", f"a value of the data: {error}"
        return ("refused", "") if one_line else ("traceback", f"not one line: {error!r}")
    except Exception:  # noqa: BLE001  any other end is a fault
        return "traceback", traceback.format_exc(limit=-1).replace("\n", " ")
    try:
        expected = plain_rows(file, list(found))
    except Exception as error:  # noqa: BLE001  what cannot be read plainly must not be accepted
        return "silent cast", f"accepted what cannot be read: {error!r}"
    difference = _difference(found, expected)
    return ("silent cast", difference) if difference else ("accepted", "")


def _loaded(product: str, file: Path) -> Mapping[str, list[object]]:
    """The columns of a file by the loading and validation of the jobs, all rows of it."""
    from pipelines.fraud.config import FraudJobConfig
    from pipelines.fraud.data import load_checked_transactions
    from pipelines.jobs.console import Reporter
    from pipelines.jobs.inputs import Inputs
    from pipelines.recommender.config import JobConfig
    from pipelines.recommender.data import load_checked
    from recsys.datasets.dataset import DataConfig
    from recsys.datasets.loading import load_dataset
    from recsys.datasets.transactions.config import TransactionsDataConfig
    from recsys.schema import EVENT_TIME

    quiet, inputs = Reporter(quiet=True), Inputs()
    if product == "fraud":
        config = FraudJobConfig(data=TransactionsDataConfig(transactions=file))
        log, checked = load_checked_transactions(inputs, config, quiet)
        report = checked.report
        if report.num_rows != report.num_used + sum(report.num_quarantined.values()):
            raise AssertionError("rows do not add up")
        table = log.table
    else:
        job = JobConfig(data=DataConfig(interactions=file))
        found = load_checked(inputs, job, None, quiet, needs_time=True)
        used = found.dataset.interactions.num_rows
        if found.num_rows != used + sum(found.num_left_out.values()):
            raise AssertionError("rows do not add up")
        table = load_dataset(job.data, job.columns, job.features).interactions
    for one in inputs.found().values():
        if one["found"] != one["read"] + one["passed_over"]:
            raise AssertionError("entries do not add up")
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
