"""Computes the next result in a thread while the present one is used."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def prefetched(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
) -> Generator[ResultT, None, None]:
    """Results of a function in the order of the items; the next one is computed in the meantime.

    At most two results are kept: the present and the next. Closing the generator waits for the
    running call and starts no other.

    Args:
        function: Called in a thread of its own, for one item at a time; what it raises is raised
            where its result is asked for.
        items: What it is called with.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[ResultT] | None = None
        for item in items:
            following = thread.submit(function, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
