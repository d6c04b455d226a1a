"""Selecting settings on validation data: the loss, the number of epochs, half-lives, weights."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import pyarrow as pa

from recsys.datasets.dataset import Dataset
from recsys.features.history import history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import RecommenderConfig
from recsys.recommender.evaluation.popularity import choose_half_life
from recsys.recommender.evaluation.steady import steady_epochs
from recsys.recommender.fitting.list_weights import best_weights
from recsys.recommender.fitting.repeat_weight import with_repeats
from recsys.recommender.fitting.search import (
    START_HISTORY_DROPOUT,
    START_PROPAGATION,
    START_TEMPERATURE,
    TRIAL_EPOCHS,
    Trial,
    chosen_before,
    search,
    trial_dim,
)
from recsys.recommender.fitting.train import TrainingCallbacks, fit_recommender
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel, Selection
from recsys.schema import ITEM_ID, USER_ID
from recsys.training import EpochResult, best_epoch

TRAINING_HALF_LIVES = 4
"""Half-lives of events in the loss, as multiples of that of popularity: tastes change more slowly
than popularity; docs/experiments.md has the trials."""
_MIN_EPOCHS = 4
"""Epochs that a time budget must have room for at the whole width."""


def select_settings(
    train: Dataset,
    valid: pa.Table,
    config: RecommenderConfig,
    *,
    k: int = 20,
    filter_seen: bool = True,
    previous: Selection | None = None,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> tuple[Selection, RecommenderModel, list[EpochResult]]:
    """Fit on `train`, choose on `valid`: what the loss leaves open, half-life, epochs, popularity.

    What was chosen the day before stays unless another choice is clearly better, and the number of
    epochs goes half way: a shop that does not change gets a model that does not either.

    Where no user of `valid` is known to `train` there is nobody to choose by: then nothing ages,
    all epochs are run, and popularity has no weight.

    Args:
        train: Tables whose interactions come from before `valid`.
        valid: Interactions to rank.
        config: What to train and how.
        k: Length of the lists that NDCG is measured on.
        filter_seen: Whether these lists leave out what users had before.
        previous: What was chosen the day before, if anything.
        callbacks: Whom to tell of progress.

    Returns:
        What was chosen, the model that was fitted on `train` with it but with vectors no wider than
        those of a trial, and its epochs.
    """
    log = train.interactions
    items = Vocabulary.fit(log[ITEM_ID])
    sample, repeat_half_life = _sample(
        log, valid, items, config, k=k, filter_seen=filter_seen, previous=previous
    )
    half_life = choose_half_life(
        log, items, seen=sample.hidden, relevant=sample.relevant, k=k,
        kept="none" if previous is None else previous.popularity_half_life_days,
    )  # fmt: skip
    start = default_selection(config)
    selection = replace(
        chosen_before(start, previous, config.model) or start,
        popularity_half_life_days=half_life,
        training_half_life_days=None if half_life is None else half_life * TRAINING_HALF_LIVES,
        filter_seen=filter_seen,
        repeat_half_life_days=repeat_half_life,
    )
    looks = _Looks(
        train=train, sample=sample, config=config, previous=previous, callbacks=callbacks
    )
    if sample.num_users:
        selection = looks.search(selection)
    if config.training.time_budget_s is not None and looks.latest is not None:
        # The whole budget goes to the final fit; there is no time for another one to choose epochs.
        model, epochs = looks.latest
        return selection, _chosen(model, selection), epochs
    # As narrow as the trials: wider vectors take twice the time.
    narrow = replace(selection, embedding_dim=trial_dim(config.model))
    model, epochs = fit_recommender(train, config, narrow, validation=sample, callbacks=callbacks)
    before = None if previous is None else min(previous.num_epochs, config.training.num_epochs)
    selection = replace(selection, num_epochs=steady_epochs(best_epoch(epochs), before))
    if sample.num_users:
        weighted, _ = best_weights(model, sample, previous)
        selection = _with_weights(selection, weighted.selection)
    return selection, _chosen(model, selection), epochs


def _sample(
    log: pa.Table,
    valid: pa.Table,
    items: Vocabulary,
    config: RecommenderConfig,
    *,
    k: int,
    filter_seen: bool,
    previous: Selection | None,
) -> tuple[ValidationSample, float | None]:
    """The users to choose by, and the half-life of what they had, where lists may repeat it."""
    users = Vocabulary.fit(log[USER_ID])
    sample = ValidationSample.draw(
        valid,
        users=users,
        items=items,
        histories=history_matrix(log, users=users, items=items, ordered=config.model.reads_order),
        k=k,
        seed=config.training.seed,
        filter_seen=filter_seen,
    )
    return with_repeats(sample, log, users=users, items=items, previous=previous)


def _with_weights(selection: Selection, weighted: Selection) -> Selection:
    """A selection with the weights of another one."""
    return replace(
        selection,
        popularity_weight=weighted.popularity_weight,
        repeat_weight=weighted.repeat_weight,
    )


def _chosen(model: RecommenderModel, selection: Selection) -> RecommenderModel:
    """A model of the search with everything that was chosen except the width."""
    narrow = replace(selection, embedding_dim=model.config.embedding_dim)
    return replace(model, selection=narrow)


def default_selection(config: RecommenderConfig) -> Selection:
    """The settings used without a validation part."""
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
    """Time budget of the fit after settings were chosen: two thirds of the whole."""
    budget_s = config.training.time_budget_s
    return None if budget_s is None else budget_s * 2 / 3


@dataclass(kw_only=True, eq=False)
class _Looks:
    """Short fits, each measured on validation data, within a third of the time budget."""

    train: Dataset
    sample: ValidationSample
    config: RecommenderConfig
    previous: Selection | None
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
        best = search(
            start, model, self._run, has_time=self._has_time,
            keeps_start=self.previous is not None,
        ).selection  # fmt: skip
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
        weighted, qualities_V = best_weights(found, self.sample, self.previous)
        quality = float(qualities_V.mean())
        if self.latest is None or quality > self._best_quality:
            self.latest, self._best_quality = (found, epochs), quality
        self._longest_s = max(self._longest_s, time.perf_counter() - started)
        return Trial(qualities=qualities_V, selection=_with_weights(selection, weighted.selection))

    def _has_time(self) -> bool:
        budget_s, spent_s = self.config.training.time_budget_s, time.perf_counter() - self._began
        return budget_s is None or spent_s + self._longest_s <= budget_s / 3
