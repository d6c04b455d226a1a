"""What keeps a run: the spool, or nothing. Both have the same methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from recsys.tracking.served import ServedModel


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


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of a run, known after its block."""

    version: int | None = None
    """Number of the model version; None without one, or while it waits."""
    location: str = ""
    """Where a person finds the run; empty when it is not there, or not yet."""
    num_waiting: int = 0
    """Runs that wait in the spool, this one among them if it was not delivered."""
    problem: str | None = None
    """Why something was not delivered, in one line without secrets."""

    def status(self) -> dict[str, object]:
        """The same for the status line of a job; the key `problem` only where there is one."""
        problem = {} if self.problem is None else {"tracking_problem": self.problem}
        return {"model_version": self.version, "tracked": self.location, **problem}


class RunStore(Protocol):
    """Keeps one run. No method fails because of the tracker or the disk."""

    @property
    def delivery(self) -> Delivery:
        """What became of the run."""

    def log_batch(self, batch: Batch) -> None:
        """Keep small values."""

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Keep which table was used."""

    def log_path(self, path: Path, folder: str) -> None:
        """Keep a file, or the files of a folder, under `folder`."""

    def log_text(self, text: str, file_name: str) -> None:
        """Keep a text as a file; `file_name` may name a folder too."""

    def register(self, served: ServedModel, *, promote: bool, order: str) -> None:
        """Make a model version, and give it the configured alias if `promote` is set."""

    def end(self, status: str, *, budget_s: float) -> None:
        """Close the run, and deliver it within a time."""


@dataclass(frozen=True, kw_only=True)
class SilentStore:
    """Keeps nothing."""

    delivery: Delivery = Delivery()
    """Not delivered, and why if it should have been."""

    def log_batch(self, batch: Batch) -> None:
        """Drop small values."""

    def log_dataset(self, dataset: DatasetRecord) -> None:
        """Drop a table's record."""

    def log_path(self, path: Path, folder: str) -> None:
        """Drop files."""

    def log_text(self, text: str, file_name: str) -> None:
        """Drop a text."""

    def register(self, served: ServedModel, *, promote: bool, order: str) -> None:
        """Register nothing."""

    def end(self, status: str, *, budget_s: float) -> None:
        """Deliver nothing."""
