"""How the process ends: one exit code, one line for people, one JSON line for the scheduler."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import NoReturn

from pipelines.jobs.console import print_result
from pipelines.jobs.streams import write_to
from recsys.errors import PublishError, RecsysError

DEFECT_EXIT_CODE = 70
_FOR_PEOPLE = {"init", "demo"}
"""Commands without a status line, however they end."""
_STOPPED = {128 + number: number.name for number in (signal.SIGINT, signal.SIGTERM)}
"""Exit codes of a command that a signal stopped, with its name."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_MEMORY = (
    "cannot allocate memory", "can't allocate memory", "failed to map segment", "out of memory",
    "not enough memory", "bad_alloc", "bad allocation", "can't start new thread",
)  # fmt: skip
"""What libraries say that get no memory, in errors of any type."""
GRACE_S = 20.0
"""Seconds that running code has to stop after a signal; then the process ends anyway."""


def run_to_the_end(command: Callable[[], object]) -> None:
    """Run a command; whatever goes wrong becomes an exit code and a status line.

    Raises:
        SystemExit: It went wrong.
    """
    _listen_for_stop()
    try:
        code = command()
        if isinstance(code, int) and code:
            sys.exit(code)
    except SystemExit as left:
        if left.code in _STOPPED:
            reported = f"stopped by {_STOPPED[left.code]}; the last good output is live"
            _end(left.code, "FAILED", reported, {})
        raise
    except Exception as error:  # noqa: BLE001  the last place to tell of it
        _end_by(error)


def _end_by(error: Exception) -> None:
    """The exit code and status line of an error; causes that are the machine's come first."""
    if _lacks_memory(error):
        remedy = "give the job more memory or less data"
        _end(1, "FAILED", f"expected memory enough, got none; {remedy}", {"rule": "memory"})
    full = next((one for one in _causes(error) if _is_full(one)), None)
    if full is not None:
        place = getattr(full, "filename", None) or "a disk"
        reason = os.strerror(errno.ENOSPC)
        reported = f"{place}: cannot publish: {reason}; make room, what was live still is"
        message = " ".join(str(error).split()) if isinstance(error, RecsysError) else reported
        _end(PublishError.exit_code, "FAILED", message, {"rule": "disk"})
    if isinstance(error, RecsysError):
        message = " ".join(str(error).split())
        _end(error.exit_code, error.outcome, message, error.details())
    if isinstance(error, OSError):
        place, reason = str(error.filename or "a file"), error.strerror or str(error)
        _end(1, "FAILED", f"{place}: cannot read or write: {reason}", {"file": place})
    _end_if_usage(error)
    _tell_where(error)
    _end(DEFECT_EXIT_CODE, "FAILED", f"a defect: {type(error).__name__}; please report it", {})


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made from."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _lacks_memory(error: BaseException) -> bool:
    for one in _causes(error):
        if isinstance(one, MemoryError) or getattr(one, "errno", None) == errno.ENOMEM:
            return True
        is_library = isinstance(one, ImportError | OSError | RuntimeError)
        if is_library and any(sign in str(one).lower() for sign in _NO_MEMORY):
            return True
    return False


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL


def _tell_where(error: Exception) -> None:
    """The way to a defect: its lines of code, and not what it says, which may be a value."""
    reported: BaseException | None = error
    while reported is not None:
        lines = traceback.format_tb(reported.__traceback__)
        write_to(sys.stderr, f"{''.join(lines)}{type(reported).__name__}\n")
        reported = reported.__cause__


def report_findings(
    job: str, report: Mapping[str, object], refusals: Sequence[RecsysError]
) -> None:
    """The status line of a job that only looks, and the first refusal as its end.

    Raises:
        SystemExit: There is a refusal.
    """
    outcome = refusals[0].outcome if refusals else "PASSED"
    print_result({"job": job, "outcome": outcome, **report})
    if refusals:
        write_to(sys.stderr, f"error: {' '.join(str(refusals[0]).split())}\n")
        sys.exit(refusals[0].exit_code)


def _end_if_usage(error: Exception) -> None:
    """End where the command line was not understood: such errors know how to say what is wrong."""
    message_of = getattr(error, "format_message", None)
    if message_of is None:
        return
    if type(error).__name__ == "NoArgsIsHelpError":
        getattr(error, "show", print)()  # the help, for those who say nothing
        sys.exit(2)
    message = " ".join(str(message_of()).split()).rstrip(".")
    _end(2, "FAILED", f"{message}; `recsys COMMAND --help` lists the options", {})


def _end(code: int, outcome: str, message: str, details: Mapping[str, object]) -> NoReturn:
    write_to(sys.stderr, f"{'skipped' if outcome == 'SKIPPED' else 'error'}: {message}\n")
    if _command() not in _FOR_PEOPLE:
        status = {"job": _command(), "outcome": outcome, "exit_code": code, **details}
        print_result({**status, "message": message})
    sys.exit(code)


def _command() -> str:
    """The command as it was given, e.g. `score-accounts` or `benchmark fraud`."""
    words = []
    for word in sys.argv[1:3]:
        if word.startswith("-") or "." in word or "/" in word:
            break
        words.append(word)
    return " ".join(words)


def _listen_for_stop() -> None:
    """SIGTERM and SIGINT end the command; should that not reach native code, the process ends.

    SIGINT too where a shell had it ignored, as for commands in the background of a script: whoever
    sends it wants an end.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        last = threading.Timer(GRACE_S, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
