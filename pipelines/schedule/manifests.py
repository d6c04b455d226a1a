"""Exports a schedule for cron, systemd and Kubernetes.

Each job runs `recsys COMMAND CONFIG --as-of DAY`, the day being the last one that is over, in UTC.
Functions return files by name; `write_manifests` writes them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.operations.products import load_either_config
from pipelines.schedule.schedule import STOP_S, UNDATED, JobSchedule, ScheduleConfig
from recsys.errors import ConfigError
from recsys.files import PRIVATE_FOLDER, replace
from recsys.tracking.client import sqlite_path, tracking_uri

_YESTERDAY = '"$(date -u -d yesterday +%F)"'
_UPSTREAM_IS_WELL = (
    'case "$(systemctl show --timestamp=utc --property=ExecMainStartTimestamp --value "$0")" in '
    '*"$(date -u +%F)"*) test "$(systemctl show --property=Result --value "$0")" = success;; esac'
)
_MAX_CRON_LINE = 990  # cron cuts longer ones, or refuses them


def cron_manifests(schedule: ScheduleConfig, *, source: str, recsys: Path) -> dict[str, str]:
    """One crontab with all jobs. Upstream order is that of the times.

    Args:
        schedule: The jobs, the paths of their configs absolute.
        source: The file of the schedule, for those who read the result.
        recsys: The command on the machine.

    Raises:
        ConfigError: A line is too long for cron.
    """
    commands = {name: _cron_command(job, recsys) for name, job in schedule.jobs.items()}
    for name, command in commands.items():
        if len(command) > _MAX_CRON_LINE:
            raise ConfigError(
                f"jobs.{name}: expected a command of at most {_MAX_CRON_LINE} characters for cron, "
                f"got {len(command)}; shorten the path of the config"
            )
    text = _render("recsys.crontab", source=source, jobs=schedule.jobs, commands=commands)
    return {"recsys.crontab": text}


def systemd_manifests(
    schedule: ScheduleConfig, *, source: str, recsys: Path, user: str, folder: Path
) -> dict[str, str]:
    """A service and a timer for each job, and the folders that they write to as tmpfiles.d.

    Args:
        schedule: The jobs, the paths of their configs absolute.
        source: The file of the schedule, for those who read the result.
        recsys: The command on the machine.
        user: User that the jobs run as.
        folder: Where they run.

    Raises:
        ConfigError: A config cannot be read, so that it is unknown where its job writes, or the
        user name is invalid.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,31}", user):
        raise ConfigError(f"--user: expected the name of a user, got {user!r}")
    files: dict[str, str] = {}
    everywhere: dict[Path, None] = {}
    for name, job in schedule.jobs.items():
        writable = written_folders(job)
        everywhere.update(dict.fromkeys(writable))
        day = f" --as-of {_YESTERDAY}" if job.command not in UNDATED else ""
        files[f"recsys-{name}.service"] = _render(
            "recsys.service", source=source, job=job, recsys=recsys, user=user, folder=folder,
            writable=writable, condition=_UPSTREAM_IS_WELL,
            script=f'exec "$0" {job.command} "$1"{day}',
        )  # fmt: skip
        files[f"recsys-{name}.timer"] = _render("recsys.timer", source=source, name=name, job=job)
    files["recsys-schedule.conf"] = _render(
        "recsys.tmpfiles", source=source, writable=list(everywhere), user=user
    )
    return files


def kubernetes_manifests(
    schedule: ScheduleConfig, *, source: str, image: str, claim: str, folder: Path
) -> dict[str, str]:
    """A CronJob for each job. Upstream order is that of the times.

    Args:
        schedule: The jobs, the paths of their configs absolute.
        source: The file of the schedule, for those who read the result.
        image: The image that has the command.
        claim: The volume claim that has the configs and tables, and takes the outputs.
        folder: Where the volume is mounted.

    Raises:
        ConfigError: A config lies elsewhere than on the volume.
    """
    files = {}
    for name, job in schedule.jobs.items():
        if not job.config.is_relative_to(folder):
            raise ConfigError(
                f"jobs.{name}.config: expected a path below {folder}, where the volume is mounted, "
                f"got {job.config}; move the config or set --mount"
            )
        files[f"recsys-{name}.yaml"] = _render(
            "recsys.cronjob.yaml", source=source, name=name, job=job, image=image, claim=claim,
            folder=folder, script=container_script(job).replace("$(", "$$("),
        )  # fmt: skip
    return files


def container_script(job: JobSchedule) -> str:
    """The shell script of a container; its first argument is the config."""
    is_dated = job.command not in UNDATED
    return _render("container.sh", command=job.command, is_dated=is_dated)


def written_folders(job: JobSchedule) -> list[Path]:
    """Where a job writes: the folder of its outputs, and that of the tracking database.

    Raises:
        ConfigError: The config cannot be read.
    """
    config = load_either_config(job.config)
    database = sqlite_path(tracking_uri(config.tracking)) if config.tracking.enabled else None
    return [config.output.directory, *([database.parent] if database is not None else [])]


def write_manifests(files: Mapping[str, str], out: Path) -> list[Path]:
    """Write files into a folder, which is made when missing.

    Returns:
        Their paths.
    """
    out.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    for name, text in files.items():
        replace(out / name, text.encode())
    return [out / name for name in files]


def _cron_command(job: JobSchedule, recsys: Path) -> str:
    """The command of a crontab line; runs cannot overlap, since the job has a lock."""
    day = f" --as-of {_YESTERDAY}" if job.command not in UNDATED else ""
    run = f"{shlex.quote(str(recsys))} {job.command} {shlex.quote(str(job.config))}{day}"
    limit = f"timeout --signal=TERM --kill-after={STOP_S} {job.deadline_s}"
    # 7 is skipped, a success; 124 is what `timeout` says at the deadline.
    ending = 'c=$?; case "$c" in 7) c=0;; 124) c=8;; esac; exit "$c"'
    return f"umask 077; {limit} {run}; {ending}".replace("%", r"\%")


def _render(template: str, **values: object) -> str:
    if "source" in values:
        values["source"] = json.dumps(values["source"])  # one line, whatever it holds
    return _TEMPLATES.get_template(f"{template}.jinja").render(stop_s=STOP_S, **values)


def _unit_word(value: object) -> str:
    """One word of a line of systemd."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_specifiers(escaped)}"'


def _command_word(value: object) -> str:
    """One word of a command of systemd, in which `$` would be a variable."""
    return _unit_word(value).replace("$", "$$")


def _specifiers(value: object) -> str:
    """Text with `%` escaped, which systemd would read as a specifier."""
    return str(value).replace("%", "%%")


def _yaml(value: object) -> str:
    """A string of YAML; those of JSON are."""
    return json.dumps(str(value))


def _templates() -> Environment:
    environment = Environment(  # noqa: S701  shell and YAML, quoted by the filters below
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "unit_word": _unit_word,
        "command_word": _command_word,
        "specifiers": _specifiers,
        "yaml": _yaml,
    }
    return environment


_TEMPLATES = _templates()
