"""Whether alerts name what a fraud was made of first: generated logs with planted frauds.

    python benchmarks/planted_causes.py

The log, the model and the question are those of `tests/fraud/test_planted_reasons.py`, over several
seeds: frauds of five kinds are planted into days after the training, and the first reason of the
account on its worst day is compared with what that kind of fraud consists of.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "fraud"))

from explained_log import scored_log
from test_planted_reasons import first_reason, plants_of

from recsys.datasets.synthetic.transactions import right_reasons


def main() -> None:
    """Print a row a kind of fraud and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    planted, right, found = Counter[str](), Counter[str](), Counter[str]()
    for seed in parser.parse_args().seeds:
        scored = scored_log(seed=seed)
        for plant in plants_of(scored):
            rank = scored.rank(*scored.worst_day(plant))
            for kind in (plant.kind, "all"):
                planted[kind] += 1
                found[kind] += rank <= 10
                right[kind] += first_reason(scored, plant) in right_reasons(plant.kind)
    print("| planted | frauds | among the ten highest of a day | right cause named first |")
    print("|---|---|---|---|")
    for kind in sorted(planted, key=lambda one: (one == "all", one)):
        shares = [f"{np.divide(counts[kind], planted[kind]):.0%}" for counts in (found, right)]
        print(f"| {kind} | {planted[kind]} | {shares[0]} | {shares[1]} |")


if __name__ == "__main__":
    main()
