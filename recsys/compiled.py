"""Compiles loops with numba, in one way for all modules, and bounds how many run at once."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """A function compiled by numba at its first call, and cached on disk for the next process.

    Its attribute `py_func` is the function in plain Python, which tests compare it with. Division
    by zero gives infinity, as in numpy. It releases the GIL, so that other threads go on. The
    compiled functions that it calls have to be in files of its own folder.
    """
    try:
        dispatcher = cast("Any", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # there is no place for a cache: every process compiles for itself
        return cast("FunctionT", numba.njit(nogil=True, error_model="numpy")(function))
    # Numba only checks whether the file of the function itself changed. Functions that it calls are
    # compiled into it, so that after a change of their files old code would be used. There is no
    # public way to tell numba.
    cache = getattr(dispatcher, "_cache", None)  # none where numba is switched off
    if cache is not None:
        kept = cache._cache_file
        folder = Path(function.__code__.co_filename).parent
        kept._source_stamp = (kept._source_stamp, sources_digest(folder))
    return cast("FunctionT", dispatcher)


@functools.cache
def sources_digest(folder: Path) -> str:
    """A digest of all Python files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def num_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
