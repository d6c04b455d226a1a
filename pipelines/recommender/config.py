"""The settings of the recommender's jobs: one TOML file, one section a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipelines.jobs.job_run import DeadlinesConfig
from pipelines.jobs.settings import OutputConfig, read_config
from recsys.config import config_class
from recsys.datasets.checks.input_checks import InputChecksConfig
from recsys.datasets.checks.validation import ValidationConfig
from recsys.datasets.dataset import ColumnsConfig, DataConfig, FeaturesConfig
from recsys.datasets.splits import SplitConfig
from recsys.drift.config import DriftConfig
from recsys.recommender.config import (
    EvaluationConfig,
    IndexConfig,
    RecommenderConfig,
    TwoTowerConfig,
)
from recsys.recommender.nightly_config import ListChecksConfig, PromotionConfig
from recsys.tracking import TrackingConfig
from recsys.training import TrainingConfig

_MAX_K = 2**31 - 1
"""The longest list: ranks are numbers of 32 bits."""


@config_class
class ListsConfig:
    """What lists are written."""

    k: int = Field(default=20, ge=1, le=_MAX_K)
    """Items a list; a list is no longer than the catalogue."""
    filter_seen: bool = True
    """Whether items that a user already interacted with are left out. Models are chosen and
    measured under the same rule; if lists may repeat such items, their scores rise with how often
    they were taken."""
    deny: Path | None = None
    """Table of pairs user_id, item_id that must not be recommended."""
    eligible: Path | None = None
    """Table of the item_id that may be recommended; all when not set."""


@config_class
class JobConfig:
    """Everything that the recommender's jobs read."""

    data: DataConfig
    """Where the tables are."""
    columns: ColumnsConfig = ColumnsConfig()
    """Your names of the standard columns."""
    features: FeaturesConfig = FeaturesConfig()
    """Features of users and items."""
    validation: ValidationConfig = ValidationConfig()
    """Limits beyond which data is refused."""
    split: SplitConfig = SplitConfig()
    """How interactions are divided into train, valid and test."""
    model: TwoTowerConfig = TwoTowerConfig()
    """What is trained."""
    training: TrainingConfig = TrainingConfig()
    """How it is trained."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured."""
    index: IndexConfig = IndexConfig()
    """How item vectors are searched."""
    lists: ListsConfig = ListsConfig()
    """What lists are written."""
    tracking: TrackingConfig = TrackingConfig()
    """Where runs are tracked."""
    output: OutputConfig = OutputConfig()
    """Where outputs go."""
    drift: DriftConfig = DriftConfig()
    """What `recsys check-drift` compares, and when it calls a difference drift."""
    input_checks: InputChecksConfig = Field(
        default=InputChecksConfig(), validation_alias="gates", serialization_alias="gates"
    )
    """How far the newest day of the data may differ from the days before it."""
    promotion: PromotionConfig = PromotionConfig()
    """When a new model becomes live."""
    output_checks: ListChecksConfig = Field(
        default=ListChecksConfig(), validation_alias="guards", serialization_alias="guards"
    )
    """How far lists may differ from those of the night before."""
    deadlines: DeadlinesConfig = DeadlinesConfig()
    """How long a job may take."""

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        terms = [name for name, one in self.features.users.items() if one.kind == "categorical"]
        for segment in self.evaluation.segments:
            if segment not in terms:
                raise ValueError(
                    "expected evaluation.segments among the categorical features of users "
                    f"({', '.join(terms) or 'none'}), got {segment!r}; add it to [features.users]"
                )
        widths, prefix_dim = self.model.trained_widths, self.index.prefix_dim
        if prefix_dim is not None and prefix_dim not in widths:
            raise ValueError(
                "expected index.prefix_dim among the widths that are trained to work alone "
                f"({', '.join(map(str, widths))}), got {prefix_dim}; "
                "add it to model.prefix_dims"
            )
        return self

    @property
    def recommender(self) -> RecommenderConfig:
        """What to train and how."""
        return RecommenderConfig(model=self.model, training=self.training)

    def within(self, num_items: int) -> JobConfig:
        """The settings with lists that are no longer than the catalogue."""
        k = min(self.evaluation.k, max(num_items, 1))
        return replace(self, evaluation=replace(self.evaluation, k=k))

    @property
    def models(self) -> Path:
        """Root of the published models."""
        return self.output.directory / "models"

    @property
    def recommendations(self) -> Path:
        """Root of the published recommendations."""
        return self.output.directory / "recommendations"

    @property
    def similar_items(self) -> Path:
        """Root of the published similar items."""
        return self.output.directory / "similar-items"


def load_job_config(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    data: Mapping[str, Path | None] | None = None,
) -> JobConfig:
    """Read a config file; relative paths in it start at its folder, those of options do not.

    Args:
        path: A TOML file; None for defaults and options alone.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    return read_config(JobConfig, path, overrides=overrides, data=data, fill_in=_measure_as_written)


def _measure_as_written(mapping: dict[str, object]) -> dict[str, object]:
    """Lists are measured at the length that they are written with, unless another one is set."""
    lists, evaluation = mapping.get("lists", {}), mapping.get("evaluation", {})
    if not isinstance(lists, dict) or not isinstance(evaluation, dict):
        return mapping
    k = lists.get("k")
    if not isinstance(k, int) or not 1 <= k <= _MAX_K:  # whoever reads `lists` says so
        return mapping
    return {**mapping, "evaluation": {"k": k, **evaluation}}
