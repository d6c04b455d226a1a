"""Saving from Python: publishes a run that becomes live whatever its day, and finds saved runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from recsys.errors import ArtifactError, PublishError
from recsys.publishing.protocol import publish, rollback
from recsys.publishing.runs import current_run, published_runs


def publish_live(root: Path, day: date, write: Callable[[Path], None]) -> Path:
    """Publish a run as the jobs do, and make it live even where a run of a later day is.

    Args:
        root: Folder of all runs; made when missing.
        day: The day that it is for.
        write: Writes the outputs into the empty folder that it is given.

    Returns:
        The folder of the run.

    Raises:
        PublishError: The disk refuses.
        SkippedError: Another publisher is at work.
    """
    stored = published_runs(root) if root.is_dir() else []
    number = max((run.manifest.sequence for run in stored), default=0) + 1
    run = publish(root, day, write, run_id=f"saved-{number:06}")
    return run.folder if run.is_current else rollback(root, run.manifest.run_id).folder


def find_saved(folder: Path, kind: str) -> Path:
    """The run that a folder means: itself, or the live one in it.

    Args:
        folder: A published run, the folder of such runs, or a folder that jobs have as
            `output.directory`.
        kind: Name of the folder of runs below the latter.

    Raises:
        ArtifactError: There is none.
    """
    if (folder / "model").is_dir():
        return folder
    for root in (folder / kind, folder):
        if (root / "CURRENT").exists():
            try:
                return current_run(root)
            except PublishError as error:
                raise ArtifactError(str(error)) from error
    raise ArtifactError(
        f"{folder}: expected a saved model or a folder with published {kind}, got "
        f"{'neither' if folder.is_dir() else 'no such folder'}; check the path"
    )
