"""The recommender in Python: fit on frames, recommend, measure, save and load.

It does what the jobs do, with the same settings and by the same functions: what it saves opens in
the jobs, and what they publish opens here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from recsys.config import config_of
from recsys.datasets.dataset import ColumnsConfig, Dataset, FeaturesConfig
from recsys.datasets.frame_columns import LOG, in_words_of_python
from recsys.datasets.frames import Frame, FrameKind, as_kind
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.datasets.times import TimeUnit
from recsys.datasets.validation import ValidationConfig
from recsys.errors import ConfigError
from recsys.recommender.compatibility import check_tables
from recsys.recommender.config import (
    EvaluationConfig,
    IndexConfig,
    RecommenderConfig,
    TwoTowerConfig,
)
from recsys.recommender.evaluation.comparison import verdict
from recsys.recommender.evaluation.holdout import MODEL, Comparison, compare
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.recommender.frontend.requests import (
    Request,
    filters_of,
    known_items,
    read_features,
    request_of_fit,
    request_of_log,
)
from recsys.recommender.frontend.saved import open_saved, save_published
from recsys.recommender.frontend.tables_in import (
    FrameDataset,
    Names,
    dataset_of_frames,
    split_for,
)
from recsys.recommender.lists.list_files import lists_table, similar_items_table
from recsys.recommender.lists.recommend import similar_items
from recsys.recommender.serving import Recommender as ServedRecommender
from recsys.recommender.serving import build_index, similarity_index
from recsys.training import TrainingConfig

_NOT_SAVED = ""
"""Fingerprint of an index whose model was not saved yet."""
_MEASURES = ("recall", "ndcg", "mrr", "hit_rate", "coverage", "novelty", "popularity")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fitted:
    """What a fit leaves besides the model."""

    dataset: Dataset
    experiment: Experiment


class Recommender:
    """Recommends items to users, known or new, from a log of who did what.

    Every keyword is a column or a section of the settings, and all have defaults: columns are
    guessed from their names, which is said aloud on the logger `recsys`. Sections are given as
    their dataclass or as a mapping, e.g. `training={"num_epochs": 5}`.

    Args:
        user_id: Column of the users; guessed when None, like the next two.
        item_id: Column of the items.
        event_time: Column of the times; a log need not have one.
        weight: Column of strengths of interactions.
        event_type: Column that says what an interaction was.
        event_types: Event types to keep.
        event_time_zone: Time zone of times that name none.
        event_time_unit: Unit of times that are integers since 1970.
        features: Features of users and items (`FeaturesConfig`); guessed from their tables when
            None.
        model: What is trained (`TwoTowerConfig`).
        training: How it is trained (`TrainingConfig`), the seed among it.
        split: What is held out to choose settings and to measure (`SplitConfig`).
        evaluation: What is measured (`EvaluationConfig`).
        index: How item vectors are searched (`IndexConfig`).
        validation: Limits beyond which tables are refused (`ValidationConfig`).

    Raises:
        ConfigError: A setting is wrong.

    Examples:
        >>> import pandas as pd
        >>> log = pd.DataFrame({
        ...     "user_id": ["ann", "ann", "bob", "bob", "cyd", "cyd", "dan", "dan"],
        ...     "item_id": ["tea", "cup", "tea", "pot", "cup", "pot", "tea", "cup"],
        ...     "event_time": pd.date_range("2026-03-01", periods=8, tz="UTC"),
        ... })
        >>> recommender = Recommender(split={"test_share": 0, "valid_share": 0}).fit(log)
        >>> recommender.recommend(["ann"], k=1)["item_id"].tolist()
        ['pot']
    """

    def __init__(
        self,
        *,
        user_id: str | None = None,
        item_id: str | None = None,
        event_time: str | None = None,
        weight: str | None = None,
        event_type: str | None = None,
        event_types: Sequence[str] | None = None,
        event_time_zone: str | None = None,
        event_time_unit: TimeUnit | None = None,
        features: FeaturesConfig | Mapping[str, object] | None = None,
        model: TwoTowerConfig | Mapping[str, object] | None = None,
        training: TrainingConfig | Mapping[str, object] | None = None,
        split: SplitConfig | Mapping[str, object] | None = None,
        evaluation: EvaluationConfig | Mapping[str, object] | None = None,
        index: IndexConfig | Mapping[str, object] | None = None,
        validation: ValidationConfig | Mapping[str, object] | None = None,
    ) -> None:
        columns = {
            "user_id": user_id, "item_id": item_id, "event_time": event_time, "weight": weight,
            "event_type": event_type, "event_time_zone": event_time_zone,
            "event_time_unit": event_time_unit,
            "event_types": None if event_types is None else tuple(event_types),
        }  # fmt: skip
        given = {name: value for name, value in columns.items() if value is not None}
        self._columns = config_of(ColumnsConfig, given, name="Recommender")
        self._is_given = frozenset(given)
        self._features = None if features is None else config_of(
            FeaturesConfig, features, name="features"
        )  # fmt: skip
        self._config = RecommenderConfig(
            model=config_of(TwoTowerConfig, model, name="model"),
            training=config_of(TrainingConfig, training, name="training"),
        )
        self._split = None if split is None else config_of(SplitConfig, split, name="split")
        self._evaluation = config_of(EvaluationConfig, evaluation, name="evaluation")
        self._index = config_of(IndexConfig, index, name="index")
        self._limits = config_of(ValidationConfig, validation, name="validation")
        self._served: ServedRecommender | None = None
        self._fitted: _Fitted | None = None
        self._kind: FrameKind = "pandas"

    def fit(
        self, interactions: Frame, users: Frame | None = None, items: Frame | None = None
    ) -> Self:
        """Choose settings, measure them beside baselines, and fit the model on everything.

        Args:
            interactions: Who did what, one row an event: pandas, polars or Arrow.
            users: Users and their features, one row each.
            items: Items and their features, one row each.

        Returns:
            The recommender itself.

        Raises:
            DataError: A table breaks a rule.
            TrainingError: Training cannot go on.
        """
        found = self._dataset(interactions, users, self._features, items)
        dataset = found.dataset
        with in_words_of_python():
            split = split_for(self._split, dataset)
            parts = split_interactions(dataset.interactions, split, seed=self._config.training.seed)
            experiment = run_experiment(
                dataset, parts, self._config, self._evaluation,
                callbacks=TrainingCallbacks(on_stage=LOG.info),
            )  # fmt: skip
        index = build_index(
            experiment.model, self._index,
            model_fingerprint=_NOT_SAVED, seed=self._config.training.seed,
        )  # fmt: skip
        self._served = ServedRecommender(model=experiment.model, index=index)
        self._fitted = _Fitted(dataset=dataset, experiment=experiment)
        self._kind = found.kind
        if experiment.comparison is not None:
            _tell_verdict(experiment.comparison, self._evaluation.k)
        return self

    def recommend(
        self,
        users: Frame | None = None,
        k: int = 20,
        *,
        interactions: Frame | None = None,
        user_features: Frame | None = None,
        filter_seen: bool = True,
        deny: Frame | None = None,
        eligible: Frame | None = None,
    ) -> Frame:
        """The best k items of each user, after all filters.

        Users that the fit did not know get lists from what they did (`interactions`), else from
        their features, else the most popular items; the column `source` says which.

        Args:
            users: Ids, or a frame with a column of them; all known users when None.
            k: Length of the lists.
            interactions: The log of today, where it has gone on since the fit.
            user_features: The users table of today.
            filter_seen: Whether items that a user already had are left out.
            deny: A frame of pairs of user and item that must not be recommended.
            eligible: Items that may be recommended, as ids or as a frame; all when None.

        Returns:
            user_id, item_id, rank, score and source, a row a user and rank, as the kind of frame
            that came in.

        Raises:
            DataError: Ids of another type than in the fit, null or repeated.
            ConfigError: Nothing was fitted, or k is below 1.
        """
        served = self._require_served("recommend")
        request = self._request(users, interactions, user_features)
        filters = filters_of(
            served.model, request, filter_seen=filter_seen, deny=deny, eligible=eligible,
            names=self._names,
        )  # fmt: skip
        lists = served.recommend(
            request.users.terms, k=k, filters=filters, histories=request.histories,
            user_table=request.user_table,
        )  # fmt: skip
        table = lists_table(
            lists, user_id_type=request.users.terms.type, item_ids=served.model.items
        )
        return as_kind(table, self._kind)

    def similar_items(self, items: Frame | None = None, k: int = 20) -> Frame:
        """The k items most like each item, by the cosine of their vectors.

        Args:
            items: Ids, or a frame with a column of them; the whole catalogue when None.
            k: Length of the lists.

        Returns:
            item_id, similar_item_id, rank and score, a row an item and rank.

        Raises:
            DataError: Ids of another type, or that the model does not know.
        """
        served = self._require_served("similar_items")
        catalogue = served.model.items
        index = similarity_index(served, self._index, seed=self._config.training.seed)
        numbers = None if items is None else known_items(items, served.model, self._names)
        lists = similar_items(index, item_ids=catalogue, k=k, numbers=numbers)
        return as_kind(similar_items_table(lists, item_ids=catalogue), self._kind)

    def evaluate(self, interactions: Frame | None = None) -> Frame:
        """The model and plain baselines, measured on interactions that came later.

        Args:
            interactions: Interactions after those of the fit. By default the end of the log of the
                fit, on which a model that was fitted on what came before was measured.

        Returns:
            A row a method: method, num_users, and measures such as recall@20 and ndcg@20.

        Raises:
            ConfigError: Nothing was fitted, or nothing was held out.
        """
        served = self._require_served("evaluate")
        if self._fitted is None:
            raise ConfigError(
                "evaluate: expected a recommender that was fitted here, got one that was loaded; "
                "its folder has metrics.json, or fit one on your log"
            )
        if interactions is None:
            return as_kind(self._held_out(), self._kind)
        later = self._dataset(interactions, None, FeaturesConfig()).dataset
        check_tables(served.model, later)
        found = compare(served.model, self._fitted.dataset, later.interactions, self._evaluation)
        return as_kind(measures_table(found, self._evaluation.k), self._kind)

    def save(self, folder: Path | str) -> Path:
        """Publish the model into a folder as `recsys train-recommender` does, and make it live.

        Jobs whose config has that folder as `output.directory` go on with it.

        Args:
            folder: Where to; made when missing.

        Returns:
            The folder of the published run.

        Raises:
            PublishError: The disk refuses.
        """
        served = self._require_served("save")
        dataset = None if self._fitted is None else self._fitted.dataset
        return save_published(served, Path(folder), dataset=dataset)

    @classmethod
    def load(cls, folder: Path | str, **settings: object) -> Self:
        """Open a recommender that was saved here or published by the jobs.

        Args:
            folder: What `save` was given, or `output.directory` of a config, or one published run.
            settings: Columns and settings as the constructor takes them.

        Raises:
            ArtifactError: There is none, or it is damaged.
        """
        loaded = cls(**settings)  # type: ignore[arg-type]
        loaded._served = open_saved(Path(folder))
        return loaded

    @property
    def _names(self) -> Names:
        """Names of the columns as the caller, or else the fit, has them."""
        columns = self._columns if self._fitted is None else self._fitted.dataset.columns
        return Names(columns=columns, is_given=self._is_given)

    def _dataset(
        self, interactions: Frame, users: Frame | None, features: FeaturesConfig | None,
        items: Frame | None = None,
    ) -> FrameDataset:  # fmt: skip
        return dataset_of_frames(
            {"interactions": interactions, "users": users, "items": items},
            names=Names(columns=self._columns, is_given=self._is_given),
            features=features,
            limits=self._limits,
            needs_time=self._split is not None and self._split.needs_time,
        )

    def _request(
        self, users: Frame | None, interactions: Frame | None, user_features: Frame | None
    ) -> Request:
        """Whom to make lists for, and what is known of them."""
        model = self._require_served("recommend").model
        if interactions is None:
            if user_features is not None:
                raise ConfigError(
                    "user_features: expected interactions beside it, got none; pass the log of "
                    "today as interactions=..."
                )
            table = None if self._fitted is None else self._fitted.dataset.users
            return request_of_fit(model, users, table, self._names)
        features = read_features(model, self._features if user_features is not None else None)
        if user_features is None:
            features = FeaturesConfig()
        today = self._dataset(interactions, user_features, features).dataset
        with in_words_of_python():
            check_tables(model, today)
        return request_of_log(model, users, today, self._names)

    def _held_out(self) -> pa.Table:
        """What the fit measured on the end of its log."""
        found = None if self._fitted is None else self._fitted.experiment.comparison
        if found is None:
            raise ConfigError(
                "evaluate: expected interactions that came later, got none held out; pass them, "
                'or fit with split={"test_share": 0.1, "valid_share": 0.1}'
            )
        return measures_table(found, self._evaluation.k)

    def _require_served(self, verb: str) -> ServedRecommender:
        if self._served is None:
            raise ConfigError(f"{verb}: expected a fitted recommender, got none; call fit first")
        return self._served


def measures_table(comparison: Comparison, k: int) -> pa.Table:
    """Measures of each method of a comparison, a row each."""
    names = list(comparison.evaluations)
    found = [comparison.evaluations[name].overall for name in names]
    return pa.table(
        {
            "method": pa.array(names, pa.string()),
            "num_users": pa.array([int(one["num_users"]) for one in found]),
            **{f"{name}@{k}": pa.array([one[f"{name}@{k}"] for one in found], pa.float64())
               for name in _MEASURES},
        }
    )  # fmt: skip


def _tell_verdict(comparison: Comparison, k: int) -> None:
    """Say whether the model beats its baselines; aloud where it does not."""
    found = verdict(
        comparison.evaluations[MODEL], comparison.baselines, (f"recall@{k}", f"ndcg@{k}")
    )
    LOG.log(logging.INFO if found.startswith("The model beats") else logging.WARNING, "%s", found)
