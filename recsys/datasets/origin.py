"""Where a column came from, so that every refusal speaks the user's own words."""

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
        """The error that says what is wrong here."""
        return DataError(
            file=self.file, column=self.column, expected=expected, got=one_line(got), remedy=remedy
        )


def one_line(text: str, max_chars: int = 240) -> str:
    """Text without line breaks, cut where it gets too long for a message."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else f"{line[:max_chars]}..."


def listing(names: list[str]) -> str:
    """Names for a message: comma-separated, the first dozen."""
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
