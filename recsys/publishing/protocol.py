"""How a run becomes live: lock, sweep, write, seal, audit, commit, point, collect.

The stages are functions in this order. After each of them the live run is whole, and the sweep of
the next publish removes whatever was left.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

from recsys.config import config_to_dict
from recsys.errors import ArtifactError, HeldError, PublishError, SkippedError
from recsys.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    new_folder,
    record_files,
    sync_folder,
    sync_tree,
    write_new,
)
from recsys.publishing.moves import live_before, move_back, move_to
from recsys.publishing.runs import (
    RUN_ID,
    RUN_MANIFEST_NAME,
    PublishedRun,
    RunManifest,
    disk_errors,
    find_run,
    published_runs,
    read_pointer,
    run_folder,
    verify_run,
)
from recsys.publishing.signing import sign

_DRAFT_SUFFIX = ".tmp"
_UNKNOWN: Mapping[str, str] = MappingProxyType({})


def publish(
    root: Path,
    logical_date: date | str,
    write: Callable[[Path], None],
    *,
    run_id: str,
    audit: Callable[[Path], None] | None = None,
    hold: Callable[[Path], str] | None = None,
    provenance: Mapping[str, str] = _UNKNOWN,
    note: str = "",
    keep: int = 10,
) -> PublishedRun:
    """Write the outputs of one run and make them live.

    After a crash the same run may be published again, under its old `run_id` or a new one. A run
    for an earlier date than the live one is stored but does not become live, and neither does one
    that is held; `rollback` can make either live.

    Args:
        root: Folder of all runs; made when missing.
        logical_date: The day that the outputs are for.
        write: Writes the outputs into the empty folder that it is given.
        run_id: A name for the run: letters, digits, `_` and `-`; unique in `root`.
        audit: Reads the outputs back, and refuses them by raising an error of its own.
        hold: Looks at the written outputs and says why they must not become live; an empty text
            means that they may.
        provenance: What the outputs follow from: a run that follows from the same is the same.
        note: What people should know of the outputs.
        keep: How many runs stay, at least 1, by order of publication, and as many that are held.
            The live one always stays.

    Raises:
        PublishError: The run id is taken, or the disk fails. The earlier run stays live unless the
        message says that this is not certain.
        SkippedError: Another publisher is at work.
        HeldError: The audit found outputs that break their contract.
    """
    root, day = root.absolute(), _checked_date(logical_date)
    folder = run_folder(root, day, _checked_run_id(run_id))
    _make_root(root)
    with _publisher(root) as lock:
        _sweep(root)
        manifest = RunManifest(
            format="recsys-run",
            format_version=1,
            logical_date=day,
            run_id=run_id,
            sequence=_next_sequence(root, folder),
            files={},
            provenance=dict(provenance),
            note=note,
        )
        with _draft_of(folder) as draft:
            write(draft)
            # The draft is gone once the run has its name, which is what people will look for.
            held = "" if hold is None else hold(draft).replace(str(draft), str(folder))
            manifest = _seal(draft, replace(manifest, held=held))
            _audit(draft, audit)
            manifest = _commit(draft, folder, manifest)
        _check_lock(lock, root)
        run = _point(root, folder, manifest)
        _collect(root, keep)
    return run


def rollback(root: Path, run_id: str | None) -> PublishedRun:
    """Make a stored run live, after checking each of its files: an earlier one, or one held.

    Without a name the last move of the pointer is undone, whatever made it: what was live before
    it is again. Asked once more, it goes back one move further.

    Raises:
        PublishError: There is no such run, or it is damaged.
        SkippedError: Another publisher is at work.
    """
    root = root.absolute()
    if run_id is not None:
        _checked_run_id(run_id)
    if not root.is_dir():
        raise PublishError(f"{root}: expected stored runs, got no such folder; publish one first")
    with _publisher(root):
        folder = live_before(root) if run_id is None else find_run(root, run_id)
        if folder is None:
            raise PublishError(_no_run(root, run_id))
        manifest = verify_run(folder)
        if run_id is None:
            move_back(root, folder)
        else:
            move_to(root, folder)
    return PublishedRun(folder=folder, manifest=manifest, is_current=True)


def _no_run(root: Path, run_id: str | None) -> str:
    remedy = "`recsys status CONFIG` lists the runs that --to takes"
    if run_id is None:
        return (
            f"{root}: expected a run that was live before the live one and is still stored, got "
            f"none; {remedy}"
        )
    return f"{root}: expected a stored run {run_id!r}, got none of that name; {remedy}"


def _make_root(root: Path) -> None:
    with disk_errors(root, "cannot publish", remedy="check the path and its permissions"):
        if not root.exists():
            root.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            sync_folder(root.parent)


@contextmanager
def _publisher(root: Path) -> Iterator[int]:
    """Hold the lock of `root`; yields its descriptor. It is released when the process ends."""
    with disk_errors(root, "cannot publish", remedy="what was live before still is"):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(root / ".lock", flags, PRIVATE_FILE)
        try:
            take_lock(descriptor, root)
            yield descriptor
        finally:
            os.close(descriptor)


def take_lock(descriptor: int, root: Path) -> None:
    """Lock an open file of a folder for this process, at once or not at all.

    Raises:
        SkippedError: Another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SkippedError(
            f"{root}: expected to be the only publisher, got another one at work; wait for it"
        ) from None


