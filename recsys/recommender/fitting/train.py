"""Fitting a recommender on a log, with settings that were selected before.

Shapes: C items.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import torch

from recsys.arrays import Float32Array
from recsys.checkpoints import Carried, Checkpoints
from recsys.datasets.dataset import Dataset
from recsys.features.encoder import EncodedTable, rows_of
from recsys.features.history import (
    UserItemMatrix,
    event_values,
    history_matrix,
    last_event,
    repeat_matrix,
    user_item_matrix,
)
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.config import RecommenderConfig, of_width
from recsys.recommender.evaluation.popularity import log_shares, popularity
from recsys.recommender.fitting.batches import UserBatches
from recsys.recommender.fitting.known_rows import known_rows
from recsys.recommender.fitting.objective import Objective, default_batch_size
from recsys.recommender.fitting.propagation import Propagation
from recsys.recommender.fitting.sequence_batches import SequenceBatches
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.ranking.topk import Embeddings
from recsys.recommender.towers.two_tower import TwoTower
from recsys.recommender.towers.warm_start import warm_start
from recsys.schema import ITEM_ID, USER_ID
from recsys.training import (
    BatchProgress,
    EpochResult,
    Epochs,
    TrainingConfig,
    choose_device,
    choose_precision,
    fit,
)


@dataclass(frozen=True, kw_only=True)
class TrainingCallbacks:
    """Progress reporters, and the checkpoints of a fit."""

    on_epoch: Callable[[EpochResult], None] | None = None
    """After each epoch."""
    on_batch: Callable[[BatchProgress], None] | None = None
    """After each batch."""
    on_stage: Callable[[str], None] | None = None
    """Before each fit, with what it is for."""
    checkpoints: Checkpoints | None = None
    """Where fits leave checkpoints and go on from them; those with a time budget do not."""

    def stage(self, name: str) -> None:
        """Report what the next fit is for."""
        if self.on_stage is not None:
            self.on_stage(name)


def fit_recommender(
    data: Dataset,
    config: RecommenderConfig,
    selection: Selection,
    *,
    validation: ValidationSample | None = None,
    budget_s: float | None = None,
    callbacks: TrainingCallbacks = TrainingCallbacks(),
) -> tuple[RecommenderModel, list[EpochResult]]:
    """Fit vocabularies, encoders and towers on all interactions of `data`.

    Args:
        data: Tables; rows of users and items without an interaction are not looked at.
        config: What to train and how.
        selection: What was chosen before.
        validation: Stops training where it is given and has users; else `selection.num_epochs` are
            run.
        budget_s: Seconds after which training ends, epochs left or not.
        callbacks: Report progress.

    Returns:
        The model, and the epochs that were run.

    Raises:
        TrainingError: The loss is not finite.
    """
    deadline = None if budget_s is None else time.perf_counter() + budget_s
    config = replace(config, model=of_width(config.model, selection.embedding_dim))
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        model, item_features = _untrained(data, config, selection)
        model, epochs = _train(
            model,
            item_features,
            _batches(model, data, config),
            config.training,
            validation=validation if validation is not None and validation.num_users else None,
            deadline=deadline,
            callbacks=callbacks,
        )
    return model, epochs


def _untrained(
    data: Dataset, config: RecommenderConfig, selection: Selection
) -> tuple[RecommenderModel, EncodedTable | None]:
    """A model at its start, and the features of its catalogue."""
    users, items = (Vocabulary.fit(data.interactions[name]) for name in (USER_ID, ITEM_ID))
    user_encoder, user_table = known_rows(data, "users", users)
    item_encoder, item_table = known_rows(data, "items", items)
    item_features = None if item_encoder is None else item_encoder.encode(item_table)
    model_config = config.model.for_users(len(users))
    histories = history_matrix(
        data.interactions, users=users, items=items, ordered=model_config.reads_order
    )
    towers = TwoTower(
        num_users=len(users),
        num_items=len(items),
        user_sizes=user_encoder.sizes if user_encoder else None,
        item_sizes=item_encoder.sizes if item_encoder else None,
        config=model_config,
    ).eval()
    if model_config.warm_start:
        warm_start(
            towers.candidate.item.weight,
            histories,
            num_heads=model_config.num_heads,
            seed=config.training.seed,
        )
    popular_C = popularity(
        data.interactions, items, half_life_days=selection.popularity_half_life_days
    )
    log_popularity, scale = _unit_scaled(log_shares(popular_C))
    model = RecommenderModel(
        config=model_config, selection=selection, towers=towers, users=users, items=items,
        histories=histories, user_table=user_table, user_encoder=user_encoder,
        item_encoder=item_encoder, item_embeddings=_item_embeddings(towers, item_features),
        item_propagated=None,
        log_popularity=log_popularity, popularity_scale=scale,
        repeats=_repeats(data.interactions, users, items, selection),
        learnt_until=last_event(data.interactions),
    )  # fmt: skip
    return model, item_features


def _repeats(
    log: pa.Table, users: Vocabulary, items: Vocabulary, selection: Selection
) -> UserItemMatrix | None:
    """How often users took items, if that has a weight."""
    if not selection.repeat_weight:
        return None
    age = selection.repeat_half_life_days
    return repeat_matrix(log, users=users, items=items, half_life_days=age)


def _batches(
    model: RecommenderModel, data: Dataset, config: RecommenderConfig
) -> UserBatches | SequenceBatches:
    """The interactions with their values, and the features of the users."""
    values = event_values(data.interactions, half_life_days=model.selection.training_half_life_days)
    matrix = user_item_matrix(
        data.interactions, users=model.users, items=model.items, values=values
    )
    features = None
    if model.user_encoder is not None and model.user_table is not None:
        known = rows_of(model.user_table, USER_ID, model.users.terms)
        features = model.user_encoder.encode(known)
    batch_size = config.training.batch_size or default_batch_size(matrix, model.config)
    if model.config.reads_order:
        return SequenceBatches(
            matrix=matrix,
            histories=model.histories,
            features=features,
            batch_size=batch_size,
            max_items=model.config.sequence.max_items,
            user_embedding=bool(model.config.user_embedding),
            seed=config.training.seed,
        )
    return UserBatches(
        matrix=matrix,
        features=features,
        batch_size=batch_size,
        history_dropout=model.selection.history_dropout,
        newcomer_share=model.config.newcomer_share,
        user_embedding=bool(model.config.user_embedding),
        seed=config.training.seed,
    )


def _train(
    model: RecommenderModel,
    item_features: EncodedTable | None,
    batches: UserBatches | SequenceBatches,
    config: TrainingConfig,
    *,
    validation: ValidationSample | None,
    deadline: float | None,
    callbacks: TrainingCallbacks,
) -> tuple[RecommenderModel, list[EpochResult]]:
    """Train the towers of a model in place; the model with the vectors of its items."""
    device = choose_device(config.device)
    propagation = None
    if isinstance(batches, UserBatches):  # for sequences there is no propagation
        propagation = Propagation.of(batches, share=model.selection.propagation, device=device)
    objective = Objective.of(
        model.towers.to(device),
        batches,
        item_features=item_features,
        config=model.config,
        temperature=model.selection.temperature,
        propagation=propagation,
        precision=choose_precision(config.precision, device),
        seed=config.seed,
    )

    def validate(sample: ValidationSample) -> float:
        quality = sample.quality(_with_vectors(model, item_features, propagation))
        model.towers.to(device)
        return quality

    epochs = fit(
        model.towers,
        epochs=Epochs(
            num_batches=batches.num_batches,
            draw=batches.draw,
            num_examples=lambda batch: len(batch.positives.rows),
        ),
        step=objective.loss,
        optimizers=objective.optimizers(config.learning_rate),
        config=config,
        validate=None if validation is None else partial(validate, validation),
        num_epochs=model.selection.num_epochs,
        deadline=deadline,
        on_epoch=callbacks.on_epoch,
        on_batch=callbacks.on_batch,
        checkpoints=callbacks.checkpoints,
        carried=_carried(objective),
    )
    return _with_vectors(model, item_features, propagation), epochs


def _carried(objective: Objective) -> Carried:
    """The generator of an objective, and the spread that is not recomputed in each step."""
    lazy = objective.lazy
    if lazy is None:
        return Carried(generators=(objective.generator,))
    return Carried(
        generators=(objective.generator,),
        read=lazy.state,
        write=partial(lazy.restore, device=objective.towers.query.base.device),
    )


def _with_vectors(
    model: RecommenderModel, item_features: EncodedTable | None, propagation: Propagation | None
) -> RecommenderModel:
    """The model with the vectors of its items, and its towers on the CPU."""
    propagated_CD = None
    if propagation is not None:
        device = model.towers.query.base.device
        features = None if item_features is None else item_features.to(device)
        propagated_CD = propagation.propagated(model.towers, features).cpu().numpy()
    towers = model.towers.to("cpu")
    return replace(
        model,
        item_embeddings=_item_embeddings(towers, item_features),
        item_propagated=propagated_CD,
    )


@torch.no_grad()
def _item_embeddings(towers: TwoTower, features: EncodedTable | None) -> Embeddings:
    """Vectors of the catalogue, of towers that are on the CPU and not in training mode."""
    embeddings: Embeddings = towers.candidate(None, features).numpy()
    return embeddings


def _unit_scaled(
    log_shares_C: Float32Array,
) -> tuple[Float32Array, float]:
    """Values within -1 and 0, and what they were divided by."""
    scale = float(np.abs(log_shares_C).max()) or 1.0
    return log_shares_C / np.float32(scale), scale
