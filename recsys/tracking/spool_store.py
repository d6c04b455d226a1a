"""Keeps a run in the spool while its job runs, and delivers it when the job has ended."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

from pydantic import JsonValue

from recsys.errors import RecsysError
from recsys.files import write_new
from recsys.tracking.client import TrackingConfig, redacted, spool_folder, tracking_uri
from recsys.tracking.registry import ORDER, write_served
from recsys.tracking.replay import problem_of, replay_within
from recsys.tracking.served import ServedModel
from recsys.tracking.spool import SpoolWriter, copy_private, open_writer, waiting_runs
from recsys.tracking.stores import Batch, DatasetRecord, Delivery, RunStore, SilentStore


@dataclass(kw_only=True, eq=False)
class SpoolStore:
    """Keeps a run in the spool."""

    config: TrackingConfig
    """Where it is delivered to."""
    writer: SpoolWriter
    """Writes its events."""
    delivery: Delivery = field(default_factory=Delivery)
    """What became of it."""
    lost: list[str] = field(default_factory=list)
    """What could not be written, a line each."""

    def log_batch(self, batch: Batch) -> None:
        """Write small values."""
        metrics = {name: float(value) for name, value in batch.metrics.items()}
        with self._keeping("values"):
            self.writer.append(
                "batch",
                {
                    "params": dict(batch.params),
                    "metrics": dict(metrics),
                    "step": batch.step,
                    "tags": dict(batch.tags),
                },
            )

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Write which table was used."""
        with self._keeping("a table"):
            self.writer.append("dataset", asdict(dataset))

    def log_path(self, path: Path, folder: str) -> None:
        """Copy a file or the files of a folder."""
        with self._keeping(str(path)):
            copy_private(path, self.writer.new_folder())
            self.writer.append("files", {"folder": folder})

    def log_text(self, text: str, file_name: str) -> None:
        """Write a text as a file."""
        target = Path(file_name)
        with self._keeping(file_name):
            write_new(self.writer.new_folder() / target.name, text.encode())
            self.writer.append(
                "files", {"folder": "" if len(target.parts) < 2 else str(target.parent)}
            )

    def register(self, served: ServedModel, *, promote: bool, order: str) -> None:
        """Copy a model; its version is made when it is delivered."""
        with self._keeping("the model"):
            values = write_served(served, self.writer.new_folder(), tags={ORDER: order})
            self.writer.append("model", values)
            if promote:
                self.writer.append("promote", {})

    def end(self, status: str, *, budget_s: float) -> None:
        """Close the run and replay the spool; never fails."""
        with self._keeping("the end of the run"):
            self.writer.append("end", {"status": status})
        with self._keeping("the run"):
            self.writer.close()
        try:
            self.delivery = self._deliver(budget_s)
        except Exception as error:  # noqa: BLE001  tracking must not cost the job
            text = " ".join(str(error).split()) or type(error).__name__
            self.delivery = Delivery(num_waiting=1, problem=redacted(text))

    def _deliver(self, budget_s: float) -> Delivery:
        folder = self.writer.folder
        progress = replay_within(self.config, folder.parent, budget_s, first=folder.name)
        cursor = progress.delivered.get(folder.name)
        refused = [] if cursor is None else list(cursor.refused)
        problems = [problem_of(progress, refused), *self.lost[:1]]
        return Delivery(
            version=None if cursor is None else cursor.version,
            location=progress.locations.get(folder.name, ""),
            num_waiting=len(waiting_runs(folder.parent)),
            problem="; ".join(text for text in problems if text) or None,
        )

    @contextmanager
    def _keeping(self, what: str) -> Iterator[None]:
        """Go on without what cannot be written."""
        try:
            yield
        except (OSError, RecsysError) as error:
            text = " ".join(str(error).split())
            self.lost.append(redacted(f"not tracked: {what}: {text}"))


def open_store(
    mlflow: ModuleType,
    config: TrackingConfig,
    *,
    run_name: str,
    tags: Mapping[str, str],
    spool: Path | None,
) -> RunStore:
    """A new run in the spool; if it cannot be written, a store that keeps nothing and says why."""
    start: dict[str, JsonValue] = {
        "address": redacted(tracking_uri(config)),
        "experiment": config.experiment,
        "registered_model": config.registered_model,
        "alias": config.alias,
        "run_name": run_name,
        "tags": {**_context_tags(mlflow), **tags},
    }
    folder = spool_folder(config) if spool is None else spool.absolute()
    try:
        writer = open_writer(folder, uuid.uuid4().hex, start)
    except OSError as error:
        problem = f"{folder}: expected a folder to keep the run in, got: {error.strerror or error}"
        return SilentStore(delivery=Delivery(problem=redacted(problem)))
    return SpoolStore(config=config, writer=writer)


def _context_tags(mlflow: ModuleType) -> dict[str, str]:
    """User and source of the run, in the tags that MLflow sets on runs it starts itself."""
    with suppress(Exception):
        return dict(mlflow.tracking.context.registry.resolve_tags())
    return {}
