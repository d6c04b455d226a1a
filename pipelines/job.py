"""What every job does around its work: dates, run ids, data in, and what it ran on."""

from __future__ import annotations

import resource
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from recsys.errors import ArtifactError
from recsys.publishing import current_run, published_runs

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.config import JobConfig
    from pipelines.console import Reporter
    from recsys.datasets.dataset import Dataset
    from recsys.recommender.serving import Recommender


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


def load_checked(
    config: JobConfig, as_of: date | None, reporter: Reporter, *, needs_time: bool
) -> Dataset:
    """Read the tables and refuse them where they break a rule.

    Raises:
        DataError: The first refusal.
    """
    from recsys.datasets.loading import load_dataset
    from recsys.datasets.validation import validate_dataset

    dataset = load_dataset(config.data, config.columns, config.features)
    report = validate_dataset(
        dataset, as_of=end_of(as_of), limits=config.validation, needs_time=needs_time
    )
    report.raise_if_refused()
    reporter.say(
        f"data: {report.num_interactions:,} interactions of {report.num_users:,} users with "
        f"{report.num_items:,} items"
    )
    return dataset


def open_live_model(config: JobConfig) -> tuple[Path, Recommender]:
    """Folder of the published model that is live, and the model with its index.

    Raises:
        ArtifactError: There is none yet, or it is damaged.
    """
    from recsys.recommender.serving import load_recommender

    if not published_runs(config.models):
        raise ArtifactError(
            f"{config.models}: expected a published model, got none; "
            "run `recsys train-recommender` first or correct output.directory"
        )
    run = current_run(config.models)
    return run, load_recommender(run / "model", run / "index")


def peak_rss_mb() -> float:
    """Largest memory of this process so far, in MB of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
