"""Where a column came from, so that messages use the user's own names."""

from __future__ import annotations

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
    """

    file: str
    column: str = ""
    is_text: bool = False

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


def printable(text: str) -> str:
    """Text with invisible characters, such as a byte order mark, written as escapes."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def listing(names: list[str]) -> str:
    """Names for a message: comma-separated, the first dozen."""
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
