"""How commands end when the machine gives out: the exit code is that of what happened."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop import RECSYS

from pipelines.jobs import ending as ending_module
from pipelines.jobs.console import Reporter, print_result
from pipelines.jobs.ending import run_to_the_end
from pipelines.jobs.streams import write_to
from recsys.errors import ArtifactError, DataError, PublishError, TrainingError

PUBLISHED = {"job": "x", "outcome": "PUBLISHED"}


def ending(command: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The status line of a command that fails; its exit code is the process's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit) as end:
            run_to_the_end(command)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    status = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert end.value.code == status["exit_code"]
    return status


def raising(*errors: BaseException) -> Callable[[], object]:
    """A command that raises the first error, from the second, and so on."""

    def command() -> None:
        for cause, error in zip(reversed(errors), [*reversed(errors[:-1]), None], strict=True):
            if error is None:
                raise cause
            error.__cause__ = cause

    return command


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 12 failed"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        ImportError("libx.so: cannot allocate memory in static TLS block"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_lack_of_memory_is_no_defect(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever notices it first, also where it was taken for a damaged file."""
    for wrapped in ((error,), (ArtifactError("damaged"), error)):
        status = ending(raising(*wrapped), capsys)
        assert (status["exit_code"], status["rule"]) == (1, "memory")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    "wrapped", [None, ArtifactError("cannot write"), TrainingError("no"), PublishError("no")]
)
def test_a_full_disk_ends_every_job_in_the_same_code(
    number: int, wrapped: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 6, whether a bundle, a checkpoint or a table finds no room."""
    full = OSError(number, os.strerror(number), "/srv/out")
    status = ending(raising(*((wrapped,) if wrapped else ()), full), capsys)
    assert (status["exit_code"], status["outcome"], status["rule"]) == (6, "FAILED", "disk")


def test_other_errors_keep_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused table, an unreadable file, a defect."""
    refused = DataError(file="f", expected="a", got="b", remedy="c")
    unreadable = PermissionError(errno.EACCES, "Permission denied", "f")
    codes = {3: (refused, unreadable), 1: (unreadable,), 70: (ImportError("no module x"),)}
    for code, errors in codes.items():
        assert ending(raising(*errors), capsys)["exit_code"] == code


class Broken(io.StringIO):
    """A stream that nobody reads any more."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        """Fail."""
        raise self.error


@given(
    error=st.sampled_from(
        [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left"), ValueError("closed")]
    ),
    is_out=st.booleans(),
)
def test_streams_that_break_change_no_outcome(error: Exception, is_out: bool) -> None:
    """What was published is, and the other stream says that the status line was lost."""
    whole = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Broken(error) if is_out else whole)
        patch.setattr(sys, "stderr", whole if is_out else Broken(error))
        Reporter().say("one line")
        Reporter().warn("one line")
        print_result(PUBLISHED)
    reported = whole.getvalue().splitlines()[-1]
    assert reported.endswith("PUBLISHED stands") if is_out else json.loads(reported) == PUBLISHED
    assert write_to(None, "nothing") == "the stream is closed"


@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full"]
)
def test_streams_that_are_closed_or_full_change_no_exit_code(
    redirection: str, tmp_path: Path
) -> None:
    """By the installed command, from the start: the refusal's code, and no file is a stream."""
    code = f'"{RECSYS}" validate missing.toml {redirection}; echo $? > code'
    subprocess.run(["/bin/sh", "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "code").read_text() == "2\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_a_status_line(
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """128 and the number of the signal, as it is documented."""
    monkeypatch.setattr(ending_module, "GRACE_S", 1e6)  # this process goes on
    status = ending(lambda: signal.raise_signal(number), capsys)
    assert (status["exit_code"], status["outcome"]) == (128 + number, "FAILED")
    assert status["message"] == f"stopped by {number.name}; the last good output is live"
