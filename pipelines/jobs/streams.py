"""The output streams of a job: one that breaks or is closed does not change the outcome.

A pipe may be closed, a disk with a log on it full, a stream missing from the start. What was
published stays published, and the exit code says so.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

_LOST = (OSError, ValueError, AttributeError)
"""Errors of writing to a stream that is broken, closed or missing."""


class ErrorStream:
    """The standard error as a file for people: what cannot be written is lost without an error."""

    def write(self, text: str) -> int:
        """Write, if the stream is open."""
        write_to(sys.stderr, text)
        return len(text)

    def flush(self) -> None:
        """Everything is flushed as it is written."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(*_LOST):
            return sys.stderr.isatty()
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the stream has
        return getattr(sys.stderr, name)


def write_to(stream: TextIO | None, text: str) -> str:
    """Write to a stream and flush it; returns why this failed, empty if it did not."""
    try:
        if stream is None:
            return "the stream is closed"
        stream.write(text)
        stream.flush()
    except _LOST as error:
        _silence(stream)
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""


def open_missing_streams() -> None:
    """Give the numbers 0, 1 and 2 to something, so that no output file is taken for a stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _silence(stream: TextIO | None) -> None:
    """Discard what is still in the buffer of a broken stream, also when it is closed."""
    with suppress(*_LOST):
        number = stream.fileno() if stream is not None else -1
        if number in (1, 2):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
