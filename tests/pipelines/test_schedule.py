"""The schedule: what is refused and how, the order of jobs, and times beside a plain simulation."""

from __future__ import annotations

import itertools
import json
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import run_main

from pipelines.cli import app
from pipelines.operations.products import load_either_config
from pipelines.schedule.cron_times import CYCLE_DAYS, parse_cron
from pipelines.schedule.schedule import (
    COMMANDS,
    SHIPPED_SCHEDULE,
    STOP_S,
    UNDATED,
    ScheduleConfig,
    load_schedule,
    logical_day,
)
from recsys.config import parse_config
from recsys.errors import ConfigError

JOB: dict[str, object] = {
    "command": "validate", "config": "shop.toml", "cron": "0 1 * * *", "deadline_s": 600
}  # fmt: skip
TRAIN = JOB | {"command": "train-recommender"}


def schedule_of(**jobs: dict[str, object]) -> ScheduleConfig:
    """A checked schedule; hyphens are underscores in the names given."""
    named = {name.replace("_", "-"): job for name, job in jobs.items()}
    return parse_config(ScheduleConfig, {"jobs": named}, source="schedule.toml")


def test_the_shipped_schedule_is_sound() -> None:
    """The example runs every command, on configs that exist, each job after its upstream."""
    found = load_schedule(SHIPPED_SCHEDULE)
    names = list(found.jobs)

    assert {job.command for job in found.jobs.values()} == set(COMMANDS)
    for name, job in found.jobs.items():
        load_either_config(job.config)
        assert job.description
        assert all(names.index(upstream) < names.index(name) for upstream in job.upstream)


def test_commands_are_those_of_the_command_line() -> None:
    """Every command that can be scheduled exists, takes a config, and a day unless listed."""
    known = typer.main.get_group(app).commands
    for command in COMMANDS:
        assert command in known
        options = {name for one in known[command].params for name in one.opts}
        assert "config" in options, command
        assert ("--as-of" not in options) == (command in UNDATED), command


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ({"a": JOB | {"command": "trian"}}, "jobs.a.command: expected one of"),
        ({"a": JOB | {"upstream": ["b"]}}, "jobs.a.upstream: expected jobs of this schedule (a)"),
        ({"a": JOB | {"upstream": ["a"]}}, "the circle a -> a"),
        (
            {"a": JOB | {"upstream": ["b"]}, "b": TRAIN | {"upstream": ["a"]}},
            "the circle a -> b -> a",
        ),
        ({"a": JOB | {"deadline_s": 0}}, "expected an integer greater than 0, got 0"),
        ({"a": JOB | {"deadline": 5}}, "unknown key; did you mean 'deadline_s'?"),
        ({"a": JOB | {"description": "two\nlines"}}, "without control characters"),
        ({"a": JOB | {"config": "shop.toml\n"}}, "without control characters"),
        ({"A": JOB}, "got 'A'"),
        ({"a" * 41: JOB}, "at most 40"),
        ({"a": JOB, "b": JOB | {"config": "./shop.toml"}}, "'validate' of 'shop.toml' twice"),
        ({"a": JOB | {"cron": "soon"}}, "jobs.a.cron: expected a cron text with five fields"),
        (
            {"a": JOB, "b": TRAIN | {"upstream": ["a"], "cron": "5 1 * * *"}},
            "got 01:05, 300 s after 01:00, where the upstream may take 600 s",
        ),
        (
            {"a": JOB, "b": TRAIN | {"upstream": ["a"], "cron": "0 0 * * *"}},
            "of the same day, got 00:00 before 01:00",
        ),
        (
            {
                "a": JOB | {"cron": "0 23 31 12 *", "deadline_s": 86_400},
                "b": TRAIN | {"upstream": ["a"], "cron": "0 1 * * SUN"},
            },
            "got 01:00, 7200 s after 23:00",
        ),
    ],
)  # fmt: skip
def test_faults_are_refused_in_one_line(jobs: dict[str, dict[str, object]], said: str) -> None:
    """Each fault of a schedule is an error of one line that names the place."""
    with pytest.raises(ConfigError) as caught:
        parse_config(ScheduleConfig, {"jobs": jobs}, source="schedule.toml")

    assert str(caught.value).startswith("schedule.toml: jobs")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3 4", "0 1 2 3 4 5", "60 1 * * *", "0 24 * * *", "0 1 0 * *", "0 1 * 13 *",
     "0 1 * * 7", "0 1 * * 5-7", "0 1 L * *", "0 1 * * MON#1", "0 1 * * 5L", "5/10 * * * *",
     "*/0 * * * *", "0 1 30 2 *", "0 1 1 * MON", "0 1 * * FOO", "5-1 * * * *", "@daily",
     "0 1 * *\n* * rm"],
)  # fmt: skip
def test_times_that_schedulers_would_not_agree_on_are_refused(text: str) -> None:
    """What is no cron text, or means different things to different schedulers, is refused."""
    with pytest.raises(ValueError, match="expected a cron text with"):
        parse_cron(text)


def test_jobs_that_run_on_other_days_bind_each_other_only_where_they_meet() -> None:
    """A weekly upstream of a daily job counts on its day, and on days that it may reach into."""
    weekly = TRAIN | {"cron": "0 1 * * MON", "deadline_s": 7200}
    for cron, is_sound in {"5 3 * * *": True, "30 2 * * *": False, "30 2 * * TUE": True}.items():
        job = JOB | {"cron": cron, "upstream": ["weekly"]}
        if is_sound:
            schedule_of(weekly=weekly, daily=job)
        else:
            with pytest.raises(ConfigError, match="may take 7200 s"):
                schedule_of(weekly=weekly, daily=job)


