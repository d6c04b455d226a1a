"""What schedulers read: parsed as they parse it, run as they run it, with a recording command."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from shop import run_main
from warm_commands import HANG_S

from pipelines.schedule.manifests import container_script, cron_manifests, systemd_manifests
from pipelines.schedule.schedule import SHIPPED_SCHEDULE, ScheduleConfig, load_schedule
from recsys.errors import ConfigError

RECORDING = """#!/bin/sh
printf '%s\\n' "$@" > "$RECORD"
umask >> "$RECORD"
[ -z "$SLOW" ] || exec sleep "$SLOW"
exit "${CODE:-0}"
"""


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A schedule in a folder whose name no shell or unit takes as it is, and a command there."""
    folder = tmp_path / 'our 100% "own" $HOME it\'s; a\\b'
    folder.mkdir()
    (folder / "shop.toml").write_text(
        '[data]\ninteractions = "log.parquet"\n[tracking]\nenabled = false\n'
    )
    (folder / "schedule.toml").write_text(
        '[jobs.check]\ncommand = "validate"\nconfig = "shop.toml"\ncron = "0 1 * * *"\n'
        'deadline_s = 1\ndescription = "100% \\"sure\\": $HOME"\n'
        '[jobs.train]\ncommand = "train-recommender"\nconfig = "shop.toml"\n'
        'cron = "30 2 * * MON"\nupstream = ["check"]\ndeadline_s = 60\n'
        '[jobs.log]\ncommand = "validate-transactions"\nconfig = "shop.toml"\n'
        'cron = "0 1 * * *"\ndeadline_s = 60\n'
    )
    command = folder / "recsys"
    command.write_text(RECORDING)
    command.chmod(0o755)
    return folder


def yesterday() -> str:
    """The day before the one that it is."""
    return str(datetime.now(UTC).date() - timedelta(days=1))


def jobs_of(folder: Path) -> ScheduleConfig:
    """The schedule in a folder."""
    return load_schedule(folder / "schedule.toml")


def run_shell(
    script: str, folder: Path, *arguments: str, **variables: str
) -> tuple[int, list[str]]:
    """Exit code of a script of `sh`, and the lines that the recording command left."""
    record = folder / "record"
    record.unlink(missing_ok=True)
    path = f"{folder}:{os.environ['PATH']}"
    code = subprocess.run(
        ["sh", "-c", script, *arguments],
        env={"RECORD": str(record), "PATH": path, **variables}, check=False,
    ).returncode  # fmt: skip
    return code, record.read_text().splitlines() if record.exists() else []


def cron_lines(folder: Path) -> dict[str, str]:
    """Commands of the crontab by job, as cron hands them to the shell."""
    files = cron_manifests(jobs_of(folder), source="schedule.toml", recsys=folder / "recsys")
    lines = files["recsys.crontab"].splitlines()
    commands = [line.split(maxsplit=5)[5] for line in lines if line and line[0] in "0123456789*"]
    assert not any("%" in text.replace(r"\%", "") for text in commands)  # cron would end there
    texts = [text.replace(r"\%", "%") for text in commands]
    return dict(zip(jobs_of(folder).jobs, texts, strict=True))


