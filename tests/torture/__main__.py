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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from all_parts import PARTS
from torture_part import faults_of, markdown


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
    for part in PARTS:
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
