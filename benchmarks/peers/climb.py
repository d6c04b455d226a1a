"""Tuning by coordinates: go along one ladder of values at a time while it gets better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Settings = dict[str, float]


def climb(
    start: Settings,
    ladders: Mapping[str, Sequence[float]],
    quality: Callable[[Settings], float],
) -> tuple[Settings, int]:
    """The best settings that were met, and how many were tried.

    Args:
        start: A value of each ladder.
        ladders: Values of each setting, ascending, in the order in which they are tuned.
        quality: What is to be made large.
    """
    tried: dict[tuple[tuple[str, float], ...], float] = {}

    def look(settings: Settings) -> float:
        key = tuple(sorted(settings.items()))
        if key not in tried:
            tried[key] = quality(settings)
        return tried[key]

    best = dict(start)
    for name, ladder in ladders.items():
        here = ladder.index(best[name])
        for values in (ladder[here + 1 :], ladder[:here][::-1]):
            for value in values:
                changed = best | {name: value}
                if look(changed) <= look(best):
                    break
                best = changed
            if best[name] != ladder[here]:
                break
    return best, len(tried)
