"""All alerts that were ever published: a table that only grows and outlives the runs it is from.

A folder of Parquet files, one a published night, named by its run. What a night could not add, as
it was killed after publishing, the next one adds: a file is made from the stored run, and is the
same whoever makes it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.fraud.config import FraudJobConfig
from recsys.fraud.alerts.outputs import ACCOUNTS_FILE, read_back, write_table
from recsys.publishing import published_runs
from recsys.schema import ACCOUNT_ID, ACCOUNT_SCORE, ALERT, BUNDLE_ID, DAY, RANK, REASONS

_COLUMNS = [ACCOUNT_ID, DAY, RANK, ACCOUNT_SCORE, REASONS, BUNDLE_ID]


def remember_alerts(config: FraudJobConfig) -> None:
    """Add the alerts of every stored night that is not there yet, but for those that are held.

    Args:
        config: Settings, with the folder of outputs.
    """
    folder = config.alert_history
    runs = published_runs(config.scores) if config.scores.is_dir() else []
    for run in runs:
        path = folder / f"{run.manifest.logical_date}_{run.folder.name}.parquet"
        if path.exists() or (run.manifest.held and not run.is_current):
            continue
        scores = read_back(run.folder / ACCOUNTS_FILE)
        folder.mkdir(parents=True, exist_ok=True)
        write_table(path, scores.filter(scores[ALERT]).select(_COLUMNS))


def earlier_alerts(config: FraudJobConfig, day: date) -> dict[object, tuple[date, ...]]:
    """Days before a day on which accounts were flagged, by account id.

    A day that was scored again counts as it was scored last.

    Args:
        config: Settings, with the folder of outputs.
        day: The day.
    """
    latest = {path.name.partition("_")[0]: path for path in sorted(_files(config))}
    earlier = [path for name, path in sorted(latest.items()) if name < str(day)]
    found: dict[object, tuple[date, ...]] = {}
    for path in earlier:
        table: pa.Table = pq.ParquetFile(path).read(columns=[ACCOUNT_ID, DAY])
        for account in pc.unique(table[ACCOUNT_ID]).to_pylist():
            found[account] = (*found.get(account, ()), table[DAY][0].as_py())
    return found


def _files(config: FraudJobConfig) -> list[Path]:
    return list(config.alert_history.glob("*.parquet"))
