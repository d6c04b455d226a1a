"""What every job does around its work: dates, run ids, what is live, and what it ran on."""

from __future__ import annotations

import resource
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from recsys.errors import ArtifactError
from recsys.publishing import current_run, live_run

if TYPE_CHECKING:
    from pathlib import Path


def new_run_id() -> str:
    """A name for a run that no other run has: the time it started, in UTC, to the microsecond."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%fZ")


def end_of(as_of: date | None) -> datetime:
    """The moment after which events lie in the future: the end of the day, or now."""
    if as_of is None:
        return datetime.now(UTC)
    return datetime.combine(as_of + timedelta(days=1), time(), UTC)


def logical_date(as_of: date | None) -> date:
    """The day that a run stands for: today in UTC, if not given."""
    return as_of or datetime.now(UTC).date()


def last_whole_day() -> date:
    """Yesterday in UTC: the last day that nothing can be added to."""
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
        raise ArtifactError(
            f"{root}: expected {what}, got none; run `recsys {by}` first or correct "
            "output.directory"
        )
    return current_run(root)


def peak_rss_mb() -> float:
    """Largest memory of this process so far, in MB of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
