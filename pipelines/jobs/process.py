"""Settings of the whole process, made once by the command."""

from __future__ import annotations

import ctypes
import os
import sys

from pipelines.jobs.streams import open_missing_streams

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of mallopt(3)


def tune_process() -> None:
    """Let idle threads sleep, keep freed memory in the process, and make files private.

    Threads that spin while they wait make small steps on shared cores several times slower. And
    unless the C library keeps freed memory, tables of tens of megabytes, which training allocates
    in every step, are mapped anew page by page each time: a tenth of the time on Gowalla, or more.
    """
    open_missing_streams()
    os.umask(0o077)  # for libraries too
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        mallopt = getattr(
            ctypes.CDLL(None), "mallopt", None
        )  # glibc has it, other libraries may not
        if mallopt is not None:
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, 2**31 - 1)