def cron_texts() -> st.SearchStrategy[str]:
    """Texts with a few times a day, on days of the week or of the month."""
    minutes, hours = st.sampled_from(["0", "30", "*/20", "5,50"]), st.sampled_from(range(24))
    days = st.sampled_from(["* * *", "* * MON", "* * 1-5", "* * 0,3", "1 * *", "28-31 * *",
                            "*/2 * *", "1 3 *"])  # fmt: skip
    return st.builds(lambda minute, hour, day: f"{minute} {hour} {day}", minutes, hours, days)


@settings(max_examples=50)
@given(first=cron_texts(), second=cron_texts(), deadline_h=st.sampled_from([1, 5, 20, 30]))
def test_order_is_that_of_a_simulation(first: str, second: str, deadline_h: int) -> None:
    """A schedule is refused exactly where going through years of due times finds a clash."""
    begin, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    starts, dues = (
        list(itertools.takewhile(lambda one: one < end, CronSim(text, begin)))
        for text in (first, second)
    )
    needed = timedelta(hours=deadline_h, seconds=STOP_S)
    first_of_day = {one.date(): one for one in reversed(starts)}
    is_clash, at = False, 0
    for due in dues:
        while at < len(starts) and starts[at] <= due:
            at += 1
        is_close = at > 0 and due - starts[at - 1] < needed
        is_clash |= is_close or first_of_day.get(due.date(), due) > due
    up = TRAIN | {"cron": first, "deadline_s": 3600 * deadline_h}
    jobs = {"up": up, "down": JOB | {"cron": second, "upstream": ["up"]}}
    try:
        schedule_of(**jobs)
    except ConfigError:
        assert is_clash
    else:
        assert not is_clash


@given(text=cron_texts(), day=st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_times_of_a_day_are_those_that_follow(text: str, day: date) -> None:
    """Next times, times of day, days that match and days of the cycle agree."""
    times = parse_cron(text)
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    before = midnight - timedelta(seconds=1)
    of_day = [one for one in times.after(before, 4) if one.date() == day]
    minutes = [60 * one.hour + one.minute for one in of_day]

    assert minutes == (list(times.minutes_of_day()) if times.matches(day) else [])
    number = (day - date(2001, 1, 1)).days % CYCLE_DAYS
    assert (number in times.days_of_cycle()) == times.matches(day)


@pytest.mark.parametrize("text", ["30 1 * * *", "*/15 3,4 * * MON-FRI", "0 5 1,15 * *",
                                  "7 */6 29 2 *", "0 0 * JAN-MAR SUN"])  # fmt: skip
def test_systemd_reads_the_same_times(text: str) -> None:
    """The next times of the calendar form are those of the cron text, by systemd's own reading."""
    times = parse_cron(text)
    base = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
    try:
        reported = subprocess.run(
            ["systemd-analyze", "calendar", f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC",
             "--iterations=5", times.systemd_calendar()],
            capture_output=True, text=True, check=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
        ).stdout  # fmt: skip
    except FileNotFoundError:
        pytest.skip("there is no systemd-analyze")
    lines = [line for line in reported.splitlines() if "elapse:" in line or "Iter." in line]
    found = [line.split(": ", 1)[1].split(" UTC")[0] for line in lines]

    assert found == [f"{one:%a %Y-%m-%d %H:%M:%S}" for one in times.after(base, 5)]


def test_the_day_of_a_run_is_the_last_that_was_over() -> None:
    """A run that is due on a day stands for the day before."""
    assert logical_day(datetime(2026, 3, 1, 0, 0, tzinfo=UTC)) == date(2026, 2, 28)


def test_check_tells_jobs_in_upstream_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints every job with its next three times, and warns of a missing config."""
    path = tmp_path / "schedule.toml"
    path.write_text(
        '[jobs.second]\ncommand = "train-recommender"\nconfig = "shop.toml"\ncron = "0 2 * * *"\n'
        'upstream = ["first"]\ndeadline_s = 60\n'
        '[jobs.first]\ncommand = "validate"\nconfig = "shop.toml"\ncron = "0 1 * * MON"\n'
        "deadline_s = 60\n"
    )
    assert run_main("schedule", "check", path, "--from", "2026-03-01T00:00:00") == 0
    out, err = capsys.readouterr()
    reported = json.loads(out.splitlines()[-1])["next"]

    assert list(reported) == ["first", "second"]
    assert reported["first"] == ["2026-03-02T01:00Z", "2026-03-09T01:00Z", "2026-03-16T01:00Z"]
    assert reported["second"][0] == "2026-03-01T02:00Z"
    assert f"expected a file, got none at {tmp_path / 'shop.toml'}" in err
    assert "Mon 2026-03-16 01:00" in err


def test_a_wrong_schedule_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schedule that is wrong ends the command with the exit code of wrong settings."""
    path = tmp_path / "schedule.toml"
    path.write_text('[jobs.first]\ncommand = "validate"\n')

    assert run_main("schedule", "check", path) == 2
    assert capsys.readouterr().err.count("\n") == 1
