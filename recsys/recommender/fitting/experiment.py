"""A training run: select on validation, compare with baselines on test, fit what is published."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split
from recsys.recommender.config import EvaluationConfig, RecommenderConfig
from recsys.recommender.evaluation.holdout import Comparison, compare
from recsys.recommender.fitting.select import default_selection, refit_budget_s, select_settings
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.further_items import FurtherItems
from recsys.recommender.model import RecommenderModel, Selection
from recsys.training import EpochResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """What a training run found, and the model to publish."""

    selection: Selection
    """What was chosen on the validation part."""
    epochs: list[EpochResult]
    """Training on the train part, with validation."""
    comparison: Comparison | None
    """Quality on the test part, or else on the validation part, of a model fitted on all before it;
    None without either."""
    candidate: RecommenderModel | None
    """The model that was measured: fitted on all before that part. A later challenger is compared
    with it."""
    model: RecommenderModel
    """Fitted on all interactions."""
    durations_s: Mapping[str, float]
    """Seconds of select, evaluate (the fit of what is measured included) and fit."""


def run_experiment(
    dataset: Dataset,
    split: Split,
    config: RecommenderConfig,
    evaluation: EvaluationConfig,
    *,
    filter_seen: bool = True,
    had: pa.Table | None = None,
    champion: RecommenderModel | None = None,
    previous: Selection | None = None,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> Experiment:
    """Select settings, measure them on the test part, and fit the model to publish.

    Args:
        dataset: All tables.
        split: Its interactions, divided. Without a validation part settings are not selected.
        config: What to train and how.
        evaluation: What is measured.
        filter_seen: Whether lists leave out what users had before.
        had: Every interaction, learnt from or not: what the lists of the published model leave out.
        champion: A model to measure beside the new one, fitted on nothing of the measured part.
        previous: What was selected the day before.
        callbacks: Whom to tell of progress.
    """
    clock = _Clock()
    selection = replace(default_selection(config), filter_seen=filter_seen)
    epochs: list[EpochResult] = []
    comparison: Comparison | None = None
    candidate: RecommenderModel | None = None
    if split.valid is not None:
        callbacks.stage("choosing settings on the validation part")
        train = replace(dataset, interactions=split.train)
        selection, _, epochs = select_settings(
            train, split.valid, config, k=evaluation.k, filter_seen=filter_seen,
            previous=previous, callbacks=callbacks,
        )  # fmt: skip
    clock.lap("select")
    *earlier, measured = [one for one in (split.train, split.valid, split.test) if one is not None]
    if earlier:
        part: Literal["test", "validation"] = "validation" if split.test is None else "test"
        before = replace(dataset, interactions=pa.concat_tables(earlier))
        callbacks.stage(f"fitting on all before the {part} part, to measure on it")
        candidate, _ = fit_recommender(
            before, config, selection, budget_s=refit_budget_s(config), callbacks=callbacks
        )
        comparison = compare(candidate, before, measured, evaluation, part=part, champion=champion)
    clock.lap("evaluate")
    callbacks.stage("fitting on everything, to publish")
    model, _ = fit_recommender(
        dataset, config, selection, budget_s=refit_budget_s(config), callbacks=callbacks
    )
    model = _to_publish(model, dataset, had)
    clock.lap("fit")
    return Experiment(
        selection=selection,
        epochs=epochs,
        comparison=comparison,
        candidate=candidate,
        model=model,
        durations_s=clock.laps_s,
    )


def _to_publish(
    model: RecommenderModel, dataset: Dataset, had: pa.Table | None
) -> RecommenderModel:
    """A model with what it learnt nothing from and yet serves by.

    That is the features of users without an interaction, who get lists by these alone, and items of
    interactions that were left out of training, which must not stand in a list.
    """
    table, further = model.user_table, None
    if table is not None and dataset.users is not None:
        table = dataset.users.select(table.column_names)
    if had is not None:
        further = FurtherItems.beyond(had, model.histories, users=model.users, items=model.items)
    return replace(model, user_table=table, further=further)


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps_s: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_s[name] = now - self._last
        self._last = now
