"""Tracked runs: what a job records about itself while it runs."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from recsys.tracking.client import TrackingConfig, load_mlflow
from recsys.tracking.environment import core_versions, describe_environment
from recsys.tracking.served import ServedModel
from recsys.tracking.spool_store import open_store
from recsys.tracking.stores import Batch, DatasetRecord, Delivery, RunStore, SilentStore
from recsys.tracking.values import flat_params, valid_names, valid_tags

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_MAX_DELAY_OF_FAILED_S = 10.0


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """Records a run; the store decides where it is kept."""

    store: RunStore
    """What keeps the run."""

    @property
    def delivery(self) -> Delivery:
        """What became of the run; known after its block."""
        return self.store.delivery

    @property
    def location(self) -> str:
        """Where a person finds the run; empty until it was delivered."""
        return self.delivery.location

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
        """Keep the environment as `environment.json`, and tags of what matters most in it."""
        self.log_tags({"python": platform.python_version(), **core_versions()})
        self.log_text(json.dumps(describe_environment(), indent=1), "environment.json")

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, under `folder`."""
        self.store.log_path(path, folder)

    def log_text(self, text: str, file_name: str) -> None:
        """Keep a text as a file; `file_name` may name a folder too."""
        self.store.log_text(text, file_name)

    def log_model(self, served: ServedModel, *, promote: bool, order: str) -> None:
        """Register a model; the number of its version is known after delivery.

        Args:
            served: The model.
            promote: Whether the version gets the configured alias. It does not take it from a
                version of a greater order: a run that is delivered late changes nothing.
            order: When the model was published, as a text that sorts: `<date>/<run id>`.
        """
        self.store.register(served, promote=promote, order=order)


@contextmanager
def start_run(
    config: TrackingConfig,
    *,
    run_name: str,
    tags: Mapping[str, str] = _NO_TAGS,
    spool: Path | None = None,
) -> Iterator[TrackedRun]:
    """A tracked run for the time of a block; an error in the block marks it as failed.

    What the run records is kept on the disk, and sent to MLflow when the block has ended, together
    with runs that still wait, within `config.max_delay_s`. So the block never fails because of the
    server or the network; `delivery` says what became of the run.

    Args:
        config: Where the run is tracked.
        run_name: What people call it.
        tags: What it is searched by.
        spool: Folder where runs wait; if not given, `spool/` beside the database or, with a server,
            where the default database would be.

    Raises:
        ConfigError: MLflow is not installed.
    """
    if not config.enabled:
        yield TrackedRun(store=SilentStore())
        return
    mlflow = load_mlflow()
    store = open_store(mlflow, config, run_name=run_name, tags=valid_tags(tags), spool=spool)
    try:
        yield TrackedRun(store=store)
    except BaseException:
        store.end("FAILED", budget_s=min(config.max_delay_s, _MAX_DELAY_OF_FAILED_S))
        raise
    store.end("FINISHED", budget_s=config.max_delay_s)
