"""What every job needs around its work: dates, run ids, the live run, memory used."""

from __future__ import annotations

import resource
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from pipelines.jobs.live_runs import newest_held
from recsys.errors import ArtifactError
from recsys.publishing import PublishedRun, current_run, live_run, published_runs

if TYPE_CHECKING:
    from pathlib import Path


def new_run_id() -> str:
    """A name for a run that no other run has: the time it started, in UTC, to the microsecond."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%fZ")


def end_of(as_of: date | None) -> datetime:
    """The moment after which events are in the future: the end of the day, or now."""
    if as_of is None:
        return datetime.now(UTC)
    return datetime.combine(as_of + timedelta(days=1), time(), UTC)


def logical_date(as_of: date | None) -> date:
    """The day that a run stands for: today in UTC, if not given."""
    return as_of or datetime.now(UTC).date()


def last_whole_day() -> date:
    """Yesterday in UTC: the last day that is complete."""
    return datetime.now(UTC).date() - timedelta(days=1)


def require_live(root: Path, what: str, *, by: str) -> Path:
    """Folder of the live run.

    Args:
        root: Folder of the published runs.
        what: What is looked for, for the message.
        by: The command that makes it.

    Raises:
        ArtifactError: Nothing is live there.
    """
    if live_run(root) is None:
        held = newest_held(published_runs(root)) if root.is_dir() else None
        if held is not None:
            raise ArtifactError(f"{root}: expected {what} that is live, got {_told(held, root)}")
        raise ArtifactError(
            f"{root}: expected {what}, got none; run `recsys {by}` first or correct "
            "output.directory"
        )
    return current_run(root)


def held_since(root: Path) -> str:
    """What to tell of a newer run that was held while an older one is live; empty for nothing."""
    held = newest_held(published_runs(root)) if root.is_dir() else None
    return "" if held is None else f"an older run is live in place of {_told(held, root)}"


def _told(held: PublishedRun, root: Path) -> str:
    manifest = held.manifest
    return (
        f"run {manifest.run_id} of {manifest.logical_date}, which was held ({manifest.held}); look "
        f"at {held.folder}, and where it is good all the same, `recsys rollback CONFIG {root.name} "
        f"--to {manifest.run_id}` makes it live"
    )


def peak_rss_mb() -> float:
    """Largest memory of this process so far, in MB of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
