"""The recommender in Python: fit on frames, recommend, measure, save and load, as the jobs do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from recsys.datasets.callers import in_words_of_python, whole_number
from recsys.datasets.dataset import Dataset, FeaturesConfig
from recsys.datasets.frames.frame_columns import LOG
from recsys.datasets.frames.frames import Frame, FrameKind, as_kind
from recsys.datasets.splits import split_interactions
from recsys.errors import ConfigError
from recsys.recommender.compatibility import check_tables
from recsys.recommender.evaluation.holdout import compare
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.train import TrainingCallbacks
from recsys.recommender.frontend.measures import held_out, measures_table, tell_verdict
from recsys.recommender.frontend.requests import (
    check_beside_log,
    filters_of,
    known_items,
    read_features,
    request_of,
)
from recsys.recommender.frontend.saved import open_saved, save_published
from recsys.recommender.frontend.settings import Setting, names_and_settings
from recsys.recommender.frontend.tables_in import (
    FrameDataset,
    Names,
    dataset_of_frames,
    split_for,
)
from recsys.recommender.lists.list_files import lists_table, similar_items_table
from recsys.recommender.lists.recommend import similar_items
from recsys.recommender.ranking.ranker import list_length
from recsys.recommender.serving import Recommender as ServedRecommender
from recsys.recommender.serving import build_index, similarity_index

_NOT_SAVED = ""  # fingerprint of an index whose model was not saved yet


class _Fitted(NamedTuple):
    """What a fit leaves besides the model."""

    dataset: Dataset
    experiment: Experiment


class Recommender:
    """Recommends items to users, known or new, from a log of interactions.

    All keywords have defaults. Columns that are not given are guessed from their names, and each
    guess is logged by the logger `recsys`. The other settings are sections of the config file of
    the jobs, given as their dataclass or as a mapping, e.g. `training={"num_epochs": 5}`.

    Args:
        user_id: Column of the users; guessed when None, like the next two.
        item_id: Column of the items.
        event_time: Column of the times; a log need not have one.
        others: The other columns, `weight`, `event_type` (with `event_types` to keep) and
            `split_column`; how to read times, `event_time_zone` and `event_time_unit`; and the
            fields of `RecommenderSettings`: features, model, training (with the seed), split,
            evaluation, index, validation and filter_seen.

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
        **others: Setting,
    ) -> None:
        columns = {"user_id": user_id, "item_id": item_id, "event_time": event_time}
        self._names, self._settings = names_and_settings(columns, others)
        self._served: ServedRecommender | None = None
        self._fitted: _Fitted | None = None
        self._kind: FrameKind = "pandas"

    def fit(
        self, interactions: Frame, users: Frame | None = None, items: Frame | None = None
    ) -> Self:
        """Choose settings, measure them beside baselines, fit the model on everything.

        Args:
            interactions: One row an event: pandas, polars or Arrow.
            users: Users and their features, one row each.
            items: Items and their features, one row each.

        Raises:
            DataError: A table breaks a rule.
            TrainingError: Training cannot go on.
        """
        settings = self._settings
        found = self._read(interactions, users, items, features=settings.features)
        dataset, seed = found.dataset, settings.training.seed
        evaluation = self._settings.evaluation_of(dataset)
        with in_words_of_python():
            split = split_for(settings.split, dataset)
            parts = split_interactions(dataset.interactions, split, seed=seed)
            experiment = run_experiment(
                dataset, parts, settings.recommender, evaluation,
                filter_seen=settings.filter_seen, had=found.had,
                callbacks=TrainingCallbacks(on_stage=LOG.info),
            )  # fmt: skip
        index = build_index(
            experiment.model, settings.index, model_fingerprint=_NOT_SAVED, seed=seed
        )
        self._served = ServedRecommender(model=experiment.model, index=index)
        self._fitted = _Fitted(dataset=dataset, experiment=experiment)
        self._kind = found.kind
        if experiment.comparison is not None:
            tell_verdict(experiment.comparison, evaluation.k)
        return self

    def recommend(
        self,
        users: Frame | None = None,
        k: int = 20,
        *,
        interactions: Frame | None = None,
        user_features: Frame | None = None,
        filter_seen: bool | None = None,
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
            user_features: The users table of today, beside `interactions`.
            filter_seen: Whether items that a user already had are left out; as in the fit when
                None.
            deny: A frame of pairs of user and item that must not be recommended.
            eligible: Items that may be recommended, as ids or as a frame; all when None.

        Returns:
            user_id, item_id, rank, score and source, a row a user and rank, as the kind of frame
            that was fitted on.

        Raises:
            DataError: Ids of another type than in the fit, or null.
            ConfigError: Nothing was fitted, or k is below 1.
        """
        served, k = self._require("recommend"), whole_number(k, name="k")
        today = self._today(served, interactions, user_features)
        known = None if self._fitted is None else self._fitted.dataset.users
        request = request_of(served.model, users, today, known, self._known_names)
        filters = filters_of(
            served.model, request, deny=deny, eligible=eligible, names=self._known_names,
            filter_seen=served.model.selection.filter_seen if filter_seen is None else filter_seen,
        )  # fmt: skip
        ids, items = request.users.terms, served.model.items
        lists = served.recommend(
            ids, k=list_length(k, len(items)), filters=filters, histories=request.histories,
            repeats=request.repeats, user_table=request.user_table,
        )  # fmt: skip
        return as_kind(lists_table(lists, user_id_type=ids.type, item_ids=items), self._kind)

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
        served, k = self._require("similar_items"), whole_number(k, name="k")
        catalogue = served.model.items
        numbers = None if items is None else known_items(items, served.model, self._known_names)
        index = similarity_index(served, self._settings.index, seed=self._settings.training.seed)
        lists = similar_items(index, item_ids=catalogue, k=k, numbers=numbers)
        return as_kind(similar_items_table(lists, item_ids=catalogue), self._kind)

    def evaluate(self, interactions: Frame | None = None) -> Frame:
        """The model and baselines, measured on later interactions.

        Args:
            interactions: Interactions after those of the fit. By default the end of the log of the
                fit, on which a model that was fitted on what came before was measured.

        Returns:
            A row for each method: method, num_users, and measures such as recall@20 and ndcg@20.

        Raises:
            ConfigError: Nothing was fitted here, or nothing was held out.
        """
        model = self._require("evaluate").model
        if self._fitted is None:
            raise ConfigError(
                "evaluate: expected a recommender that was fitted here, got one that was loaded; "
                "fit one on your log, or read metrics.json in its folder"
            )
        dataset, k = self._fitted.dataset, self._settings.evaluation_of(self._fitted.dataset).k
        if interactions is None:
            found = held_out(self._fitted.experiment)
        else:
            later = self._read(interactions, features=FeaturesConfig()).dataset
            check_tables(model, later)
            evaluation = self._settings.evaluation_of(dataset)
            found = compare(model, dataset, later.interactions, evaluation)
        return as_kind(measures_table(found, k), self._kind)

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
        dataset = None if self._fitted is None else self._fitted.dataset
        return save_published(self._require("save"), Path(folder), dataset=dataset)

    @classmethod
    def load(cls, folder: Path | str, **settings: Setting) -> Self:
        """Open a recommender that was saved here or published by the jobs.

        Args:
            folder: What `save` was given, or `output.directory` of a config, or one published run.
            settings: Columns and settings as the constructor takes them.

        Raises:
            ArtifactError: There is none, or it is damaged.
        """
        loaded = cls(**settings)
        loaded._served = open_saved(Path(folder))
        return loaded

    @property
    def _known_names(self) -> Names:
        """Names of the columns as the fit, or else the caller, has them."""
        fitted = self._fitted
        return (
            self._names if fitted is None else replace(self._names, columns=fitted.dataset.columns)
        )

    def _read(
        self, interactions: Frame, users: Frame | None = None, items: Frame | None = None,
        *, features: FeaturesConfig | None,
    ) -> FrameDataset:  # fmt: skip
        return dataset_of_frames(
            {"interactions": interactions, "users": users, "items": items},
            names=self._names,
            features=features,
            limits=self._settings.validation,
            needs_time=self._settings.needs_time,
        )

    def _today(
        self, served: ServedRecommender, interactions: Frame | None, user_features: Frame | None
    ) -> FrameDataset | None:
        """The log of today, where one is given."""
        if interactions is None:
            check_beside_log(user_features)
            return None
        features = read_features(served.model, self._settings.features, user_features)
        today = self._read(interactions, user_features, features=features)
        with in_words_of_python():
            check_tables(served.model, today.dataset)
        return today

    def _require(self, verb: str) -> ServedRecommender:
        if self._served is None:
            raise ConfigError(f"{verb}: expected a fitted recommender, got none; call fit first")
        return self._served
