"""The commands `recsys schedule`: check a schedule, and export it for schedulers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.jobs.console import Reporter, print_result

if TYPE_CHECKING:
    from pipelines.schedule.schedule import ScheduleConfig

schedule = typer.Typer(
    no_args_is_help=True, help="Which job runs when, for cron, systemd or Kubernetes."
)

SchedulePath = Annotated[
    Path,
    typer.Argument(metavar="SCHEDULE", help="TOML file; pipelines/schedule.toml is one."),
]
Out = Annotated[Path, typer.Option(help="Folder for the files.")]
Recsys = Annotated[
    Path | None, typer.Option(help="The command on the machine; the one that runs if not given.")
]

_NUM_TIMES = 3


@schedule.command("check")
def check_command(
    path: SchedulePath,
    start: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="Moment from which next times are listed, in UTC; now if not given.",
        ),
    ] = None,
) -> None:
    """Check a schedule, and list its jobs in upstream order with their next times."""
    from pipelines.schedule.schedule import load_schedule

    found = load_schedule(path)
    moment = datetime.now(UTC) if start is None else start
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    reporter = Reporter()
    for name, job in found.jobs.items():
        if not job.config.is_file():
            reporter.warn(f"jobs.{name}.config: expected a file, got none at {job.config}")
    times = {name: job.times.after(moment, _NUM_TIMES) for name, job in found.jobs.items()}
    for line in _lines(found, times):
        reporter.say(line)
    jobs = {name: [f"{one:%Y-%m-%dT%H:%MZ}" for one in dues] for name, dues in times.items()}
    print_result({"job": "schedule check", "outcome": "PASSED", "next": jobs})


@schedule.command("cron")
def cron_command(path: SchedulePath, out: Out, recsys: Recsys = None) -> None:
    """Write a crontab."""
    from pipelines.schedule.manifests import cron_manifests
    from pipelines.schedule.schedule import installed_recsys, load_schedule

    files = cron_manifests(
        load_schedule(path), source=path.name, recsys=(recsys or installed_recsys()).absolute()
    )
    _write("cron", files, out)


@schedule.command("systemd")
def systemd_command(
    path: SchedulePath,
    out: Out,
    recsys: Recsys = None,
    user: Annotated[str, typer.Option(help="User that the jobs run as.")] = "recsys",
) -> None:
    """Write a service and a timer for each job."""
    from pipelines.schedule.manifests import systemd_manifests
    from pipelines.schedule.schedule import installed_recsys, load_schedule

    files = systemd_manifests(
        load_schedule(path),
        source=path.name,
        recsys=(recsys or installed_recsys()).absolute(),
        user=user,
        folder=path.absolute().parent,
    )
    _write("systemd", files, out)


@schedule.command("kubernetes")
def kubernetes_command(
    path: SchedulePath,
    out: Out,
    image: Annotated[str, typer.Option(help="Image that has the command.")],
    claim: Annotated[
        str, typer.Option(help="Volume claim with configs and tables, which takes the outputs.")
    ],
    mount: Annotated[
        Path | None,
        typer.Option(help="Where it is mounted; the folder of the schedule if not given."),
    ] = None,
) -> None:
    """Write a CronJob for each job."""
    from pipelines.schedule.manifests import kubernetes_manifests
    from pipelines.schedule.schedule import load_schedule

    files = kubernetes_manifests(
        load_schedule(path),
        source=path.name,
        image=image,
        claim=claim,
        folder=(mount or path.parent).absolute(),
    )
    _write("kubernetes", files, out)


def add_schedule_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(schedule, name="schedule")


def _write(kind: str, files: Mapping[str, str], out: Path) -> None:
    from pipelines.schedule.manifests import write_manifests

    written = write_manifests(files, out)
    print_result(
        {"job": f"schedule {kind}", "outcome": "PASSED", "files": [str(one) for one in written]}
    )


def _lines(found: ScheduleConfig, times: Mapping[str, list[datetime]]) -> Iterator[str]:
    """A table: the jobs in their order, each with its next times."""
    rows = [("job", "command", "deadline", "due next, in UTC", "after")]
    for name, job in found.jobs.items():
        dues = "  ".join(f"{due:%a %Y-%m-%d %H:%M}" for due in times[name])
        rows.append((name, job.command, f"{job.deadline_s} s", dues, ", ".join(job.upstream)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
