"""The torture of jobs and files: faults by the thousand, and a table of what came of them.

    python tests/torture --seed 0             everything, as docs/reliability.md has it
    python tests/torture --short              a hundredth of it
    python tests/torture --only "MLflow"      one part

Each part counts its trials and what must not happen, and says how far its faults reached: a part
that tortured too little fails like one that found a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

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


def parts() -> list[Part]:
    """Every part, in the order of the table."""
    from all_parts import PARTS

    return PARTS


def markdown(rows: list[tuple[Part, Result, list[str]]]) -> str:
    """The table of docs/reliability.md."""
    lines = ["| Faults | Trials | What came of it | Time |", "|---|---|---|---|"]
    for part, found, faults in rows:
        told = "; ".join(
            f"{name}: {value}" for name, value in found.items() if name not in {"trials", "seconds"}
        )
        verdict = f" **FAILED: {'; '.join(faults)}**" if faults else ""
        trials = found.get("trials", "")
        lines.append(f"| {part.name} | {trials} | {told}{verdict} | {found['seconds']} s |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run parts and print the table; 1 if any fails."""
    parser = argparse.ArgumentParser(description="torture the jobs and print what came of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="a hundredth of the trials")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--out", type=Path, help="file for the table; printed anyway")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = []
    for part in parts():
        if options.only.lower() not in part.name.lower():
            continue
        trials, start = part.short if options.short else part.trials, time.perf_counter()
        found = part.run(trials, options.seed)
        found = {**found, "seconds": round(time.perf_counter() - start, 1)}
        faults = faults_of(part, found, trials)
        rows.append((part, found, faults))
        sys.stderr.write(f"{part.name}: {json.dumps(found)}{' FAILED' if faults else ''}\n")
    table = markdown(rows)
    sys.stdout.write(table)
    if options.out is not None:
        options.out.write_text(table, encoding="utf-8")
    return int(any(faults for _, _, faults in rows))


if __name__ == "__main__":
    sys.exit(main())
