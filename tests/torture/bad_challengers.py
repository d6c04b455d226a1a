"""Challengers that are worse than the live model in every way there is: none becomes live."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recommender"))

Result = dict[str, int | float | str]


def run(num_trials: int, seed: int) -> Result:
    """Compare bad challengers of each kind with a live model, and honest ones as a control.

    What ends with an error before it is compared is not promoted either.
    """
    from challengers import BAD, K, compared, fit, night

    from recsys.errors import RecsysError
    from recsys.recommender.evaluation.promotion import find_faults
    from recsys.recommender.model import RecommenderModel
    from recsys.recommender.nightly_config import PromotionConfig

    def rule_against(model: RecommenderModel) -> str:
        try:
            faults = list(find_faults(compared(model), PromotionConfig(), k=K))
        except RecsysError as error:
            return type(error).__name__
        return faults[0].rule if faults else ""

    began = time.perf_counter()
    rules: Counter[str] = Counter()
    promoted: Counter[str] = Counter()
    kinds = list(BAD)
    for number in range(num_trials):
        kind = kinds[number % len(kinds)]
        rule = rule_against(BAD[kind](seed * num_trials + number))
        rules[rule or "none"] += 1
        promoted[kind] += not rule
    num_good = max(num_trials // 10, 1)
    good = Counter(
        rule_against(fit(night(12_000 if number % 2 else 11_760).before, seed=1000 + seed + number))
        for number in range(num_good)
    )
    names = sorted(kind for kind, count in promoted.items() if count)
    return {
        "trials": num_trials,
        "promoted": sum(promoted.values()),
        "kinds": len(kinds),
        **{f"held by {rule}": count for rule, count in sorted(rules.items()) if rule != "none"},
        **({"promoted kinds": ", ".join(names)} if names else {}),
        "honest": num_good,
        "honest held": num_good - good[""],
        "seconds": round(time.perf_counter() - began, 1),
    }
