"""Whether a new model may take the place of the live one.

Both are measured on the same later interactions, which neither has seen: the challenger as fitted
before them, the champion as it was fitted for its own measurement. Differences are paired by user,
which cancels that some users are easy for every model.

Shapes: U users.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.arrays import Float64Array
from recsys.errors import CheckError
from recsys.recommender.evaluation.comparison import Difference, paired_difference
from recsys.recommender.evaluation.evaluate import LEAST_USERS, Evaluation
from recsys.recommender.evaluation.holdout import MODEL, Comparison
from recsys.recommender.nightly_config import PromotionConfig

_PLACE = "the new model"
_REFIT_SHARE = 0.5  # popularity changes with the latest interactions, but not this much
_REMEDY = (
    "look at the report of the run; `recsys rollback CONFIG models --to RUN` makes it live all the "
    "same"
)


def find_faults(
    comparison: Comparison, config: PromotionConfig, *, k: int, ranking: str = MODEL
) -> Iterator[CheckError]:
    """Every reason not to promote, the gravest first.

    Args:
        comparison: The new model, the baselines and the live model, if it could be measured.
        config: Margins.
        k: Length of the lists that were measured.
        ranking: The baseline that ranks in place of the model, if one does: it is not compared
            with the others.
    """
    measure = f"ndcg@{k}"
    model = comparison.evaluations[MODEL]
    if not math.isfinite(model.overall[measure]) and model.overall["num_users"]:
        yield _fault("finite quality", f"{measure} {model.overall[measure]}", "a number")
        return
    champion = comparison.champion
    if champion is not None and model.overall["num_users"] < LEAST_USERS:
        yield _fault(
            "too little to measure", f"users with later events: {model.overall['num_users']:,.0f}",
            f"at least {LEAST_USERS} to tell the new model from the live one",
        )  # fmt: skip
        return
    if ranking == MODEL and config.baselines != "ignored" and model.overall["num_users"]:
        yield from _lost_to_baselines(comparison, measure, strict=config.baselines == "ahead")
    if champion is not None:
        yield from _worse_than_champion(model, champion, measure, config)
        yield from _too_good(comparison, champion, measure, config)
        for segment, labels in comparison.segments.items():
            pair = model.per_user[measure], champion.per_user[measure]
            yield from _worse_in_segment(pair, config, segment, labels)


def _lost_to_baselines(
    comparison: Comparison, measure: str, *, strict: bool
) -> Iterator[CheckError]:
    """Baselines that a model is behind, left out where the live one is behind too and no better."""
    mine, champion = comparison.evaluations[MODEL], comparison.champion
    is_no_better = champion is not None and (
        paired_difference(mine.per_user[measure], champion.per_user[measure]).standing
        in ("ahead", "level")
    )
    for name, baseline in comparison.baselines.items():
        if not is_behind(mine, baseline, measure, strict=strict):
            continue
        if is_no_better and not strict and champion is not None and is_behind(
            champion, baseline, measure, strict=False
        ):  # fmt: skip
            continue
        base = baseline.overall[measure]
        limit = f"more than {base:.4f}" if strict else f"not clearly less than {base:.4f}"
        yield _fault(
            "baselines", f"{measure} {mine.overall[measure]:.4f}", f"{limit}, that of {name}"
        )


def is_behind(mine: Evaluation, baseline: Evaluation, measure: str, *, strict: bool) -> bool:
    """Whether a model is behind a baseline by more than chance; strictly, whether it is not ahead.

    Where there is too little to measure, only the strict rule finds it behind.
    """
    found = paired_difference(mine.per_user[measure], baseline.per_user[measure])
    return not found.mean > 0 if strict else found.standing == "behind"


def _worse_than_champion(
    model: Evaluation, champion: Evaluation, measure: str, config: PromotionConfig
) -> Iterator[CheckError]:
    found = paired_difference(model.per_user[measure], champion.per_user[measure])
    base = champion.overall[measure]
    if not base > 0 or not found.num_users:
        return
    if not found.high >= -config.margin * base:  # also where there is no interval
        yield _fault("champion", _change(found, base), f"at most {config.margin:.0%} lost")


def _too_good(
    comparison: Comparison, champion: Evaluation, measure: str, config: PromotionConfig
) -> Iterator[CheckError]:
    """An implausible gain over everything fitted on the same data. The live model may be old."""
    model = comparison.evaluations[MODEL]
    found = paired_difference(model.per_user[measure], champion.per_user[measure])
    best = max(one.overall[measure] for one in (champion, *comparison.baselines.values()))
    if best > 0 and found.low > 0 and model.overall[measure] > (1 + config.max_gain) * best:
        yield _fault(
            "too good to be true",
            f"{measure} {model.overall[measure]:.4f}",
            f"at most {1 + config.max_gain:g} times the best of the live model and baselines, "
            f"{best:.4f}",
        )


def find_canary_faults(
    now: float, to_publish: float, before: Sequence[float], config: PromotionConfig
) -> Iterator[CheckError]:
    """Reasons not to promote from the quality on the frozen users (`Canary.measure`).

    Args:
        now: Mean NDCG of the new model, as it was measured.
        to_publish: That of the same settings fitted on everything.
        before: Those of the models that were promoted since the canary was drawn.
        config: The margin.
    """
    usual = float(np.median(before)) if len(before) else now
    least = (1 - config.canary_margin) * usual
    if usual > 0 and not now >= least:
        yield _fault("canary", f"ndcg {now:.4f}", f"at least {least:.4f}, usual is {usual:.4f}")
    if now > 0 and not to_publish >= _REFIT_SHARE * now:
        yield CheckError(
            rule="canary", place="the model to publish", observed=f"ndcg {to_publish:.4f}",
            limit=f"at least half of the {now:.4f} before it saw the latest interactions",
            remedy=_REMEDY,
        )  # fmt: skip


def _worse_in_segment(
    pair: tuple[Float64Array, Float64Array],
    config: PromotionConfig,
    segment: str,
    labels: npt.ArrayLike,
) -> Iterator[CheckError]:
    """Segments in which the new model is clearly worse; all of them are checked."""
    mine_U, theirs_U = pair
    codes = pa.array(np.asarray(labels), from_pandas=True).cast(pa.string()).dictionary_encode()
    codes_U = codes.indices.fill_null(-1).to_numpy()
    for number, label in enumerate(codes.dictionary.to_pylist()):
        inside_U = codes_U == number
        found = paired_difference(mine_U[inside_U], theirs_U[inside_U])
        if found.num_users < config.min_slice_users:
            continue
        base = float(np.nanmean(theirs_U[inside_U]))
        if base > 0 and found.high < -config.slice_margin * base:
            yield _fault(
                f"champion, {segment} {label}",
                _change(found, base),
                f"at most {config.slice_margin:.0%} lost",
            )


def _change(found: Difference, base: float) -> str:
    return (
        f"{found.mean / base:+.1%} (95% interval {found.low / base:+.1%} to "
        f"{found.high / base:+.1%}, {found.num_users:,} users)"
    )


def _fault(rule: str, observed: str, limit: str) -> CheckError:
    return CheckError(rule=rule, place=_PLACE, observed=observed, limit=limit, remedy=_REMEDY)
