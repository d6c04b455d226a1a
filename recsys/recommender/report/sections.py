"""The parts that a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.recommender.report.content import ExampleList
from recsys.reporting.blocks import Block


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