def _check_lock(descriptor: int, root: Path) -> None:
    """Check that the lock file was not replaced: then another publisher may be at work."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), (root / ".lock").lstat()):
            return
    raise PublishError(
        f"{root}: expected to be the only publisher, got a lock file that was removed or replaced; "
        "run again, and leave the file alone"
    )


def _sweep(root: Path) -> None:
    """Remove what killed publishers have left."""
    for draft in root.glob(f"runs/*/*{_DRAFT_SUFFIX}"):
        shutil.rmtree(draft)
    for day in root.glob("runs/*"):
        with suppress(OSError):  # it holds runs
            day.rmdir()


def _next_sequence(root: Path, folder: Path) -> int:
    """Place of a new run in the order of publication, after checking that its name is free."""
    taken = find_run(root, folder.name)
    if taken not in (None, folder):
        raise PublishError(f"{taken}: expected a new run id, got this run's; choose another one")
    return max((run.manifest.sequence for run in published_runs(root)), default=0) + 1


@contextmanager
def _draft_of(folder: Path) -> Iterator[Path]:
    """A folder to write a run in; after the block it was renamed or removed."""
    folder.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
    draft = folder.with_name(folder.name + _DRAFT_SUFFIX)
    with new_folder(draft):
        yield draft


def _seal(draft: Path, manifest: RunManifest) -> RunManifest:
    """Record every file and bring all of them down to the disk."""
    files = record_files(draft)
    if not files:
        raise PublishError(f"{draft}: expected outputs to publish, got no file")
    manifest = replace(manifest, files=files)
    data = json.dumps(config_to_dict(manifest), indent=1).encode()
    write_new(draft / RUN_MANIFEST_NAME, data)
    sign(draft, data)
    sync_tree(draft)
    return manifest


def _audit(draft: Path, audit: Callable[[Path], None] | None) -> None:
    """Read the run back as a reader would, before anyone can see it."""
    if audit is not None:
        try:
            audit(draft)
        except ArtifactError as error:
            told = str(error).replace(f"{draft}/", "")  # which is removed: names of files stay
            raise HeldError(f"{told}; not published") from error
    verify_run(draft)


def _commit(draft: Path, folder: Path, manifest: RunManifest) -> RunManifest:
    """Give a run its final name, unless a run with the same content has it already."""
    if folder.exists():
        stored = verify_run(folder)
        if stored.files != manifest.files:
            raise PublishError(f"{folder}: expected a new run id, got one with other content")
        shutil.rmtree(draft)
        return stored
    draft.rename(folder)
    for parent in folder.parents[:3]:  # of the date, of all runs, and root
        sync_folder(parent)
    return manifest


def _point(root: Path, folder: Path, manifest: RunManifest) -> PublishedRun:
    """Make a run live, unless it is held or one of a later date is live."""
    live = read_pointer(root)
    is_newest = live is None or live.parent.name <= manifest.logical_date
    is_current = is_newest and not manifest.held
    if is_current:
        move_to(root, folder)
    return PublishedRun(folder=folder, manifest=manifest, is_current=is_current)


def _collect(root: Path, keep: int) -> None:
    """Remove all but the last runs, the last that are held, and the live one."""
    runs = published_runs(root)
    held = [run for run in runs if run.manifest.held]
    others = [run for run in runs if not run.manifest.held]
    for run in (*held[: -max(keep, 1)], *others[: -max(keep, 1)]):
        if not run.is_current:
            with suppress(OSError):  # the new run is live by now: the next one tries again
                draft = run.folder.with_name(run.folder.name + _DRAFT_SUFFIX)
                run.folder.rename(draft)
                shutil.rmtree(draft)


def _checked_date(logical_date: date | str) -> str:
    try:
        return date.fromisoformat(str(logical_date)).isoformat()
    except ValueError:
        raise PublishError(f"expected a date as YYYY-MM-DD, got {str(logical_date)!r}") from None


def _checked_run_id(run_id: str) -> str:
    if not RUN_ID.fullmatch(run_id):
        raise PublishError(f"expected a run id that matches {RUN_ID.pattern}, got {run_id!r}")
    return run_id
