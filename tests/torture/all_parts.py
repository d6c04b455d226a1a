"""Every part of the torture: how many trials, what must not happen, how far it must reach."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from __main__ import Part

Result = Mapping[str, int | float | str]


def _of(module: str, name: str = "run", *, takes_trials: bool = True) -> Callable[[int, int], Result]:
    """A function of a module that is imported when it is needed."""

    def run(trials: int, seed: int) -> Result:
        function = getattr(importlib.import_module(module), name)
        return function(trials, seed) if takes_trials else function(seed)

    return run
