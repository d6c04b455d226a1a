"""Tables of a page, as text in cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recsys.reporting import formats


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value as text."""

    text: str
    """The value."""
    note: str = ""
    """What stands beside it in small print, e.g. its margin."""
    is_best: bool = False
    """Whether it is the best of its row."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under a header; the first cell of a row names it."""

    caption: str
    """What the table holds."""
    header: tuple[str, ...]
    """Name of each column."""
    rows: tuple[tuple[Cell, ...], ...]
    """As many cells as the header has."""
    is_numeric: bool = True
    """Whether the cells after the first hold numbers, to be set flush right."""
    is_folded: bool = False
    """Whether it is shown on demand only."""


def fact_table(caption: str, facts: Mapping[str, str], *, is_folded: bool = False) -> Table:
    """Names and what they stand for."""
    return Table(
        caption=caption,
        header=("Name", "Value"),
        rows=tuple((Cell(text=name), Cell(text=value)) for name, value in facts.items()),
        is_numeric=False,
        is_folded=is_folded,
    )


def flattened(settings: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted keys and values of tables within tables."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _setting(value)


def _setting(value: object) -> str:
    if value is None:
        return formats.NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or formats.NOTHING
    return str(value)
