"""Options that cannot be: one line for people, one JSON line for schedulers, in every command."""

from __future__ import annotations

import json

import pytest
from bank import run_bank

COMMANDS = (
    "validate", "train-recommender", "write-recommendations", "similar-items", "check-drift",
    "train-fraud", "score-accounts", "embed-accounts",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "day", ["2026-02-30", "0000-01-01", "9999-12-31", "garbage", "2026-1-1", "20260101", ""]
)
def test_an_impossible_day_ends_in_one_line(command: str, day: str) -> None:
    """Exit code 2, one line that shows the day, and the status line of the command."""
    done = run_bank(command, "x.toml", "--as-of", day)
    assert (done.code, done.status["outcome"], done.status["job"]) == (2, "FAILED", command)
    assert done.messages.count("\n") == 1
    assert repr(day) in done.messages


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train-recommender",), "Missing argument 'CONFIG'"),
        (("train-recommender", "x.toml", "--bogus"), "--bogus"),
        (("no-such-command",), "no-such-command"),
        (("status",), "Missing argument 'CONFIG'"),
    ],
)
def test_a_command_line_that_is_not_understood_ends_alike(
    arguments: tuple[str, ...], said: str
) -> None:
    """A missing argument, an unknown option or command is one line and a status line too."""
    done = run_bank(*arguments)
    assert done.code == 2
    assert done.messages.count("\n") == 1
    assert said in done.messages
    assert json.loads(done.printed.splitlines()[-1])["exit_code"] == 2


@pytest.mark.parametrize("arguments", [("init",), ("init", "--interactions", "a", "--out", "b")])
def test_init_prints_no_status_line_however_it_ends(arguments: tuple[str, ...]) -> None:
    """A command for people ends in one line for people."""
    done = run_bank(*arguments)
    assert done.code in (2, 3)
    assert done.printed == ""
    assert done.messages.startswith("error: ")
