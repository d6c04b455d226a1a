"""How much of a table that is joined by its ids was found: the one rule for all of them.

Ids that differ by a zero in front, by case, by a space or by an offset match nothing, and what was
meant to be used, or forbidden, silently is not. So every joined table says how much of it was
found: little is a warning, nothing holds the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from recsys.errors import CheckError

LITTLE = 0.5
"""Share of the rows below which finding so few is a warning."""
FEW_ROWS = 20
"""Fewer rows than this may match nothing by chance, where ids of one kind are as expected."""
REMEDY = "compare the ids with those of the other table (type, zeros in front, case, spaces)"


@dataclass(frozen=True, kw_only=True)
class Match:
    """How many rows of a table name something that is there."""

    what: str
    """What the table is, e.g. "labels"."""
    place: str
    """Its file."""
    of: str
    """What its rows were looked for in, e.g. "transactions of the log"."""
    num_rows: int
    """Rows of the table."""
    num_found: int
    """Those of them that were found."""
    missed: str = ""
    """What is known of the others."""
    knows_a_side: bool = False
    """Whether ids of one kind were found, users or items: then ids are written as expected."""

    @property
    def may_be_chance(self) -> bool:
        """Whether finding nothing may be ordinary: a few pairs of users who are gone, say."""
        return self.knows_a_side and self.num_rows < FEW_ROWS

    @property
    def is_little(self) -> bool:
        """Whether so few were found that it is worth a warning."""
        return self.num_found < LITTLE * self.num_rows

    def __str__(self) -> str:
        told = f"{self.what}: {self.num_found:,} of {self.num_rows:,} rows are {self.of}"
        return f"{told}; {self.missed}" if self.missed and self.is_little else told

    def require_some(self, *, remedy: str = "", even_if_empty: bool = False) -> None:
        """Refuse a table with rows of which none was found, unless that may be chance.

        Args:
            remedy: What to do besides comparing the ids.
            even_if_empty: Whether a table without rows is refused too.

        Raises:
            CheckError: Nothing was found.
        """
        if self.num_found or self.may_be_chance:
            return
        if self.num_rows or even_if_empty:
            raise CheckError(
                rule=self.what,
                place=self.place,
                observed=f"none of its {self.num_rows:,} rows"
                + (f": {self.missed}" if self.missed else ""),
                limit=f"rows that are {self.of}",
                remedy=f"{REMEDY}{', ' if remedy else ''}{remedy}",
            )
