"""Weights of popularity and of items that a user had before, chosen on validation data.

Shapes: V users of the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from recsys.arrays import Float64Array
from recsys.recommender.evaluation.steady import steady_choice
from recsys.recommender.fitting.repeat_weight import repeat_qualities
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel, Selection

POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Weights of log popularity to choose from."""


def best_weights(
    model: RecommenderModel, sample: ValidationSample, previous: Selection | None
) -> tuple[RecommenderModel, Float64Array]:
    """The model with the best weights of popularity and of repeats, and its lists' quality. (V,).

    One after the other: repeats first, since they matter most where they matter at all, and once
    more with the weight of popularity that was found. Those of the day before stay unless others
    are clearly better.
    """
    kept = None if previous is None else previous.repeat_weight
    weighted = model
    if sample.repeats is not None:
        weight, _ = _steady(repeat_qualities(model, sample), kept)
        weighted = _with_repeats(model, weight)
    weight, qualities_V = _best_popularity_weight(weighted, sample, previous)
    weighted = _with_popularity(weighted, weight)
    if sample.repeats is not None:
        weight, qualities_V = _steady(repeat_qualities(weighted, sample), kept)
        weighted = _with_repeats(weighted, weight)
    return weighted, qualities_V


def _best_popularity_weight(
    model: RecommenderModel, sample: ValidationSample, previous: Selection | None
) -> tuple[float, Float64Array]:
    """The weight to take, and the quality of each list with it. Shape (V,).

    Weights are tried in order until two in a row are no better than the best; that of the day
    before is tried in any case.
    """
    kept = None if previous is None else previous.popularity_weight

    def qualities(weight: float) -> Float64Array:
        return sample.qualities(_with_popularity(model, weight))

    found = _until_worse(qualities)
    if kept is not None and kept in POPULARITY_WEIGHTS and kept not in found:
        found[kept] = qualities(kept)
    return _steady(found, kept)


def _until_worse(qualities: Callable[[float], Float64Array]) -> dict[float, Float64Array]:
    """Quality with each weight, in order, until two in a row are no better than the best."""
    found: dict[float, Float64Array] = {}
    best, num_worse = -1.0, 0
    for weight in POPULARITY_WEIGHTS:
        found[weight] = qualities(weight)
        if found[weight].mean() > best:
            best, num_worse = float(found[weight].mean()), 0
        else:
            num_worse += 1
            if num_worse == 2:
                break
    return found


def _steady(found: dict[float, Float64Array], kept: float | None) -> tuple[float, Float64Array]:
    """The weight to take of those that were tried, and the quality of each list with it."""
    weights = sorted(found)
    place = weights.index(kept) if kept is not None and kept in found else None
    weight = weights[steady_choice([found[one] for one in weights], kept=place)]
    return weight, found[weight]


def _with_popularity(model: RecommenderModel, weight: float) -> RecommenderModel:
    return replace(model, selection=replace(model.selection, popularity_weight=weight))


def _with_repeats(model: RecommenderModel, weight: float) -> RecommenderModel:
    return replace(model, selection=replace(model.selection, repeat_weight=weight))
