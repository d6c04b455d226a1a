"""Which number type large matrix products are fastest in, found out by trying."""

from __future__ import annotations

import functools
import time

import torch

_QUERIES, _WIDTH, _ITEMS = 256, 128, 16384
"""The shape of a block of scores."""
_TRIALS = 5
_WORTH_IT = 1.5
"""How many times as fast bfloat16 has to be. It loses precision, and where both are about as fast
the choice must not depend on what else the machine was doing."""


@functools.cache
def bfloat16_is_fast() -> bool:
    """Whether products of scores take much less time in bfloat16 on this processor.

    Some processors have bfloat16 instructions that are no faster, some emulate the type, and some
    are five times as fast in it: no list of capabilities tells them apart. Takes some hundredths of
    a second, once a process.
    """
    seconds = {dtype: _seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return seconds[torch.float32] > _WORTH_IT * seconds[torch.bfloat16]


def _seconds(dtype: torch.dtype) -> float:
    """The shortest of several products."""
    queries = torch.ones(_QUERIES, _WIDTH, dtype=dtype)
    items = torch.ones(_ITEMS, _WIDTH, dtype=dtype)
    scores = torch.empty(_QUERIES, _ITEMS, dtype=dtype)
    taken = []
    for _ in range(_TRIALS):
        started = time.perf_counter()
        torch.mm(queries, items.T, out=scores)
        taken.append(time.perf_counter() - started)
    return min(taken)