def unit(text: str) -> dict[str, list[str]]:
    """Settings of a unit of systemd by key."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def unit_words(line: str, *, is_command: bool) -> list[str]:
    """Words of a line of systemd after its own quoting, specifiers and variables."""
    words = [word.replace("%%", "%") for word in shlex.split(line)]
    return [word.replace("$$", "$") for word in words] if is_command else words


def units_of(folder: Path) -> dict[str, str]:
    """The units of the schedule in a folder."""
    return systemd_manifests(
        jobs_of(folder), source="schedule.toml", recsys=folder / "recsys", user="recsys",
        folder=folder,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (1, 1), (3, 3), (7, 0), (8, 8)])
def test_cron_runs_the_command_of_the_day(odd_folder: Path, code: int, seen: int) -> None:
    """A line of the crontab runs the command with config and day; only skipped is made success."""
    line = cron_lines(odd_folder)["train"]
    ended, said = run_shell(line, odd_folder, CODE=str(code))

    assert ended == seen
    assert said == [
        "train-recommender",
        str(odd_folder / "shop.toml"),
        "--as-of",
        yesterday(),
        "0077",
    ]


def test_a_command_without_a_day_gets_none(odd_folder: Path) -> None:
    """A command that takes no day is run without one, everywhere."""
    _, said = run_shell(cron_lines(odd_folder)["log"], odd_folder)
    assert said[:-1] == ["validate-transactions", str(odd_folder / "shop.toml")]

    start = unit(units_of(odd_folder)["recsys-log.service"])["ExecStart"][0]
    assert "--as-of" not in start
    assert "--as-of" not in container_script(jobs_of(odd_folder).jobs["log"])


def test_cron_stops_a_job_at_its_deadline(odd_folder: Path) -> None:
    """A job that goes on past its deadline ends, with the exit code of that."""
    ended, _ = run_shell(cron_lines(odd_folder)["check"], odd_folder, SLOW="600")

    assert ended == 8


def test_the_crontab_is_one(tmp_path: Path) -> None:
    """The crontab of the shipped schedule is accepted by cron's own check."""
    if shutil.which("crontab") is None:
        pytest.skip("there is no crontab")
    assert run_main("schedule", "cron", SHIPPED_SCHEDULE, "--out", tmp_path) == 0
    checks = [
        subprocess.run(["crontab", flag, tmp_path / "recsys.crontab"], check=False).returncode
        for flag in ("-T", "-n")  # of cronie and of Debian's cron
    ]
    assert 0 in checks


def test_a_line_that_cron_would_cut_is_refused(odd_folder: Path) -> None:
    """A command that is longer than cron reads is an error."""
    recsys = Path("/", *(["long"] * 250), "recsys")
    with pytest.raises(ConfigError, match="at most 990 characters"):
        cron_manifests(jobs_of(odd_folder), source="schedule.toml", recsys=recsys)


def test_systemd_runs_the_command_of_the_day(odd_folder: Path) -> None:
    """A service runs the command with config and day, and knows deadline, order and codes."""
    service = unit(units_of(odd_folder)["recsys-train.service"])
    words = unit_words(service["ExecStart"][0], is_command=True)
    ended, said = run_shell(words[2], odd_folder, *words[3:], CODE="3")

    assert words[:2] == ["/bin/sh", "-c"]
    assert (ended, said[:-1]) == (
        3, ["train-recommender", str(odd_folder / "shop.toml"), "--as-of", yesterday()]
    )  # fmt: skip
    assert service["SuccessExitStatus"] == ["7"]
    assert service["TimeoutStartSec"] == ["60"]
    assert service["TimeoutStopSec"] == ["30"]
    assert service["After"] == ["recsys-check.service"]
    assert service["UMask"] == ["0077"]
    assert "OMP_WAIT_POLICY=PASSIVE" in service["Environment"][0].split()
    writable = unit_words(service["ReadWritePaths"][0], is_command=False)
    assert writable == [str(odd_folder / "runs")]


@pytest.mark.parametrize(
    ("started", "result", "starts"),
    [("today", "success", True), ("today", "exit-code", False), ("today", "timeout", False),
     ("before", "exit-code", True), ("", "success", True)],
)  # fmt: skip
def test_systemd_starts_nothing_after_a_failed_upstream_of_the_day(
    odd_folder: Path, started: str, result: str, starts: bool
) -> None:
    """A job is not started on the day on which its upstream failed, and is on the next one."""
    today = datetime.now(UTC)
    moment = {"today": today, "before": today - timedelta(days=1)}.get(started)
    reported = "" if moment is None else f"{moment:%a %Y-%m-%d %H:%M:%S} UTC"
    command = odd_folder / "systemctl"
    command.write_text(
        '#!/bin/sh\n[ "${*##* }" = recsys-check.service ] || exit 9\n'
        f'case "$*" in *ExecMainStartTimestamp*) echo "{reported}";; *) echo {result};; esac\n'
    )
    command.chmod(0o755)
    service = unit(units_of(odd_folder)["recsys-train.service"])
    words = unit_words(service["ExecCondition"][0], is_command=True)
    ended, _ = run_shell(words[2], odd_folder, *words[3:])

    assert (ended == 0) == starts


