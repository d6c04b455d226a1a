"""Every error that this project raises on purpose. This module imports nothing.

    RecsysError              exit code 1   base class: catch this one
    ├── ConfigError          exit code 2   a setting or an option is wrong
    ├── DataError            exit code 3   a table was refused: file, column, expected, got, remedy
    ├── ArtifactError        exit code 4   a bundle or an index cannot be used
    │   └── FingerprintMismatchError       it belongs to another model
    ├── TrainingError        exit code 5   training cannot go on, e.g. a loss that is not finite
    └── PublishError         exit code 6   outputs were not published; the last good ones are live

A message is one line: what was expected, what came, what to do.
"""

from __future__ import annotations

from typing import ClassVar


class RecsysError(Exception):
    """Base class of all errors that a user can cause or cure."""

    exit_code: ClassVar[int] = 1


class ConfigError(RecsysError):
    """A setting or a command-line option is wrong."""

    exit_code = 2


class DataError(RecsysError):
    """A table was refused.

    Args:
        file: The file, folder or table that holds the fault.
        column: The column, in the user's own naming; empty when the fault is not in one column.
        expected: What the rule asks for.
        got: What was found, with a count where that helps.
        remedy: What the user can do about it.
    """

    exit_code = 3

    def __init__(
        self, *, file: str, column: str = "", expected: str, got: str, remedy: str
    ) -> None:
        self.file = file
        self.column = column
        self.expected = expected
        self.got = got
        self.remedy = remedy
        place = f"{file}: column {column!r}" if column else file
        super().__init__(f"{place}: expected {expected}, got {got}; {remedy}")


class ArtifactError(RecsysError):
    """A bundle or an index is missing, damaged or of an unknown format."""

    exit_code = 4


class FingerprintMismatchError(ArtifactError):
    """An artifact was made from another model than the one it is used with."""


class TrainingError(RecsysError):
    """Training cannot go on."""

    exit_code = 5


class PublishError(RecsysError):
    """Outputs could not be published; what was live before still is."""

    exit_code = 6
