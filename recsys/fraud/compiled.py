"""The one way in which loops over transactions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """A function compiled by numba at its first call, and kept on disk for the next process.

    Its attribute `py_func` is the function in plain Python, which tests compare it with. Division
    by zero gives infinity, as in numpy.
    """
    return cast("FunctionT", numba.njit(cache=True, error_model="numpy")(function))
