"""Where a column came from, so that messages use the user's own names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recsys.errors import DataError

_MAX_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The file and column, as the user named them, that values were read from.

    Args:
        file: Path as the user wrote it.
        column: The user's name of the column; empty when a whole table is meant.
        is_text: Whether the file is CSV, in which every value is text.
        setting: The setting that names the column, for remedies; empty where none does.
    """

    file: str
    column: str = ""
    is_text: bool = False
    setting: str = ""

    @property
    def remapping(self) -> str:
        """The remedy where a column is not the one that was meant."""
        return f"name another column in {self.setting}" if self.setting else "map another column"

    def refusal(self, *, expected: str, got: str, remedy: str) -> DataError:
        """The error for a fault at this origin."""
        return DataError(
            file=self.file,
            column=self.column,
            expected=printable(expected),
            got=one_line(got),
            remedy=printable(remedy),
        )


def one_line(text: str, max_chars: int = 240) -> str:
    """Text without line breaks, cut where it gets too long for a message."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= max_chars else f"{line[:max_chars]}..."


def reason_of(error: Exception) -> str:
    """The message of an error in one line; for a `KeyError`, which key is missing."""
    if isinstance(error, KeyError) and error.args:
        return one_line(f"one without {error.args[0]!r}")
    return one_line(str(error))


def reason_without_values(error: Exception) -> str:
    """What a library says of a file, without what it quotes: that may be a value."""
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "...", str(error))
    return one_line(re.sub(r"(?i)(value|got|found|:)\s*-?[\d.]{4,}.*", r"\1 ...", text))


def printable(text: str) -> str:
    """Text with invisible characters, such as a byte order mark, written as escapes."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def listing(names: list[str]) -> str:
    """Names for a message: comma-separated, the first dozen."""
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
