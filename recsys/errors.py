"""Every error that this project raises on purpose. This module imports nothing.

    RecsysError              exit code 1   base class: catch this one
    ├── ConfigError          exit code 2   a setting or an option is wrong
    ├── HeldError            exit code 3   something was checked and refused; a person should look
    │   ├── DataError                      a table: file, column, expected, got, remedy
    │   └── CheckError                     a rule: what was observed, and its limit
    ├── ArtifactError        exit code 4   a bundle or an index cannot be used
    │   └── FingerprintMismatchError       it belongs to another model
    ├── TrainingError        exit code 5   training cannot go on, e.g. a loss that is not finite
    ├── PublishError         exit code 6   outputs were not published; the last good ones are live
    └── SkippedError         exit code 7   nothing to do: done already, or another run is at work

After any of them, what was live before stays live. A job that ends with an error has the outcome
HELD, SKIPPED or, for all others, FAILED. A message is one line: what was expected, what came, what
to do.
"""

from __future__ import annotations

from typing import ClassVar


class RecsysError(Exception):
    """Base class of all errors that a user can cause or cure."""

    exit_code: ClassVar[int] = 1
    outcome: ClassVar[str] = "FAILED"
    """How a job ends that raises it."""

    def details(self) -> dict[str, object]:
        """What a status line names beside the message."""
        return {}


class ConfigError(RecsysError):
    """A setting or a command-line option is wrong."""

    exit_code = 2


class HeldError(RecsysError):
    """Data, a model or an output was checked and refused; what was live before still is."""

    exit_code = 3
    outcome = "HELD"


class DataError(HeldError):
    """A table was refused.

    Args:
        file: The file, folder or table that holds the fault.
        column: The column, in the user's own naming; empty when the fault is not in one column.
        expected: What the rule asks for.
        got: What was found, with a count where that helps.
        remedy: What the user can do about it.
    """

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

    def details(self) -> dict[str, object]:
        """File, column, rule and what was observed."""
        return {
            "file": self.file,
            "column": self.column or None,
            "rule": self.expected,
            "observed": self.got,
        }


class CheckError(HeldError):
    """A rule refused data, a model or an output.

    Args:
        rule: Name of the rule, e.g. `"volume"`.
        place: The file, table or model that it looked at.
        column: The column in the user's own naming; empty when it is about no single one.
        observed: What was found.
        limit: What would have passed.
        remedy: What the user can do about it.
    """

    def __init__(
        self, *, rule: str, place: str, column: str = "", observed: str, limit: str, remedy: str
    ) -> None:
        self.rule = rule
        self.place = place
        self.column = column
        self.observed = observed
        self.limit = limit
        where = f"{place}: column {column!r}" if column else place
        super().__init__(f"{where}: {self.reason}; {remedy}")

    @property
    def reason(self) -> str:
        """What was found and what would have passed, without where and what to do."""
        return f"{self.rule}: expected {self.limit}, got {self.observed}"

    def details(self) -> dict[str, object]:
        """File, column, rule, what was observed and the limit."""
        return {
            "file": self.place,
            "column": self.column or None,
            "rule": self.rule,
            "observed": self.observed,
            "limit": self.limit,
        }


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


class SkippedError(RecsysError):
    """There is nothing to do: the work is done already, or another run is doing it."""

    exit_code = 7
    outcome = "SKIPPED"
