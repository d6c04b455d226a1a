"""A schedule for Dagster: one asset per job, one partition per day. The only importer of Dagster.

    RECSYS_SCHEDULE=/srv/shop/schedule.toml dagster dev -m pipelines.schedule.dagster_definitions

Each asset starts the command as a process of its own, and reads its status line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from pipelines.schedule.schedule import (
    DEADLINE_PASSED,
    HELD,
    PUBLISHED,
    SHIPPED_SCHEDULE,
    SKIPPED,
    STOP_S,
    UNDATED,
    JobSchedule,
    ScheduleConfig,
    installed_recsys,
    load_schedule,
    logical_day,
)

DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01", timezone="UTC")
"""Logical days, of which the last one that is over is the latest."""
RETRIES = dg.RetryPolicy(max_retries=1, delay=300)
"""Retries of runs that failed; those that were held or ran out of time are not retried."""
POOL = "recsys"
"""Pool that limits how many jobs run at once: a backfill has to run one day at a time."""


def definitions(
    schedule_path: Path, *, recsys: Path | None = None, retries: dg.RetryPolicy = RETRIES
) -> dg.Definitions:
    """Assets and schedules of a schedule file.

    Args:
        schedule_path: The schedule.
        recsys: The command; the one beside the Python that runs if not given.
        retries: For runs that failed.

    Raises:
        ConfigError: The schedule is wrong.
    """
    schedule = load_schedule(schedule_path)
    command = recsys or installed_recsys()
    return dg.Definitions(
        assets=[_asset(name, job, command, retries) for name, job in schedule.jobs.items()],
        schedules=[_schedule(name, schedule) for name in schedule.jobs],
    )


def asset_name(name: str) -> str:
    """The asset of a job: Dagster allows no hyphens."""
    return name.replace("-", "_")


def run_command(arguments: list[str], *, deadline_s: float) -> tuple[int, dict[str, object]]:
    """Run a command to its end or to its deadline.

    Returns:
        The exit code, and the status line, empty where there is none.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    # A file instead of a pipe: processes that the command left running could keep a pipe open.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603  the schedule says what is run
            arguments, stdout=output, env=environment, umask=0o077, start_new_session=True
        )
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            _stop(process)
            code = DEADLINE_PASSED
        except BaseException:  # Dagster was told to stop
            _stop(process)
            raise
        output.seek(0)
        return code, _status_of(output.read())


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for the command and for what it started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _status_of(output: str) -> dict[str, object]:
    lines = [line for line in output.splitlines() if line.strip()]
    try:
        status = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _asset(
    name: str, job: JobSchedule, recsys: Path, retries: dg.RetryPolicy
) -> dg.AssetsDefinition:
    def run(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        day = [] if job.command in UNDATED else ["--as-of", context.partition_key]
        arguments = [str(recsys), job.command, str(job.config), *day]
        code, status = run_command(arguments, deadline_s=job.deadline_s)
        return _result(code, status)

    run.__annotations__["context"] = dg.AssetExecutionContext  # Dagster reads no text here
    return dg.asset(
        name=asset_name(name),
        deps=[asset_name(upstream) for upstream in job.upstream],
        partitions_def=DAYS,
        retry_policy=retries,
        description=job.description or None,
        kinds={job.command},
        pool=POOL,
    )(run)


def _result(code: int, status: Mapping[str, object]) -> dg.MaterializeResult:
    """The result of a run.

    Raises:
        Failure: It was held, failed or ran out of time.
    """
    metadata = {"exit_code": code, **{key: _metadata(value) for key, value in status.items()}}
    if code in (PUBLISHED, SKIPPED):
        return dg.MaterializeResult(metadata=metadata)
    outcome = status.get("outcome", "HELD" if code == HELD else "FAILED")
    message = status.get("message") or f"exit code {code}; the log of the run has more"
    can_retry = code not in (HELD, DEADLINE_PASSED)
    raise dg.Failure(f"{outcome}: {message}", metadata=metadata, allow_retries=can_retry)


def _metadata(value: object) -> dg.MetadataValue:
    match value:
        case str():
            return dg.MetadataValue.text(value)
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case _:
            return dg.MetadataValue.json(value)


def _schedule(name: str, schedule: ScheduleConfig) -> dg.ScheduleDefinition:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        due = context.scheduled_execution_time.astimezone(UTC)
        day = str(logical_day(due))
        for upstream in _upstream_of_the_day(name, schedule, due):
            if not _has_succeeded(context.instance, upstream, day):
                return dg.SkipReason(f"{upstream} of {day} has not succeeded")
        return dg.RunRequest(run_key=f"{name}-{due:%Y-%m-%dT%H:%M}", partition_key=day)

    return dg.ScheduleDefinition(
        name=f"{asset_name(name)}_schedule",
        target=[asset_name(name)],
        cron_schedule=schedule.jobs[name].cron,
        execution_timezone="UTC",
        execution_fn=ask,
    )


def _upstream_of_the_day(name: str, schedule: ScheduleConfig, due: datetime) -> list[str]:
    """Upstream jobs that are due on the same day."""
    upstream = schedule.jobs[name].upstream
    return [one for one in upstream if schedule.jobs[one].times.matches(due.date())]


def _has_succeeded(instance: dg.DagsterInstance, name: str, day: str) -> bool:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset_name(name)), asset_partitions=[day])
    return bool(instance.fetch_materializations(wanted, limit=1).records)


defs = definitions(Path(os.environ.get("RECSYS_SCHEDULE") or SHIPPED_SCHEDULE))
"""What `dagster dev` and `dagster definitions validate` look for."""
