"""How the process ends: one exit code, one line for people, one JSON line for the scheduler."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from pipelines.jobs.console import print_result
from recsys.errors import RecsysError

STOPPED_EXIT_CODE, DEFECT_EXIT_CODE = 143, 70
GRACE_S = 20.0
"""Seconds that running code has to stop after SIGTERM; then the process ends anyway."""


def run_to_the_end(command: Callable[[], object]) -> None:
    """Run a command; whatever goes wrong becomes an exit code and a status line.

    Raises:
        SystemExit: It went wrong.
    """
    _listen_for_stop()
    try:
        command()
    except RecsysError as error:
        message = " ".join(str(error).split())
        _end(error.exit_code, error.outcome, message, error.details())
    except SystemExit as left:
        if left.code == STOPPED_EXIT_CODE:
            _end(STOPPED_EXIT_CODE, "FAILED", "stopped by SIGTERM; nothing was published", {})
        raise
    except MemoryError:
        remedy = "give the job more memory or less data"
        _end(1, "FAILED", f"expected memory enough, got none; {remedy}", {"rule": "memory"})
    except OSError as error:
        place, reason = error.filename or "a file", error.strerror or error
        _end(1, "FAILED", f"{place}: cannot read or write: {reason}", {"file": str(place)})
    except Exception as error:  # noqa: BLE001  the last place to tell of it
        _tell_where(error)
        _end(DEFECT_EXIT_CODE, "FAILED", f"a defect: {type(error).__name__}; please report it", {})


def _tell_where(error: Exception) -> None:
    """The way to a defect: its lines of code, and not what it says, which may be a value."""
    told: BaseException | None = error
    while told is not None:
        lines = traceback.format_tb(told.__traceback__)
        sys.stderr.write(f"{''.join(lines)}{type(told).__name__}\n")
        told = told.__cause__


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
        sys.stderr.write(f"error: {' '.join(str(refusals[0]).split())}\n")
        sys.exit(refusals[0].exit_code)


def _end(code: int, outcome: str, message: str, details: Mapping[str, object]) -> None:
    sys.stderr.write(f"{'skipped' if outcome == 'SKIPPED' else 'error'}: {message}\n")
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
    """SIGTERM ends the command; should that not reach a loop in native code, the process ends."""
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        last = threading.Timer(GRACE_S, os._exit, (STOPPED_EXIT_CODE,))
        last.daemon = True
        last.start()
        raise SystemExit(STOPPED_EXIT_CODE)

    signal.signal(signal.SIGTERM, stop)
