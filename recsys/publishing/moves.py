"""The history of live runs, so that the last move of the pointer can be undone.

A file beside the pointer lists them, the live one last. The pointer decides: after a crash, entries
after the live run in that file do not count.
"""

from __future__ import annotations

from pathlib import Path

from recsys.errors import PublishError
from recsys.files import replace
from recsys.publishing.runs import (
    RUN_MANIFEST_NAME,
    disk_errors,
    parse_pointer,
    pointer_text,
    published_runs,
    read_pointer,
    write_pointer,
)

MOVES_NAME = ".moves"
_MOST_MOVES = 100


def move_to(root: Path, folder: Path) -> None:
    """Make a run live, and remember which one was live before."""
    trail = _trail(root)
    if not trail or trail[-1] != folder:
        _write(root, [*trail, folder])
    write_pointer(root, folder)


def move_back(root: Path, folder: Path) -> None:
    """Make an earlier live run live again, and forget those after it."""
    trail = _trail(root)
    write_pointer(root, folder)
    places = [place for place, one in enumerate(trail[:-1]) if one == folder]
    _write(root, trail[: places[-1] + 1] if places else [folder])


def live_before(root: Path) -> Path | None:
    """The run that was live before the live one and is still stored; None where there is none."""
    *earlier, _ = _trail(root) or [root]
    complete = [one for one in earlier if (one / RUN_MANIFEST_NAME).is_file()]
    return complete[-1] if complete else None


def _trail(root: Path) -> list[Path]:
    """Runs in the order in which they were live, the live one last; empty before the first."""
    try:
        live = read_pointer(root)
    except PublishError:
        return []  # a broken pointer, which a move to a named run repairs
    if live is None:
        return []
    try:
        lines = (root / MOVES_NAME).read_text(errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        lines = []
    trail = [folder for line in lines if (folder := parse_pointer(root, line)) is not None]
    if live in trail:
        last = len(trail) - 1 - trail[::-1].index(live)
        return trail[: last + 1]
    # Outputs of an earlier version: what was published became live in that order.
    return [*_published_before(root, live), live]


def _published_before(root: Path, live: Path) -> list[Path]:
    runs = published_runs(root)
    sequence = next((run.manifest.sequence for run in runs if run.folder == live), 0)
    return [
        run.folder for run in runs if not run.manifest.held and run.manifest.sequence < sequence
    ]


def _write(root: Path, trail: list[Path]) -> None:
    text = "".join(pointer_text(root, folder) for folder in trail[-_MOST_MOVES:])
    with disk_errors(root, "cannot note which run was live", remedy="make room, and run again"):
        replace(root / MOVES_NAME, text.encode())
