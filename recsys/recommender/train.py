"""Training a recommender: select settings on validation data, then fit for good with them.

Shapes: V validation users, C items, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from recsys.datasets.dataset import Dataset
from recsys.features.encoder import EncodedTable, TableEncoder, rows_of
from recsys.features.history import UserItemMatrix, event_values, user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.batches import UserBatches, default_batch_size
from recsys.recommender.config import RecommenderConfig
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.objective import Objective
from recsys.recommender.popularity import choose_half_life, log_shares, popularity
from recsys.recommender.topk import Embeddings
from recsys.recommender.two_tower import TwoTower
from recsys.recommender.validation_sample import ValidationSample
from recsys.schema import ITEM_ID, USER_ID
from recsys.training import (
    BatchProgress,
    EpochResult,
    Epochs,
    best_epoch,
    choose_device,
    choose_precision,
    fit,
)

TRAINING_HALF_LIVES = 4
"""Half-life of events in the loss, in half-lives of popularity. Taste changes more slowly than what
is popular; docs/experiments.md has the trials."""
POPULARITY_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Weights of log popularity to choose from."""


@dataclass(frozen=True, kw_only=True)
class TrainingCallbacks:
    """Whom to tell of progress."""

    on_epoch: Callable[[EpochResult], None] | None = None
    """After each epoch."""
    on_batch: Callable[[BatchProgress], None] | None = None
    """After each batch."""
    on_stage: Callable[[str], None] | None = None
    """Before each fit, with what it is for."""

    def stage(self, name: str) -> None:
        """Tell what the next fit is for."""
        if self.on_stage is not None:
            self.on_stage(name)