def test_systemd_accepts_the_units(tmp_path: Path, odd_folder: Path) -> None:
    """The units of the shipped schedule, and those of an odd folder, pass systemd's own check."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for name, schedule in {
        "shipped": SHIPPED_SCHEDULE,
        "odd": odd_folder / "schedule.toml",
    }.items():
        out = tmp_path / name
        assert run_main("schedule", "systemd", schedule, "--out", out) == 0
        units = [path for path in out.iterdir() if path.suffix in {".service", ".timer"}]
        check = subprocess.run(
            ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
        )
        assert check.returncode == 0, check.stderr
        assert "recsys-" not in check.stderr, check.stderr


def test_a_user_that_is_none_is_refused(odd_folder: Path) -> None:
    """What is no name of a user does not get into a unit."""
    with pytest.raises(ConfigError, match="--user"):
        systemd_manifests(
            jobs_of(odd_folder), source="", recsys=Path("/recsys"), user="a\nb", folder=odd_folder
        )


def cronjob(folder: Path, out: Path, name: str) -> dict:
    """A CronJob of the schedule in a folder, as Kubernetes parses it."""
    options = ["--image", "registry.example/recsys:1", "--claim", "shop", "--out", out]
    assert run_main("schedule", "kubernetes", folder / "schedule.toml", *options) == 0
    return yaml.safe_load((out / f"recsys-{name}.yaml").read_text())


def test_kubernetes_reads_what_was_meant(odd_folder: Path, tmp_path: Path) -> None:
    """A CronJob has the times in UTC, deadline, no overlap, no retry where held, and hardening."""
    found = cronjob(odd_folder, tmp_path / "out", "train")
    spec = found["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    held = {one["action"]: one for one in job["podFailurePolicy"]["rules"]}["FailJob"]

    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * MON", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert job["activeDeadlineSeconds"] == 60
    assert held["onExitCodes"] == {"operator": "In", "values": [3, 8]}
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 30)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["volumeMounts"][0]["mountPath"] == str(odd_folder)
    assert {"name": "OMP_WAIT_POLICY", "value": "PASSIVE"} in container["env"]
    words = found["metadata"]["annotations"]
    assert words["recsys/upstream"] == "check"


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (3, 3), (6, 6), (7, 0)])
def test_a_container_runs_the_command_of_the_day(
    odd_folder: Path, tmp_path: Path, code: int, seen: int
) -> None:
    """The container runs the command with config and day; only skipped is made success."""
    found = cronjob(odd_folder, tmp_path / "out", "train")
    (container,) = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    shell, flag, script, *rest = [word.replace("$$", "$") for word in container["command"]]
    ended, said = run_shell(script, odd_folder, *rest, CODE=str(code))

    assert [shell, flag] == ["/bin/sh", "-c"]
    assert ended == seen
    assert said == [
        "train-recommender",
        str(odd_folder / "shop.toml"),
        "--as-of",
        yesterday(),
        "0077",
    ]


def test_a_container_hands_the_stop_on(odd_folder: Path) -> None:
    """SIGTERM to the container reaches the job, and the container ends as the job does."""
    (odd_folder / "recsys").write_text(
        f"#!{sys.executable}\nimport os, pathlib, signal, sys, time\n"
        "def stop(*_): time.sleep(0.3); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(os.environ['RECORD']).touch()\ntime.sleep(60)\n"
    )
    script, record = container_script(jobs_of(odd_folder).jobs["train"]), odd_folder / "record"
    path = f"{odd_folder}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["sh", "-c", script, "recsys", "shop.toml"], env={"PATH": path, "RECORD": str(record)}
    ) as process:
        while not record.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=HANG_S) == 143


def test_configs_that_the_volume_does_not_have_are_refused(odd_folder: Path) -> None:
    """A config outside the mounted folder ends the command before anything is written."""
    options = ["--image", "i", "--claim", "c", "--mount", "/srv", "--out", odd_folder / "out"]

    assert run_main("schedule", "kubernetes", odd_folder / "schedule.toml", *options) == 2
    assert not (odd_folder / "out").exists()


def test_files_are_for_their_owner(odd_folder: Path) -> None:
    """What is written is readable by its owner alone, as all that the jobs write."""
    out = odd_folder / "out"
    assert run_main("schedule", "cron", odd_folder / "schedule.toml", "--out", out) == 0

    assert out.stat().st_mode & 0o777 == 0o700
    assert (out / "recsys.crontab").stat().st_mode & 0o777 == 0o600
