"""All alerts that were ever published: a table that only grows and outlives the runs it is from.

A folder of Parquet files, one a published night, named by its run. What a night could not add, as
it was killed after publishing, the next one adds: a file is made from the stored run, and is the
same whoever makes it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.compute as pc

from recsys.files import PRIVATE_FOLDER
from recsys.fraud.alerts.outputs import ACCOUNTS_FILE, read_back, write_table
from recsys.publishing import published_runs
from recsys.schema import ACCOUNT_ID, ACCOUNT_SCORE, ALERT, BUNDLE_ID, DAY, RANK, REASONS

_COLUMNS = [ACCOUNT_ID, DAY, RANK, ACCOUNT_SCORE, REASONS, BUNDLE_ID]


def remember_alerts(scores: Path, history: Path) -> None:
    """Add the alerts of every stored night that is not there yet, but for those that are held.

    Args:
        scores: Root of the published scores.
        history: Folder of all alerts; made where it is missing.
    """
    for run in published_runs(scores) if scores.is_dir() else ():
        path = history / f"{run.manifest.logical_date}_{run.folder.name}.parquet"
        if path.exists() or (run.manifest.held and not run.is_current):
            continue
        table = read_back(run.folder / ACCOUNTS_FILE)
        history.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        write_table(path, table.filter(table[ALERT]).select(_COLUMNS))


def earlier_alerts(history: Path, day: date) -> dict[object, tuple[date, ...]]:
    """Days before a day on which accounts were flagged, by account id.

    A day that was scored again counts as it was scored last.

    Args:
        history: Folder of all alerts; may be missing.
        day: The day.
    """
    latest = {path.name.partition("_")[0]: path for path in sorted(history.glob("*.parquet"))}
    found: dict[object, tuple[date, ...]] = {}
    for _, path in sorted(one for one in latest.items() if one[0] < str(day)):
        table = read_back(path)
        for account in pc.unique(table[ACCOUNT_ID]).to_pylist():
            found[account] = (*found.get(account, ()), table[DAY][0].as_py())
    return found
