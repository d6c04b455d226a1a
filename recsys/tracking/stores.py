"""What keeps a run: MLflow, or nobody. Whatever else may keep runs has the same five verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol

from recsys.tracking.client import TrackingConfig, redacted, tracking_errors
from recsys.tracking.registry import register_model
from recsys.tracking.served import ServedModel
from recsys.tracking.values import MAX_BATCH, MAX_DATASET_DIGEST_LENGTH, batches


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Small values, with names and lengths that MLflow takes."""

    params: Mapping[str, str] = field(default_factory=dict)
    """Settings."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Figures."""
    step: int | None = None
    """The step that the figures belong to."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What runs are searched by."""


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """Which table a run used."""

    name: str
    """What the table is, e.g. `"interactions"`."""
    digest: str
    """Digest of its content."""
    num_rows: int
    """Its length."""
    source: str
    """Where it came from."""
    context: str
    """What it was used for, e.g. `"training"`."""


class RunStore(Protocol):
    """Keeps one run."""

    @property
    def location(self) -> str:
        """Where a person finds the run; empty when it is not kept."""

    def log_batch(self, batch: Batch) -> None:
        """Keep small values."""

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Keep which table was used."""

    def log_path(self, path: Path, folder: str) -> None:
        """Keep a file, or the files of a folder, under `folder`."""

    def register(self, served: ServedModel) -> int | None:
        """Make a model version and give its number once it is ready; None when it is not kept."""

    def promote(self, version: int) -> None:
        """Give a model version the configured alias."""


class SilentStore:
    """Keeps nothing."""

    location = ""

    def log_batch(self, batch: Batch) -> None:
        """Drop small values."""

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Drop a table's record."""

    def log_path(self, path: Path, folder: str) -> None:
        """Drop files."""

    def register(self, served: ServedModel) -> None:
        """Register nothing."""

    def promote(self, version: int) -> None:
        """Promote nothing."""


@dataclass(frozen=True, kw_only=True)
class MlflowStore:
    """Keeps the active run of MLflow."""

    mlflow: ModuleType
    """The library."""
    config: TrackingConfig
    """Names of the model and its alias."""
    uri: str
    """Address of the server or database."""
    run_id: str
    """MLflow's name for the run."""
    experiment_id: str
    """MLflow's name for the experiment."""

    @property
    def location(self) -> str:
        """Address of the run's page, or of the database and the run in it."""
        if self.uri.startswith("http"):
            page = f"#/experiments/{self.experiment_id}/runs/{self.run_id}"
            return redacted(f"{self.uri.rstrip('/')}/{page}")
        return f"{redacted(self.uri)} run {self.run_id}"

    def log_batch(self, batch: Batch) -> None:
        """Send small values, as many a request as the server takes."""
        with tracking_errors(self.uri):
            for params in batches(batch.params, MAX_BATCH):
                self.mlflow.log_params(params, run_id=self.run_id)
            for metrics in batches(batch.metrics, MAX_BATCH):
                self.mlflow.log_metrics(metrics, step=batch.step, run_id=self.run_id)
            for tags in batches(batch.tags, MAX_BATCH):
                self.mlflow.set_tags(tags)

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Add the table to the inputs of the run."""
        entities = self.mlflow.entities
        record = entities.Dataset(
            name=dataset.name,
            digest=dataset.digest[:MAX_DATASET_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps({"num_rows": dataset.num_rows, "sha256": dataset.digest}),
        )
        context = entities.InputTag("mlflow.data.context", dataset.context)
        with tracking_errors(self.uri):
            self.mlflow.MlflowClient().log_inputs(
                self.run_id, [entities.DatasetInput(record, [context])]
            )

    def log_path(self, path: Path, folder: str) -> None:
        """Upload a file or the files of a folder."""
        log = self.mlflow.log_artifacts if path.is_dir() else self.mlflow.log_artifact
        with tracking_errors(self.uri):
            log(str(path), folder or None, run_id=self.run_id)

    def register(self, served: ServedModel) -> int:
        """Upload the model and register it under the configured name."""
        with tracking_errors(self.uri):
            return register_model(self.mlflow, served, name=self.config.registered_model)

    def promote(self, version: int) -> None:
        """Move the configured alias to a version."""
        names = self.config.registered_model, self.config.alias
        with tracking_errors(self.uri):
            self.mlflow.MlflowClient().set_registered_model_alias(*names, str(version))
