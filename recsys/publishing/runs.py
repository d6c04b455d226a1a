"""Runs on disk: their folders, their manifests, and the pointer to the live one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from recsys.config import config_class, parse_config
from recsys.errors import ConfigError, PublishError
from recsys.files import FileRecord, find_change, record_file, replace
from recsys.publishing.signing import check_signature, signature_record, signs

POINTER_NAME = "CURRENT"
RUN_MANIFEST_NAME = "_manifest.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # no dot: never mistaken for a draft

_POINTER = re.compile(rf"runs/(?P<day>\d{{4}}-\d{{2}}-\d{{2}})/(?P<run_id>{RUN_ID.pattern})\n")


@config_class
class RunManifest:
    """What a published run says of itself."""

    format: Literal["recsys-run"]
    """Tells a run's manifest from other JSON files."""
    format_version: Literal[1]
    """Version of the layout; other versions are refused."""
    logical_date: str
    """The day that the outputs are for, as YYYY-MM-DD."""
    run_id: str
    """The caller's name for the run."""
    sequence: int
    """Place in the order of publication, from 1, whatever the dates."""
    files: dict[str, FileRecord]
    """Size and digest of every other file, by relative name."""
    provenance: dict[str, str] = Field(
        default_factory=dict, validation_alias="made_from", serialization_alias="made_from"
    )
    """What the outputs follow from: digests of data and settings, the model, the version."""
    held: str = ""
    """Why the run did not become live when it was stored; empty for a run that might."""
    note: str = ""
    """What people should know of the outputs; empty where there is nothing to say."""


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """A complete run on disk."""

    folder: Path
    """Where its files lie; they never change."""
    manifest: RunManifest
    """What it says of itself."""
    is_current: bool
    """Whether readers see this run."""


def current_run(root: Path) -> Path:
    """Folder of the live run. A reader asks once and then reads from that folder alone.

    Raises:
        PublishError: Nothing is published in `root`, or its pointer leads nowhere or out of it, or
        there is a key and the signature of the run does not match.
    """
    with disk_errors(root, "cannot find the live run", remedy="check the permissions"):
        folder = read_pointer(root)
        if folder is None:
            raise PublishError(
                f"{root}: expected a published run, got none; publish one first, or make one that "
                "was held live by a rollback"
            )
        if not (folder / RUN_MANIFEST_NAME).is_file():
            raise PublishError(f"{root}: expected the live run at {folder}, got none; roll back")
        if not _is_within(root, folder):
            raise PublishError(f"{folder}: expected a folder, got a link out of {root}; roll back")
    if signs():
        manifest = verify_run(folder)
        name = manifest.logical_date, manifest.run_id
        if name != (folder.parent.name, folder.name):
            raise _damaged(folder, f"the manifest of {'/'.join(name)}")
    return folder


def published_runs(root: Path) -> list[PublishedRun]:
    """Complete runs in `root`, in order of publication.

    Folders without a valid manifest are skipped and, where there is a key, runs whose signature
    does not match.

    Raises:
        PublishError: The pointer to the live run cannot be read.
    """
    signs()  # an invalid key is reported before anything is skipped
    with disk_errors(root, "cannot list the runs", remedy="check the permissions"):
        live = read_pointer(root)
        runs = [
            PublishedRun(folder=folder, manifest=manifest, is_current=folder == live)
            for folder in root.glob("runs/*/*")
            if _is_within(root, folder) and (manifest := _sound_manifest(folder)) is not None
        ]
    return sorted(runs, key=lambda run: run.manifest.sequence)


def live_run(root: Path) -> PublishedRun | None:
    """The run that readers see, with its manifest; None before the first.

    Raises:
        PublishError: The pointer to it cannot be read.
    """
    return next((run for run in published_runs(root) if run.is_current), None)


def verify_run(folder: Path) -> RunManifest:
    """Check each file of a run against its manifest.

    Raises:
        PublishError: A file is missing, changed or not listed, or the manifest is damaged or, where
            there is a key, not signed with it.
    """
    signs()
    try:
        manifest = _read_manifest(folder)
    except (ConfigError, OSError, ValueError) as error:
        raise _damaged(folder, f"a manifest that cannot be read ({error})") from error
    with disk_errors(folder, "cannot read the run", remedy="check the permissions"):
        records = manifest.files | signature_record(folder)
        change = find_change(folder, records, besides=RUN_MANIFEST_NAME)
    if change is not None:
        raise _damaged(folder, change)
    return manifest


def run_folder(root: Path, logical_date: str, run_id: str) -> Path:
    """Where a run lies once it is complete."""
    return root / "runs" / logical_date / run_id


def find_run(root: Path, run_id: str) -> Path | None:
    """Folder of the run of that name, whatever its date; None when there is none."""
    return next(root.glob(f"runs/*/{run_id}"), None)


def read_pointer(root: Path) -> Path | None:
    """Folder that `CURRENT` names; None when there is no such file.

    Raises:
        PublishError: The file is a link, or names no run.
    """
    path = root / POINTER_NAME
    if path.is_symlink():
        raise PublishError(f"{path}: expected a file, got a symbolic link; remove it and roll back")
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    folder = parse_pointer(root, text)
    if folder is None:
        raise PublishError(f"{path}: expected runs/DATE/RUN_ID, got {text[:80]!r}; roll back")
    return folder


def parse_pointer(root: Path, text: str) -> Path | None:
    """Folder that a line such as that of `CURRENT` names; None where it names no run."""
    match = _POINTER.fullmatch(text)
    return None if match is None else run_folder(root, match["day"], match["run_id"])


def pointer_text(root: Path, folder: Path) -> str:
    """The line that names a run."""
    return f"{folder.relative_to(root).as_posix()}\n"


def write_pointer(root: Path, folder: Path) -> None:
    """Make `CURRENT` name a run, in one step for every reader."""
    remedy = "the live run is the old one or the new one, both complete"
    with disk_errors(root, "cannot confirm the new live run", remedy=remedy):
        replace(root / POINTER_NAME, pointer_text(root, folder).encode())


@contextmanager
def disk_errors(path: Path, problem: str, *, remedy: str) -> Iterator[None]:
    """Turn errors of the file system into one line that names the path."""
    try:
        yield
    except OSError as error:
        place, reason = error.filename or path, error.strerror or error
        raise PublishError(f"{place}: {problem}: {reason}; {remedy}") from error


def _read_manifest(folder: Path) -> RunManifest:
    data = (folder / RUN_MANIFEST_NAME).read_bytes()
    check_signature(folder, data)
    return parse_config(RunManifest, json.loads(data), source=RUN_MANIFEST_NAME)


def _sound_manifest(folder: Path) -> RunManifest | None:
    try:
        manifest = _read_manifest(folder) if RUN_ID.fullmatch(folder.name) else None
        if manifest is None or not signs():
            return manifest
        # The files of a bundle are checked by its own manifest when it is read, and that manifest
        # here.
        sealed = {
            name: one for name, one in manifest.files.items() if name.endswith("manifest.json")
        }
        is_sound = all(record_file(folder / name) == one for name, one in sealed.items())
        return manifest if is_sound else None
    except (ConfigError, OSError, ValueError):
        return None


def _is_within(root: Path, folder: Path) -> bool:
    """Whether no link on the way from `root` leads out of it; `root` itself may be a link."""
    return folder.resolve().is_relative_to(root.resolve())


def _damaged(folder: Path, change: str) -> PublishError:
    return PublishError(
        f"{folder}: expected the run as it was written, got {change}; remove it and publish again"
    )
