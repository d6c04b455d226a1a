"""One kind of fault: how it is run, what must not happen, and how far it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Result = Mapping[str, int | float | str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One kind of fault.

    Args:
        name: What it is called in the table.
        run: Takes the number of trials and the seed.
        trials: Trials of the whole torture.
        short: Trials of the short one.
        zeros: Counts that must be 0.
        least: Counts that must reach a share of the trials, so that the faults were real.
        equal: Counts that must be the number of trials.
    """

    name: str
    run: Callable[[int, int], Result]
    trials: int
    short: int
    zeros: tuple[str, ...]
    least: Mapping[str, float]
    equal: tuple[str, ...] = ()


def faults_of(part: Part, found: Result, trials: int) -> list[str]:
    """What a result lacks; empty for a pass."""
    faults = [f"{name} is {found[name]}, not 0" for name in part.zeros if found[name] != 0]
    faults += [
        f"{name} is {found[name]}, less than {share:g} of {trials}: coverage is thin"
        for name, share in part.least.items()
        if float(found[name]) < share * trials
    ]
    return faults + [
        f"{name} is {found[name]}, not {trials}" for name in part.equal if found[name] != trials
    ]


_COUNTED = ("trials", "kills", "jobs", "commands")
_LEFT_OUT = {"seconds", "wall_s"}


def markdown(rows: list[tuple[Part, Result, list[str]]]) -> str:
    """The table of docs/reliability.md."""
    lines = ["| Faults | Trials | What came of it | Seconds |", "|---|---|---|---|"]
    for part, found, faults in rows:
        counted = next(name for name in _COUNTED if name in found)
        reported = "; ".join(
            f"{name.replace('_', ' ')}: {value}"
            for name, value in found.items()
            if name not in {counted, *_LEFT_OUT}
        )
        verdict = f" **FAILED: {'; '.join(faults)}**" if faults else ""
        lines.append(
            f"| {part.name} | {found[counted]:,} | {reported}{verdict} | {found['seconds']} |"
        )
    return "\n".join(lines) + "\n"
