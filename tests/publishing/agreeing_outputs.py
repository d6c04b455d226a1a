"""Outputs whose parts have to agree: a reader that sees a mixture of two runs notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recsys.publishing import current_run, verify_run


def writing(text: str) -> Callable[[Path], None]:
    """A callback that writes two files with the same text."""

    def write(folder: Path) -> None:
        (folder / "day=1").mkdir()
        (folder / "day=1/part-0.txt").write_text(text)
        (folder / "b.txt").write_text(text)

    return write


def live_text(root: Path) -> str:
    """What a reader sees: the text of both files, which have to agree."""
    folder = current_run(root)
    verify_run(folder)
    first, second = (folder / "day=1/part-0.txt").read_text(), (folder / "b.txt").read_text()
    assert first == second
    return first
