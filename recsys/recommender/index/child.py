"""Opens an index in a child process first: bytes that crash faiss crash the child, not the job.

The child is not a sandbox. It contains crashes, unbounded memory and endless loops. Against bytes
that were made to run code, sign the runs (docs/guide/security.md).
"""

from __future__ import annotations

import importlib.util
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from recsys.errors import ArtifactError
from recsys.recommender.config import IndexKind
from recsys.recommender.index import child_program

_HEADER = struct.Struct("<4siqqqBi")
"""Four letters of the class, width, number of vectors, two unused, whether trained, metric."""
_CLASSES: dict[IndexKind, tuple[bytes, str]] = {
    "exact": (b"IxFI", "IndexFlatIP"),
    "ivf": (b"IwFl", "IndexIVFFlat"),
    "hnsw": (b"IHNf", "IndexHNSWFlat"),
}
"""The four letters that a kind of index may begin with, and its class."""
_INNER_PRODUCT = 0
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Environment variables that the child gets: those to find libraries, and no secrets."""


def check_in_child(kind: IndexKind, data: bytes, *, num_items: int, dim: int) -> None:
    """Open an index in a process with limits of memory and time; takes a fraction of a second.

    The child checks everything that a search follows, e.g. the links of a graph.

    Args:
        kind: What the index has to be.
        data: Its bytes, after their digest was checked.
        num_items: How many vectors it has to hold.
        dim: Their width.

    Raises:
        ArtifactError: The bytes are not such an index, or the child crashed.
    """
    _check_header(kind, data, num_items=num_items, dim=dim)
    expected = (_CLASSES[kind][1], str(num_items), str(dim))
    arguments = [str(len(data)), *expected, *_library_folders()]
    try:
        child = subprocess.run(  # noqa: S603  this Python, a file of this package, and numbers
            [sys.executable, "-I", child_program.__file__, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
            | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # a stack each counts
            timeout=child_program.seconds_for(len(data)),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(f"one that took more than {error.timeout:.0f} s") from None
    except OSError as error:
        raise ArtifactError(
            f"item index: expected to start a process to open it in, got: {error}; "
            "check the limits of this process"
        ) from None
    if child.returncode != child_program.SOUND:
        raise _refusal(_ending(child.returncode, child.stdout))


def _check_header(kind: IndexKind, data: bytes, *, num_items: int, dim: int) -> None:
    """Class, shape, metric and length, before anything is parsed."""
    if len(data) < _HEADER.size:
        raise _refusal(f"{len(data)} bytes")
    letters, width, num_vectors, _, _, is_trained, metric = _HEADER.unpack_from(data)
    found = (letters, num_vectors, width, is_trained, metric)
    if found != (_CLASSES[kind][0], num_items, dim, 1, _INNER_PRODUCT):
        raise _refusal(f"{letters!r} of shape {(num_vectors, width)} and metric {metric}")
    least = _HEADER.size + 4 * num_items * dim
    if len(data) < least:
        raise _refusal(f"{len(data)} bytes where its vectors take {least}")


def _library_folders() -> list[str]:
    """Folders of faiss and numpy: an isolated Python ignores PYTHONPATH and the user's folder."""
    specs = [importlib.util.find_spec(name) for name in ("faiss", "numpy")]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin})


def _ending(code: int, output: bytes) -> str:
    if code == child_program.REFUSED:
        return output.decode(errors="replace")
    try:
        return f"one that ended its process with {signal.Signals(-code).name}"
    except ValueError:
        return f"one that ended its process with code {code}"


def _refusal(got: str) -> ArtifactError:
    return ArtifactError(
        f"item index: expected a sound faiss index, got: {got}; build the index again"
    )
