"""Work that is done ahead of whoever takes its results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def prefetched(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
) -> Generator[ResultT, None, None]:
    """Results of a function in the order of the items, the next one computed meanwhile.

    No more than two results are kept at a time: that which was given last, and the next. Closing
    the generator waits for the call that goes on and starts no other.

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
