"""The building blocks of a page: pictures beside tables."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.reporting.drawing import Picture
from recsys.reporting.tables import Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A picture beside the tables that hold its numbers."""

    title: str = ""
    """A heading below that of the section."""
    text: str = ""
    """What to know about it."""
    picture: Picture | None = None
    """The picture."""
    tables: tuple[Table, ...] = ()
    """The tables."""


def described(*sentences: str) -> str:
    """Sentences of an alternative text."""
    return " ".join(f"{one.rstrip('.')}." for one in sentences if one)
