"""Tracked runs: what a job tells about itself while it runs."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType

from pydantic import JsonValue

from recsys.errors import ConfigError, RecsysError
from recsys.files import PRIVATE_FOLDER
from recsys.tracking.client import (
    TrackingConfig,
    existing_accepted,
    load_mlflow,
    sqlite_path,
    tracking_errors,
    tracking_uri,
)
from recsys.tracking.environment import core_versions, describe_environment
from recsys.tracking.served import ServedModel
from recsys.tracking.stores import Batch, DatasetRecord, MlflowStore, RunStore, SilentStore
from recsys.tracking.values import flat_params, valid_names, valid_tags

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """Verbs for telling; where the run is kept is the store's matter."""

    store: RunStore
    """What keeps the run."""

    @property
    def location(self) -> str:
        """Where a person finds the run; empty when it is not kept."""
        return self.store.location

    def log_params(self, params: Mapping[str, JsonValue]) -> None:
        """Keep settings; nested ones get dotted names, and long values are cut."""
        self.store.log_batch(Batch(params=flat_params(params)))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep figures, those of one step if given; `recall@20` becomes `recall_at_20`."""
        self.store.log_batch(Batch(metrics=valid_names(metrics), step=step))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Keep what the run is searched by."""
        self.store.log_batch(Batch(tags=valid_tags(tags)))

    def log_dataset(
        self, name: str, *, digest: str, num_rows: int, source: str, context: str
    ) -> None:
        """Keep which table was used.

        Args:
            name: What the table is, e.g. `"interactions"`.
            digest: Digest of its content (see `recsys.artifacts.digest_table`).
            num_rows: Its length.
            source: Where it came from.
            context: What it was used for, e.g. `"training"`.
        """
        self.store.log_dataset(
            DatasetRecord(
                name=name, digest=digest, num_rows=num_rows, source=source, context=context
            )
        )

    def log_environment(self) -> None:
        """Keep what the run runs on: `environment.json`, and tags of what matters most."""
        self.log_tags({"python": platform.python_version(), **core_versions()})
        self.log_text(json.dumps(describe_environment(), indent=1), "environment.json")

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, under `folder`."""
        self.store.log_path(path, folder)

    def log_figure(self, path: Path) -> None:
        """Keep an image among the figures."""
        self.store.log_path(path, "figures")

    def log_text(self, text: str, file_name: str) -> None:
        """Keep a text as a file; `file_name` may name a folder too."""
        target = Path(file_name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, target.name)
            file.write_text(text, encoding="utf-8")
            self.store.log_path(file, str(target.parent) if target.parent.name else "")

    def log_model(self, served: ServedModel) -> int | None:
        """Register a model; gives the new version once it is ready, None when it is not kept."""
        return self.store.register(served)

    def promote(self, version: int) -> None:
        """Give a registered version the configured alias."""
        self.store.promote(version)


@contextmanager
def start_run(
    config: TrackingConfig, *, run_name: str, tags: Mapping[str, str] = _NO_TAGS
) -> Iterator[TrackedRun]:
    """A tracked run for the time of a block; an error in the block marks it as failed.

    Raises:
        ConfigError: MLflow is missing, or the server does not answer.
    """
    if not config.enabled:
        yield TrackedRun(store=SilentStore())
        return
    mlflow, uri = load_mlflow(), tracking_uri(config)
    remedy = "start the server (make mlflow), correct tracking.uri or set tracking.enabled = false"
    with tracking_errors(uri, error_type=ConfigError, remedy=remedy):
        store = _open_run(mlflow, uri, config, run_name, valid_tags(tags))
    try:
        yield TrackedRun(store=store)
    except BaseException:
        with suppress(RecsysError), tracking_errors(uri):  # the block's own error says more
            mlflow.end_run("FAILED")
        raise
    with tracking_errors(uri):
        mlflow.end_run("FINISHED")


def _open_run(
    mlflow: ModuleType, uri: str, config: TrackingConfig, run_name: str, tags: Mapping[str, str]
) -> MlflowStore:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    experiment_id = _experiment_id(mlflow, uri, config.experiment)
    run = mlflow.start_run(experiment_id=experiment_id, run_name=run_name, tags=dict(tags))
    return MlflowStore(
        mlflow=mlflow,
        config=config,
        uri=uri,
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
    )


def _experiment_id(mlflow: ModuleType, uri: str, name: str) -> str:
    """The experiment's id; a new one in a SQLite database keeps its files beside the database."""
    database, artifacts = sqlite_path(uri), None
    if database is not None:
        database.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        artifacts = (database.parent / "artifacts").as_uri()
    if mlflow.get_experiment_by_name(name) is None:
        with existing_accepted():  # another run may have been faster
            mlflow.create_experiment(name, artifact_location=artifacts)
    experiment = mlflow.get_experiment_by_name(name)
    if database is not None and experiment.artifact_location.startswith("mlflow-artifacts:"):
        raise ConfigError(
            f"tracking.experiment: expected one that keeps its files beside {database}, got"
            f" {name!r}, made through a server; set tracking.uri to it or choose another name"
        )
    return str(experiment.experiment_id)
