"""Outputs that are replaced whole: written aside, audited, and made live by one pointer.

    root/.lock                            held by the one publisher
    root/CURRENT                          names the live run, e.g. runs/2026-03-01/a1b2
    root/.moves                           the runs that were live, the latest last
    root/runs/DATE/RUN_ID/                outputs of a run, never changed
    root/runs/DATE/RUN_ID/_manifest.json  size and SHA-256 of each of them
    root/runs/DATE/RUN_ID/_manifest.hmac  its signature, where RECSYS_MANIFEST_KEY is set
    root/runs/DATE/RUN_ID.tmp             a run that is being written or removed

Whatever interrupts a publish, a reader of `CURRENT` finds the last complete run or the new one.
Names of our own start with `_` or `.`, which readers of Parquet folders skip.
"""

from recsys.publishing.protocol import publish, rollback
from recsys.publishing.runs import (
    PublishedRun,
    RunManifest,
    current_run,
    live_run,
    published_runs,
    verify_run,
)

__all__ = [
    "PublishedRun",
    "RunManifest",
    "current_run",
    "live_run",
    "publish",
    "published_runs",
    "rollback",
    "verify_run",
]
