"""The building blocks of a report: sections, and pictures beside tables within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.recommender.report.content import ExampleList
from recsys.recommender.report.drawing import Picture
from recsys.recommender.report.tables import Table


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """A part of the report."""

    anchor: str
    """Its name in links."""
    title: str
    """Its heading."""
    text: tuple[str, ...] = ()
    """Paragraphs before anything else."""
    blocks: tuple[Block, ...] = ()
    """Pictures and tables."""
    examples: Sequence[ExampleList] = ()
    """Lists of users."""


def described(*sentences: str) -> str:
    """Sentences of an alternative text."""
    return " ".join(f"{one.rstrip('.')}." for one in sentences if one)
