"""The spool: recorded runs on the local disk, until MLflow has them.

    spool/lock                        held by the one process that replays
    spool/<run key>/events.jsonl      one event a line; held by the job while it runs
    spool/<run key>/cursor.json       how far the replay came
    spool/<run key>/files/<number>/   copies of the files of an event

A folder whose name starts with a dot is being made or removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from recsys.files import PRIVATE_FILE, PRIVATE_FOLDER, list_files

EVENTS, FILES = "events.jsonl", "files"
EventKind = Literal["start", "batch", "dataset", "files", "model", "promote", "end"]

_RUN_KEY = re.compile(r"[0-9a-f]{32}")
_READ_OR_MAKE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_REMOVED = ".removed-"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One record of a run: figures, a file, a model, its end."""

    sequence: int
    """Its place among the events of the run."""
    at_ms: int
    """When it was recorded, in milliseconds since 1970; the same in every replay."""
    kind: EventKind
    """What it is."""
    values: dict[str, JsonValue]
    """What it says."""


@dataclass(kw_only=True, eq=False)
class SpoolWriter:
    """Appends the events of one run. The open file is locked: a run at work is not replayed."""

    folder: Path
    """The run's folder; its name is the run's key."""
    descriptor: int
    """The open file of events."""
    sequence: int = 0
    """Number of the next event."""

    def append(self, kind: EventKind, values: Mapping[str, JsonValue]) -> None:
        """Write an event, whole or not at all.

        Raises:
            OSError: The disk refuses.
        """
        # The tracker needs the moment; nothing is computed from it.
        event = {"sequence": self.sequence, "at_ms": time.time_ns() // 1_000_000, "kind": kind}
        line = json.dumps({**event, "values": values}).encode() + b"\n"
        before = os.fstat(self.descriptor).st_size
        try:
            remaining = memoryview(line)
            while remaining:
                remaining = remaining[os.write(self.descriptor, remaining) :]
        except OSError:
            os.ftruncate(self.descriptor, before)
            raise
        self.sequence += 1

    def new_folder(self) -> Path:
        """An empty folder for the files of the next event."""
        folder = event_files(self.folder, self.sequence)
        folder.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # of an event that could not be written
        folder.mkdir(PRIVATE_FOLDER)
        return folder

    def close(self) -> None:
        """Flush the events to the disk and release the run."""
        try:
            os.fsync(self.descriptor)
        finally:
            os.close(self.descriptor)


def open_writer(spool: Path, run_key: str, start: Mapping[str, JsonValue]) -> SpoolWriter:
    """Make the folder of a run, its first event in it.

    Raises:
        OSError: The disk refuses.
    """
    spool.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    draft = spool / f".{run_key}"
    draft.mkdir(PRIVATE_FOLDER)
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(draft / EVENTS, flags, PRIVATE_FILE)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer = SpoolWriter(folder=spool / run_key, descriptor=descriptor)
        writer.append("start", start)
        draft.rename(writer.folder)  # only now may another job see it, and find it locked
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return writer


def event_files(folder: Path, sequence: int) -> Path:
    """Where the files of an event lie."""
    return folder / FILES / f"{sequence:06}"


def read_events(folder: Path) -> tuple[list[Event], int]:
    """The events of a run in their order, and the number of lines that are not events.

    What follows the last line end was being written when the job died; it is not an event.
    """
    events, num_damaged = [], 0
    for line in (folder / EVENTS).read_bytes().split(b"\n")[:-1]:
        try:
            event = Event(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            num_damaged += 1
        else:
            events.append(event)
    return sorted(events, key=lambda event: event.sequence), num_damaged


def waiting_runs(spool: Path) -> list[Path]:
    """Folders of runs that have ended and wait, those that wait longest first."""
    if not spool.is_dir():
        return []
    folders = [path for path in spool.iterdir() if _RUN_KEY.fullmatch(path.name)]
    ended = [path for path in folders if not path.is_symlink() and _has_ended(path)]
    return sorted(ended, key=lambda path: (_last_written(path), path.name))


def remove_run(folder: Path) -> None:
    """Remove the folder of a delivered run; killed half-way, it still counts as removed."""
    away = folder.with_name(_REMOVED + folder.name)
    folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


@contextmanager
def spool_lock(spool: Path) -> Iterator[bool]:
    """Hold the lock of the spool for the time of the block; yields whether this process has it."""
    descriptor = os.open(spool / "lock", _READ_OR_MAKE, PRIVATE_FILE)
    try:
        held = _take(descriptor)
        if held:
            for rest in spool.glob(f"{_REMOVED}*"):
                shutil.rmtree(rest, ignore_errors=True)
        yield held
    finally:
        os.close(descriptor)


def copy_private(source: Path, folder: Path, *, linked: bool = False) -> None:
    """Copy a file, or what is in a folder, into a folder; readable by its owner alone.

    Args:
        source: File or folder.
        folder: An existing folder.
        linked: Whether the files never change, so that hard links will do instead of copies.

    Raises:
        OSError: The disk refuses, or a part of the source is no regular file.
    """
    names = list_files(source) if source.is_dir() else [source.name]
    base = source if source.is_dir() else source.parent
    for name in names:
        target = folder / name
        for parent in reversed(target.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(PRIVATE_FOLDER, exist_ok=True)
        if not (linked and _linked(base / name, target)):
            shutil.copyfile(base / name, target)
            target.chmod(PRIVATE_FILE)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or one without links
        return False
    return True


def _has_ended(folder: Path) -> bool:
    """Whether no job writes to a run any more, be it done or dead."""
    try:
        descriptor = os.open(folder / EVENTS, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return _take(descriptor)
    finally:
        os.close(descriptor)


def _last_written(folder: Path) -> float:
    with suppress(OSError):  # another job has just delivered it
        return (folder / EVENTS).stat().st_mtime
    return 0.0


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
