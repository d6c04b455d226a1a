"""The schedule: which job runs when, on which config, after which others; checked as a whole."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from pipelines.schedule.cron_times import CYCLE_DAYS, CronTimes, parse_cron
from recsys.config import config_class, parse_config, read_toml
from recsys.errors import ConfigError
from recsys.time_units import S_PER_DAY

CommandName = Literal[
    "validate",
    "train-recommender",
    "write-recommendations",
    "similar-items",
    "check-drift",
    "validate-transactions",
    "train-fraud",
    "score-accounts",
    "embed-accounts",
]
"""A command that can be scheduled."""
COMMANDS: tuple[CommandName, ...] = get_args(CommandName)
"""All of them."""
UNDATED: frozenset[CommandName] = frozenset({"validate-transactions"})
"""Commands without a day."""

STOP_S = 30
"""Seconds that a job has to end after SIGTERM; then it is killed."""
PUBLISHED, HELD, SKIPPED, DEADLINE_PASSED = 0, 3, 7, 8
"""Exit codes that a scheduler distinguishes; a job that only reports also ends with 0."""

SHIPPED_SCHEDULE = Path(__file__).parents[1] / "schedule.toml"
"""The example, to be copied and edited."""

_NAME = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
_DAY_MINUTES = 24 * 60


@config_class
class JobSchedule:
    """When a job runs and on what."""

    command: CommandName
    """The command of `recsys` that is run."""
    config: Path
    """The config file that it reads; a relative path starts at the folder of the schedule."""
    cron: str
    """When it is due in UTC: minute, hour, day of the month, month, day of the week."""
    upstream: tuple[str, ...] = ()
    """Jobs that run before it, if they run on the same day."""
    deadline_s: int = Field(gt=0, le=7 * S_PER_DAY)
    """Seconds after which it is stopped."""
    description: str = ""
    """What it is for, in one line."""

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, text: str) -> str:
        return parse_cron(text).text

    @field_validator("config", "description")
    @classmethod
    def _check_one_line(cls, value: Path | str) -> Path | str:
        if not str(value).isprintable():
            raise ValueError(f"expected text without control characters, got {str(value)!r}")
        return value

    @property
    def times(self) -> CronTimes:
        """When it is due."""
        return parse_cron(self.cron)


@config_class
class ScheduleConfig:
    """All jobs of a schedule."""

    jobs: dict[str, JobSchedule]
    """Each job by its name."""

    @model_validator(mode="after")
    def _jobs_agree(self) -> Self:
        _check_names(self.jobs)
        _check_cycles(self.jobs)
        for name, job in self.jobs.items():
            for upstream in job.upstream:
                _check_order(name, job, upstream, self.jobs[upstream])
        return self


def load_schedule(path: Path) -> ScheduleConfig:
    """Read and check a schedule.

    Returns:
        The jobs in upstream order, the paths of their configs made absolute.

    Raises:
        ConfigError: The file is wrong.
    """
    config = parse_config(ScheduleConfig, read_toml(path), source=str(path))
    if not str(path.absolute()).isprintable():
        raise ConfigError(f"expected a path without control characters, got {str(path)!r}")
    graph = {name: job.upstream for name, job in config.jobs.items()}
    folder = path.absolute().parent
    return replace(
        config,
        jobs={
            name: replace(
                config.jobs[name],
                config=Path(os.path.normpath(folder / config.jobs[name].config)),
            )
            for name in TopologicalSorter(graph).static_order()
        },
    )


def logical_day(due: datetime) -> date:
    """The day that a run stands for: the last one that was over when it was due, in UTC."""
    return due.date() - timedelta(days=1)


def installed_recsys() -> Path:
    """The command `recsys` beside the Python that runs."""
    return Path(sys.executable).with_name("recsys")


def _check_names(jobs: Mapping[str, JobSchedule]) -> None:
    """Check that all schedulers accept the names, and that no work is done twice.

    Raises:
        ValueError: A name is wrong, or unknown, or two jobs do the same.
    """
    seen: dict[tuple[str, str], str] = {}
    for name, job in jobs.items():
        if not re.fullmatch(_NAME, name):
            problem = "a name of at most 40 lower-case letters, digits and hyphens"
            raise ValueError(f"jobs: expected {problem}, got {name!r}; rename the table")
        for upstream in job.upstream:
            if upstream not in jobs:
                known = ", ".join(jobs)
                raise ValueError(
                    f"jobs.{name}.upstream: expected jobs of this schedule ({known}), "
                    f"got {upstream!r}; correct the name or add [jobs.{upstream}]"
                )
        work = job.command, os.path.normpath(job.config)
        other = seen.setdefault(work, name)
        if other != name:
            raise ValueError(
                f"jobs.{name}: expected another command or config than that of jobs.{other}, "
                f"got {job.command!r} of {str(job.config)!r} twice; remove one of the jobs"
            )


def _check_cycles(jobs: Mapping[str, JobSchedule]) -> None:
    """Check that upstream links have no cycle.

    Raises:
        ValueError: A job is upstream of itself.
    """
    try:
        TopologicalSorter({name: job.upstream for name, job in jobs.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ValueError(
            f"jobs: expected an order of upstream, got the circle {circle}; remove one of its links"
        ) from None


def _check_order(name: str, job: JobSchedule, upstream: str, other: JobSchedule) -> None:
    """Check that a job is due only after its upstream has ended or was stopped, that day.

    Raises:
        ValueError: There is a day on which that is not the case.
    """
    clash = _overlap(other.times, job.times, other.deadline_s + STOP_S)
    if clash is not None:
        start, due, gap_s = clash
        raise ValueError(
            f"jobs.{name}.cron: expected a time when its upstream {upstream!r} has ended, got "
            f"{due}, {gap_s} s after {start}, where the upstream may take {other.deadline_s} s "
            f"and {STOP_S} s to stop; move one of them or lower jobs.{upstream}.deadline_s"
        )
    first, second = other.times.minutes_of_day()[0], job.times.minutes_of_day()[0]
    if second < first and other.times.days_of_cycle() & job.times.days_of_cycle():
        raise ValueError(
            f"jobs.{name}.cron: expected a time after that of its upstream {upstream!r} of the "
            f"same day, got {_clock(second)} before {_clock(first)}; move one of them, or put the "
            "upstream after midnight"
        )


def _overlap(first: CronTimes, second: CronTimes, needed_s: int) -> tuple[str, str, int] | None:
    """Two times of day, and the seconds between them, at which the second comes too early.

    Days and times of day are independent of each other, so that it is enough to look at each pair
    of times once for every number of days between them.
    """
    starts, dues = first.minutes_of_day(), second.minutes_of_day()
    days, due_days = first.days_of_cycle(), second.days_of_cycle()
    for shift in range(needed_s // S_PER_DAY + 2):
        if all((day + shift) % CYCLE_DAYS not in due_days for day in days):
            continue
        for start in starts:
            gaps = (60 * (shift * _DAY_MINUTES + due - start) for due in dues)
            close = [gap for gap in gaps if 0 <= gap < needed_s]
            if close:
                due = (start + close[0] // 60) % _DAY_MINUTES
                return _clock(start), _clock(due), close[0]
    return None


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
