"""Threads of torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread_an_operation() -> Iterator[int]:
    """Let torch use one thread for each operation: running blocks in parallel takes half the time.

    Yields:
        The number of threads that torch uses otherwise.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)
