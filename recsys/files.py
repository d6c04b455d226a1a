"""Files that survive a crash, and records that show whether they changed since.

A folder is sealed by a table of its files with size and SHA-256. A name from such a table is
opened only after the folder's own listing has shown it, so that no record leads out of the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from recsys.config import config_class

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in hexadecimal."""


@config_class
class FileRecord:
    """What a file held when it was sealed."""

    size: int = Field(ge=0)
    """Length in bytes."""
    sha256: Sha256
    """Digest of the bytes."""


def write_new(path: Path, data: bytes | memoryview) -> FileRecord:
    """Write a new file, readable by its owner alone, and flush it to the disk.

    Raises:
        OSError: The file exists, or the disk refuses.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with _opened(path, flags) as descriptor:
        remaining = memoryview(data).cast("B")
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
    return FileRecord(size=memoryview(data).nbytes, sha256=hashlib.sha256(data).hexdigest())


def replace(path: Path, data: bytes) -> None:
    """Replace a file atomically: a reader sees the old content or the new one."""
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)
    write_new(draft, data)
    draft.replace(path)
    sync_folder(path.parent)


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder for its owner alone; it is removed with its content if the block fails.

    Raises:
        OSError: The folder exists, or cannot be made.
    """
    folder.mkdir(PRIVATE_FOLDER)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush a folder, everything in it and its own name to the disk."""
    for path in (folder / name for name in list_files(folder)):
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            os.fsync(descriptor)
    for current, _, _ in os.walk(folder, topdown=False, onerror=_raise):
        sync_folder(Path(current))
    sync_folder(folder.parent)


def list_files(folder: Path) -> list[str]:
    """Relative names of all files below a folder, with `/` between the parts, in ascending order.

    Raises:
        OSError: Something in it is neither a regular file nor a folder, e.g. a symbolic link.
    """
    names = []
    for current, folders, files in os.walk(folder, onerror=_raise):
        for path in (Path(current, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(path.relative_to(folder).as_posix())
            elif not stat.S_ISDIR(mode):
                raise OSError(0, "neither a regular file nor a folder", str(path))
    return sorted(names)


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Records of all files below a folder as they are now, by relative name."""
    return {name: record_file(folder / name) for name in list_files(folder)}


def record_file(path: Path) -> FileRecord:
    """Size and digest of a file, read in pieces."""
    with (
        _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor,
        os.fdopen(descriptor, "rb", closefd=False) as file,
    ):
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(size=file.tell(), sha256=digest)


def find_change(folder: Path, records: Mapping[str, FileRecord], *, besides: str) -> str | None:
    """The first difference between a sealed folder and its records; None when there is none.

    Sizes are compared before anything is read.

    Args:
        folder: The sealed folder.
        records: What each file held, by relative name.
        besides: The one file that has no record: the manifest that holds them.

    Returns:
        A phrase such as `"items.parquet of 10 bytes instead of 12"`.
    """
    present = set(list_files(folder)) - {besides}
    if missing := sorted(records.keys() - present):
        return f"no file {missing[0]!r}"
    if extra := sorted(present - records.keys()):
        return f"a file {extra[0]!r} that is not listed"
    for name, record in records.items():
        size = (folder / name).lstat().st_size
        if size != record.size:
            return f"{name!r} of {size} bytes instead of {record.size}"
    changed = (name for name, record in records.items() if record_file(folder / name) != record)
    return next((f"other bytes in {name!r}" for name in changed), None)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A file descriptor, closed at the end; an error in closing is an error."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
