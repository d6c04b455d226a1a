"""The settings that the recommender takes in Python: columns and sections, each with defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import pyarrow.compute as pc

from recsys.config import config_class
from recsys.datasets.callers import config_of
from recsys.datasets.checks.validation import ValidationConfig
from recsys.datasets.dataset import ColumnsConfig, Dataset, FeaturesConfig
from recsys.datasets.splits import SplitConfig
from recsys.recommender.config import (
    EvaluationConfig,
    IndexConfig,
    RecommenderConfig,
    TwoTowerConfig,
)
from recsys.recommender.frontend.tables_in import Names
from recsys.recommender.ranking.ranker import list_length
from recsys.schema import ITEM_ID
from recsys.training import TrainingConfig

_NAME = "Recommender"
_COLUMNS = {
    "weight": "weight",
    "event_type": "event_type",
    "event_types": "event_types",
    "event_time_zone": "event_time_zone",
    "event_time_unit": "event_time_unit",
    "split_column": "split",
}
"""Keywords by the field of `ColumnsConfig` that they set."""


Setting: TypeAlias = Any
"""A setting as a caller gives it: text, a number, a mapping or a dataclass."""


@config_class
class RecommenderSettings:
    """Sections of the settings, as the config file of the jobs has them."""

    features: FeaturesConfig | None = None
    """Features of users and items; guessed from their tables when None."""
    model: TwoTowerConfig = TwoTowerConfig()
    """What is trained."""
    training: TrainingConfig = TrainingConfig()
    """How it is trained."""
    split: SplitConfig | None = None
    """What is held out; by time, or at random where there are no times, when None."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured."""
    index: IndexConfig = IndexConfig()
    """How item vectors are searched."""
    validation: ValidationConfig = ValidationConfig()
    """Limits beyond which tables are refused."""
    filter_seen: bool = True
    """Whether lists leave out what users had; settings are chosen for such lists."""

    def evaluation_of(self, dataset: Dataset) -> EvaluationConfig:
        """What is measured: lists are no longer than the catalogue."""
        num_items = pc.count_distinct(dataset.interactions[ITEM_ID]).as_py()
        return replace(self.evaluation, k=list_length(self.evaluation.k, num_items))

    @property
    def recommender(self) -> RecommenderConfig:
        """What to train and how."""
        return RecommenderConfig(model=self.model, training=self.training)

    @property
    def needs_time(self) -> bool:
        """Whether a split was asked for that needs the time of every event."""
        return self.split is not None and self.split.needs_time


def names_and_settings(
    columns: Mapping[str, object], others: Mapping[str, object]
) -> tuple[Names, RecommenderSettings]:
    """Columns and sections that a caller gave as keywords.

    Args:
        columns: Names of columns; None where not given.
        others: All other keywords.

    Raises:
        ConfigError: A keyword that is not known, or a setting that is wrong.
    """
    named = {name: value for name, value in columns.items() if value is not None}
    named |= {_COLUMNS[name]: value for name, value in others.items() if name in _COLUMNS}
    sections = {name: value for name, value in others.items() if name not in _COLUMNS}
    given = {name: list(value) if isinstance(value, tuple) else value
             for name, value in named.items() if value is not None}  # fmt: skip
    return (
        Names(columns=config_of(ColumnsConfig, given, name=_NAME), is_given=frozenset(given)),
        config_of(RecommenderSettings, sections, name=_NAME),
    )