def select_settings(
    train: Dataset,
    valid: pa.Table,
    config: RecommenderConfig,
    *,
    k: int = 20,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> tuple[Selection, RecommenderModel, list[EpochResult]]:
    """Fit on `train` and choose on `valid`: half-life, number of epochs, weight of popularity.

    Args:
        train: Tables whose interactions come from before `valid`.
        valid: Interactions to rank.
        config: What to train and how.
        k: Length of the lists that NDCG is measured on.
        callbacks: Whom to tell of progress.

    Returns:
        What was chosen, the model that was fitted on `train` with it, and its epochs.
    """
    users, items = _vocabularies(train.interactions)
    histories = user_item_matrix(train.interactions, users=users, items=items)
    sample = ValidationSample.draw(
        valid, users=users, items=items, histories=histories, k=k, seed=config.training.seed
    )
    half_life = choose_half_life(
        train.interactions, items, seen=sample.seen, relevant=sample.relevant, k=k
    )
    selection = Selection(
        num_epochs=config.training.num_epochs,
        popularity_half_life_days=half_life,
        training_half_life_days=None if half_life is None else half_life * TRAINING_HALF_LIVES,
        popularity_weight=0.0,
    )
    model, epochs = fit_recommender(
        train, config, selection, validation=sample, callbacks=callbacks
    )
    weights = [(sample.quality(_weighted(model, weight)), -weight) for weight in POPULARITY_WEIGHTS]
    selection = replace(
        selection, num_epochs=best_epoch(epochs), popularity_weight=-max(weights)[1]
    )
    return selection, replace(model, selection=selection), epochs


def fit_recommender(
    data: Dataset,
    config: RecommenderConfig,
    selection: Selection,
    *,
    validation: ValidationSample | None = None,
    callbacks: TrainingCallbacks = TrainingCallbacks(),  # noqa: B008  frozen
) -> tuple[RecommenderModel, list[EpochResult]]:
    """Fit vocabularies, encoders and towers on all interactions of `data`.

    Args:
        data: Tables; rows of users and items without an interaction are not looked at.
        config: What to train and how.
        selection: What was chosen before.
        validation: Stops training where it is given; else `selection.num_epochs` are run.
        callbacks: Whom to tell of progress.

    Returns:
        The model, and the epochs that were run.

    Raises:
        TrainingError: The loss is not finite.
    """
    training = config.training
    users, items = _vocabularies(data.interactions)
    user_encoder, user_table = _known_rows(data, "users", users)
    item_encoder, item_table = _known_rows(data, "items", items)
    item_features = None if item_encoder is None else item_encoder.encode(item_table)
    histories = user_item_matrix(data.interactions, users=users, items=items)
    device = choose_device(training.device)
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        towers = TwoTower(
            num_users=len(users),
            num_items=len(items),
            user_sizes=user_encoder.sizes if user_encoder else None,
            item_sizes=item_encoder.sizes if item_encoder else None,
            config=config.model,
        )
        if config.model.warm_start:
            _warm_start(towers, histories, training.seed)
        popular_C = popularity(
            data.interactions, items, half_life_days=selection.popularity_half_life_days
        )
        log_popularity, scale = _unit_scaled(log_shares(popular_C))
        unfitted = RecommenderModel(
            config=config.model, selection=selection, towers=towers, users=users, items=items,
            histories=histories, user_table=user_table, user_encoder=user_encoder,
            item_encoder=item_encoder, item_embeddings=_item_embeddings(towers, item_features),
            log_popularity=log_popularity, popularity_scale=scale,
        )  # fmt: skip
        epochs = _train(unfitted, item_features, data, config, device, validation, callbacks)
    towers.to("cpu").eval()
    return replace(unfitted, item_embeddings=_item_embeddings(towers, item_features)), epochs


def _train(
    model: RecommenderModel,
    item_features: EncodedTable | None,
    data: Dataset,
    config: RecommenderConfig,
    device: torch.device,
    validation: ValidationSample | None,
    callbacks: TrainingCallbacks,
) -> list[EpochResult]:
    """Train the towers of a model in place."""
    values = event_values(data.interactions, half_life_days=model.selection.training_half_life_days)
    matrix = user_item_matrix(
        data.interactions, users=model.users, items=model.items, values=values
    )
    user_features = None
    if model.user_encoder is not None and model.user_table is not None:
        user_features = model.user_encoder.encode(model.user_table)
    num_users, num_items = matrix.shape
    batches = UserBatches(
        matrix=matrix,
        features=user_features,
        batch_size=config.training.batch_size or default_batch_size(num_users, num_items),
        history_dropout=config.model.history_dropout,
        user_embedding=config.model.user_embedding,
        seed=config.training.seed,
    )
    objective = Objective.of(
        model.towers.to(device), matrix, item_features, batches.batch_size, config.model,
        precision=choose_precision(config.training.precision, device), device=device,
        seed=config.training.seed,
    )  # fmt: skip

    def validate() -> float:
        towers = model.towers.to("cpu")
        quality = validation.quality(  # type: ignore[union-attr]
            replace(model, item_embeddings=_item_embeddings(towers, item_features))
        )
        model.towers.to(device)
        return quality

    return fit(
        model.towers,
        epochs=Epochs(
            num_batches=batches.num_batches,
            draw=batches.draw,
            num_examples=lambda batch: len(batch.positives.rows),
        ),
        step=objective.loss,
        optimizers=objective.optimizers(config.training.learning_rate),
        config=config.training,
        validate=validate if validation is not None and validation.num_users else None,
        num_epochs=model.selection.num_epochs,
        on_epoch=callbacks.on_epoch,
        on_batch=callbacks.on_batch,
    )


def _vocabularies(interactions: pa.Table) -> tuple[Vocabulary, Vocabulary]:
    return Vocabulary.fit(interactions[USER_ID]), Vocabulary.fit(interactions[ITEM_ID])


def _known_rows(
    data: Dataset, table_name: str, ids: Vocabulary
) -> tuple[TableEncoder, pa.Table] | tuple[None, None]:
    """The rows of the users or items in the interactions, and an encoder fitted on them alone."""
    table = data.users if table_name == "users" else data.items
    features = data.features.users if table_name == "users" else data.features.items
    if table is None or not features:
        return None, None
    id_column = USER_ID if table_name == "users" else ITEM_ID
    rows = rows_of(table, id_column, ids.terms).select([id_column, *features])
    return TableEncoder.fit(rows, features), rows


def _warm_start(towers: TwoTower, histories: UserItemMatrix, seed: int) -> None:
    """Start item vectors from the singular vectors of the degree-normalised matrix.

    Singular values order the dimensions, which gives Matryoshka prefixes a start too. Source of the
    normalisation: Wang et al. 2019 (https://arxiv.org/abs/1905.08108) and its successors.
    """
    degrees_U = np.maximum(np.diff(histories.indptr), 1)
    degrees_C = np.maximum(np.bincount(histories.indices, minlength=histories.shape[1]), 1)
    normalised = histories.multiply(degrees_U[:, None] ** -0.5).multiply(degrees_C**-0.5).tocsr()
    weight_CD = towers.candidate.item.weight
    width = min(weight_CD.shape[1], min(histories.shape) - 1)
    if width < 1:
        return
    _, values_D, items_DC = randomized_svd(
        normalised.astype(np.float32), width, n_iter=2, random_state=seed
    )
    vectors_CD = (items_DC.T * np.sqrt(values_D)).astype(np.float32)
    vectors_CD /= np.linalg.norm(vectors_CD, axis=1).mean() or 1.0
    with torch.no_grad():
        weight_CD.mul_(0.1)  # breaks ties between items with equal users
        weight_CD[:, :width] += torch.from_numpy(vectors_CD)


def _item_embeddings(towers: TwoTower, features: EncodedTable | None) -> Embeddings:
    was_training = towers.training
    towers.eval()
    with torch.no_grad():
        embeddings: Tensor = towers.candidate(None, features)
    towers.train(was_training)
    return np.ascontiguousarray(embeddings.numpy())


def _unit_scaled(
    log_shares_C: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], float]:
    """Values within -1 and 0, and what they were divided by."""
    scale = float(np.abs(log_shares_C).max()) or 1.0
    return (log_shares_C / scale).astype(np.float32), scale


def _weighted(model: RecommenderModel, popularity_weight: float) -> RecommenderModel:
    selection = replace(model.selection, popularity_weight=popularity_weight)
    return replace(model, selection=selection)
