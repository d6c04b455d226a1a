"""The settings of the recommender's jobs: one TOML file, one section a component."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipelines.jobs.job_run import DeadlinesConfig
from pipelines.jobs.settings import OutputConfig, read_config
from recsys.config import config_class
from recsys.datasets.dataset import ColumnsConfig, DataConfig, FeaturesConfig
from recsys.datasets.input_checks import GatesConfig
from recsys.datasets.splits import SplitConfig
from recsys.datasets.validation import ValidationConfig
from recsys.drift.config import DriftConfig
from recsys.recommender.config import (
    EvaluationConfig,
    IndexConfig,
    RecommenderConfig,
    TwoTowerConfig,
)
from recsys.recommender.nightly_config import GuardsConfig, PromotionConfig
from recsys.tracking import TrackingConfig
from recsys.training import TrainingConfig


@config_class
class ListsConfig:
    """What lists are written."""

    k: int = Field(default=20, ge=1, le=2**31 - 1)
    """Items a list; a list is no longer than the catalogue."""
    filter_seen: bool = True
    """Whether items that a user already interacted with are left out. Models are chosen and
    measured under the same rule; where lists may hold such items again, these gain by how often
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
    gates: GatesConfig = GatesConfig()
    """What the newest day of the data may be like."""
    promotion: PromotionConfig = PromotionConfig()
    """When a new model becomes live."""
    guards: GuardsConfig = GuardsConfig()
    """What lists may be like beside those of the night before."""
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
        """The settings with lists that are no longer than the catalogue: what is beyond costs."""
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
        path: A TOML file; None for nothing but defaults and options.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    return _rebased(
        *read_config(JobConfig, path, overrides=overrides, data=data, fill_in=_measure_as_written)
    )


def _measure_as_written(mapping: dict[str, object]) -> dict[str, object]:
    """Lists are measured at the length that they are written with, unless another one is set."""
    lists, evaluation = mapping.get("lists", {}), mapping.get("evaluation", {})
    if not isinstance(lists, dict) or not isinstance(evaluation, dict) or "k" not in lists:
        return mapping
    return {**mapping, "evaluation": {"k": lists["k"], **evaluation}}


def _rebased(config: JobConfig, folder: Path) -> JobConfig:
    """Every relative path made absolute."""

    def at(path: Path) -> Path:
        return Path(os.path.normpath(folder / path))

    def given(path: Path | None) -> Path | None:
        return None if path is None else at(path)

    data, lists = config.data, config.lists
    return replace(
        config,
        data=replace(
            data,
            interactions=at(data.interactions),
            users=given(data.users),
            items=given(data.items),
        ),
        lists=replace(lists, deny=given(lists.deny), eligible=given(lists.eligible)),
        output=replace(config.output, directory=at(config.output.directory)),
    )
