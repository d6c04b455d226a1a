"""Selecting settings on validation data: of the loss, of how long to train, of what ages."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.datasets.dataset import Dataset
from recsys.features.history import history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import RecommenderConfig
from recsys.recommender.evaluation.popularity import choose_half_life
from recsys.recommender.fitting.repeat_weight import best_repeat_weight, with_repeats
from recsys.recommender.fitting.search import (
    START_HISTORY_DROPOUT,
    START_PROPAGATION,
    START_TEMPERATURE,
    TRIAL_EPOCHS,
    Trial,
    search,
    trial_dim,
)
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel, Selection
from recsys.schema import ITEM_ID, USER_ID
from recsys.training import EpochResult, best_epoch

TRAINING_HALF_LIVES = 4
"""Half-life of events in the loss, in half-lives of popularity. Taste changes more slowly than what
is popular; docs/experiments.md has the trials."""
_MIN_EPOCHS = 4
"""Epochs that a time budget must have room for at the whole width."""
POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Weights of log popularity to choose from."""


def select_settings(
    train: Dataset,
    valid: pa.Table,
    config: RecommenderConfig,
    *,
    k: int = 20,
    filter_seen: bool = True,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> tuple[Selection, RecommenderModel, list[EpochResult]]:
    """Fit on `train`, choose on `valid`: what the loss leaves open, half-life, epochs, popularity.

    Where no user of `valid` is known to `train` there is nobody to choose by: then nothing ages,
    all epochs are run, and popularity has no weight.

    Args:
        train: Tables whose interactions come from before `valid`.
        valid: Interactions to rank.
        config: What to train and how.
        k: Length of the lists that NDCG is measured on.
        filter_seen: Whether these lists leave out what users had before.
        callbacks: Whom to tell of progress.

    Returns:
        What was chosen, the model that was fitted on `train` with it but with vectors no wider than
        those of a trial, and its epochs.
    """
    log = train.interactions
    users, items = Vocabulary.fit(log[USER_ID]), Vocabulary.fit(log[ITEM_ID])
    histories = history_matrix(
        train.interactions, users=users, items=items, ordered=config.model.reads_order
    )
    sample = ValidationSample.draw(
        valid, users=users, items=items, histories=histories, k=k, seed=config.training.seed,
        filter_seen=filter_seen,
    )  # fmt: skip
    sample, repeat_half_life = with_repeats(sample, log, users=users, items=items)
    half_life = choose_half_life(
        train.interactions, items, seen=sample.hidden, relevant=sample.relevant, k=k
    )
    selection = replace(
        default_selection(config),
        popularity_half_life_days=half_life,
        training_half_life_days=None if half_life is None else half_life * TRAINING_HALF_LIVES,
        filter_seen=filter_seen,
        repeat_half_life_days=repeat_half_life,
    )
    looks = _Looks(train=train, sample=sample, config=config, callbacks=callbacks)
    if sample.num_users:
        selection = looks.search(selection)
    if config.training.time_budget_s is not None and looks.latest is not None:
        # The whole budget is for the fit that counts: a second one to count epochs by has no place.
        model, epochs = looks.latest
        return selection, _chosen(model, selection), epochs
    # As narrow as the trials: wider vectors take twice the time.
    narrow = replace(selection, embedding_dim=trial_dim(config.model))
    model, epochs = fit_recommender(train, config, narrow, validation=sample, callbacks=callbacks)
    selection = replace(selection, num_epochs=best_epoch(epochs))
    if sample.num_users:
        selection = _with_weights(selection, _best_weights(model, sample)[0].selection)
    return selection, _chosen(model, selection), epochs


def _with_weights(selection: Selection, weighted: Selection) -> Selection:
    """A selection with the weights of another one."""
    return replace(
        selection,
        popularity_weight=weighted.popularity_weight,
        repeat_weight=weighted.repeat_weight,
    )


def _chosen(model: RecommenderModel, selection: Selection) -> RecommenderModel:
    """A model of the search with all that was chosen but the width, which is its own."""
    narrow = replace(selection, embedding_dim=model.config.embedding_dim)
    return replace(model, selection=narrow)


def default_selection(config: RecommenderConfig) -> Selection:
    """What is used where there is no validation part."""
    temperature, propagation = config.model.temperature, config.model.given_propagation
    dropout = config.model.given_history_dropout
    return Selection(
        num_epochs=config.training.num_epochs,
        popularity_half_life_days=None,
        training_half_life_days=None,
        popularity_weight=0.0,
        temperature=START_TEMPERATURE if temperature is None else temperature,
        propagation=START_PROPAGATION if propagation is None else propagation,
        history_dropout=START_HISTORY_DROPOUT if dropout is None else dropout,
        embedding_dim=config.model.embedding_dim,
    )


def refit_budget_s(config: RecommenderConfig) -> float | None:
    """What the time budget leaves for a fit after settings were chosen: two thirds."""
    budget_s = config.training.time_budget_s
    return None if budget_s is None else budget_s * 2 / 3


@dataclass(kw_only=True, eq=False)
class _Looks:
    """Short fits, each measured on validation data, within a third of the time budget if any."""

    train: Dataset
    sample: ValidationSample
    config: RecommenderConfig
    callbacks: TrainingCallbacks
    latest: tuple[RecommenderModel, list[EpochResult]] | None = None
    """The model and the epochs of the best trial."""
    _best_quality: float = 0.0
    _longest_s: float = 0.0
    _began: float = field(default_factory=time.perf_counter)

    def search(self, start: Selection) -> Selection:
        """The best settings, and the width that the budget has time for."""
        model, budget_s = self.config.model, self.config.training.time_budget_s
        if budget_s is None and not model.leaves_open:
            return start
        best = search(start, model, self._run, has_time=self._has_time).selection
        if budget_s is None or self.latest is None:
            return best
        found, epochs = self.latest
        epoch_s = found.histories.nnz / epochs[-1].examples_per_s  # the epoch may be cut short
        wide_epoch_s = epoch_s * model.embedding_dim / trial_dim(model)
        if _MIN_EPOCHS * wide_epoch_s > budget_s * 2 / 3:
            best = replace(best, embedding_dim=trial_dim(model))
        return best

    def _run(self, selection: Selection) -> Trial:
        started, budget_s = time.perf_counter(), self.config.training.time_budget_s
        self.callbacks.stage(
            f"trying temperature {selection.temperature:g}, propagation "
            f"{selection.propagation:g} and history dropout {selection.history_dropout:g}"
        )
        dim = trial_dim(self.config.model)
        training = replace(self.config.training, num_epochs=TRIAL_EPOCHS)
        found, epochs = fit_recommender(
            self.train,
            replace(self.config, training=training),
            replace(selection, num_epochs=TRIAL_EPOCHS, embedding_dim=dim),
            budget_s=None if budget_s is None else budget_s / 4,
            callbacks=TrainingCallbacks(checkpoints=self.callbacks.checkpoints),
        )
        weighted, qualities_V = _best_weights(found, self.sample)
        quality = float(qualities_V.mean())
        if self.latest is None or quality > self._best_quality:
            self.latest, self._best_quality = (found, epochs), quality
        self._longest_s = max(self._longest_s, time.perf_counter() - started)
        return Trial(
            quality=quality,
            standard_error=float(qualities_V.std() / self.sample.num_users**0.5),
            selection=_with_weights(selection, weighted.selection),
        )

    def _has_time(self) -> bool:
        budget_s, spent_s = self.config.training.time_budget_s, time.perf_counter() - self._began
        return budget_s is None or spent_s + self._longest_s <= budget_s / 3


def _best_weights(
    model: RecommenderModel, sample: ValidationSample
) -> tuple[RecommenderModel, npt.NDArray[np.float64]]:
    """The model with the best weights of popularity and of repeats, and its lists' quality. (V,).

    One after the other: repeats first, since they say most where they say anything, and once more
    beside the popularity that was found.
    """
    weighted = model
    if sample.repeats is not None:
        weighted = _weighted(model, repeat_weight=best_repeat_weight(model, sample)[0])
    weight, qualities_V = _best_popularity_weight(weighted, sample)
    weighted = _weighted(weighted, popularity_weight=weight)
    if sample.repeats is not None:
        weight, qualities_V = best_repeat_weight(weighted, sample)
        weighted = _weighted(weighted, repeat_weight=weight)
    return weighted, qualities_V


def _weighted(model: RecommenderModel, **weights: float) -> RecommenderModel:
    return replace(model, selection=replace(model.selection, **weights))


def _best_popularity_weight(
    model: RecommenderModel, sample: ValidationSample
) -> tuple[float, npt.NDArray[np.float64]]:
    """The best weight, and the quality of each list with it. Shape (V,).

    Weights are tried in order until two in a row are no better than the best.
    """

    def qualities(weight: float) -> npt.NDArray[np.float64]:
        return sample.qualities(_weighted(model, popularity_weight=weight))

    best, num_worse = (POPULARITY_WEIGHTS[0], qualities(POPULARITY_WEIGHTS[0])), 0
    for weight in POPULARITY_WEIGHTS[1:]:
        found_V = qualities(weight)
        if found_V.mean() > best[1].mean():
            best, num_worse = (weight, found_V), 0
        else:
            num_worse += 1
            if num_worse == 2:
                break
    return best
