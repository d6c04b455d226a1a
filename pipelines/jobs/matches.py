"""How much of a joined table was found, as `recsys.datasets.checks.matching` counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.jobs.console import Reporter
    from recsys.datasets.checks.matching import Match


def tell_match(
    match: Match, reporter: Reporter, *, remedy: str = "", even_if_empty: bool = False
) -> None:
    """Say how much was found; little is a warning.

    Args:
        match: What was found.
        reporter: Whom to tell.
        remedy: What to do where nothing was, besides comparing the ids.
        even_if_empty: Whether a table without rows is refused too.

    Raises:
        CheckError: Nothing was found.
    """
    match.require_some(remedy=remedy, even_if_empty=even_if_empty)
    if match.is_little:
        reporter.warn(str(match))
    else:
        reporter.say(str(match))
