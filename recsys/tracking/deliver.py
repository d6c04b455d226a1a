"""Delivers one run from the spool to MLflow; every step may be repeated."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from recsys.errors import ConfigError
from recsys.files import PRIVATE_FOLDER
from recsys.tracking.answers import RefusedError, UnavailableError, meaning_of, message_of
from recsys.tracking.client import existing_accepted, redacted, sqlite_path
from recsys.tracking.cursor import Cursor, load_cursor
from recsys.tracking.registry import (
    RUN_KEY,
    move_alias,
    register_model,
    remove_double_versions,
)
from recsys.tracking.spool import Event, event_files, read_events
from recsys.tracking.values import MAX_BATCH, MAX_DATASET_DIGEST_LENGTH, batches

if TYPE_CHECKING:
    from mlflow import MlflowClient


class OutOfTimeError(Exception):
    """The time for sending is over."""


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """When the time for sending is over."""

    at: float
    """Value of the monotonic clock."""

    @property
    def remaining_s(self) -> float:
        """Seconds that are left."""
        return self.at - time.monotonic()

    def check(self) -> None:
        """Go on only if there is time left.

        Raises:
            OutOfTimeError: It is over.
        """
        if self.remaining_s <= 0:
            raise OutOfTimeError


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where runs are delivered to."""

    mlflow: ModuleType
    """The library."""
    client: MlflowClient
    """Speaks to the server or database."""
    uri: str
    """Its address."""
    deadline: Deadline
    """When to stop."""

    @property
    def address(self) -> str:
        """Its address without secrets."""
        return redacted(self.uri)

    def location(self, cursor: Cursor) -> str:
        """Address of a run's page, or of the database and the run in it."""
        if self.uri.startswith("http"):
            page = f"#/experiments/{cursor.experiment_id}/runs/{cursor.run_id}"
            return f"{self.address.rstrip('/')}/{page}"
        return f"{self.address} run {cursor.run_id}"


def deliver_run(target: Target, folder: Path) -> Cursor:
    """Send the tracker the events of a run that it does not have yet, and check that they arrived.

    An event that it will never accept is skipped and counted. A run without an end was killed.

    Raises:
        OutOfTimeError: The rest has to wait.
        Exception: Likewise; see `meaning_of`.
    """
    events, num_damaged = read_events(folder)
    if not events or events[0].kind != "start":
        raise ConfigError(f"{folder}: expected the events of a run, got none; remove the folder")
    if events[-1].kind != "end":
        died = Event(
            sequence=events[-1].sequence + 1,
            at_ms=events[-1].at_ms,
            kind="end",
            values={"status": "KILLED"},
        )
        events.append(died)
    cursor = load_cursor(folder, target.address)
    if num_damaged and not cursor.refused:
        cursor = replace(cursor, refused=(f"{num_damaged} damaged lines in {folder}",))
    start = events[0]
    if not cursor.run_id:
        target.deadline.check()
        cursor = _open(target, cursor, start, folder.name)
        cursor.save(folder)
    for event in events[1:]:
        if event.sequence >= cursor.num_delivered:
            target.deadline.check()
            cursor = _deliver(target, cursor, start, event, folder)
            cursor.save(folder)
    target.deadline.check()
    _check_taken(target, cursor, events, folder)
    _remove_doubles(target, cursor, start, folder.name)
    return cursor


def _open(target: Target, cursor: Cursor, start: Event, run_key: str) -> Cursor:
    """Find the run that an earlier attempt made, or make it."""
    client, values = target.client, _plain(start)
    experiment_id = _experiment_id(target, values["experiment"])
    made = _runs_of(target, experiment_id, run_key, every=True)
    if made:
        run = min(made, key=lambda run: (run.info.start_time, run.info.run_id))
    else:
        tags = {**values["tags"], RUN_KEY: run_key}
        run = client.create_run(experiment_id, start.at_ms, tags, values["run_name"])
    if not run.info.run_id:
        raise UnavailableError(f"tracking at {target.address}: expected a run, got no name of one")
    return replace(
        cursor, run_id=run.info.run_id, experiment_id=experiment_id, num_delivered=1, version=None
    )


def _deliver(target: Target, cursor: Cursor, start: Event, event: Event, folder: Path) -> Cursor:
    """Deliver one event, or skip it if the tracker will never accept it."""
    after = replace(cursor, num_delivered=event.sequence + 1)
    try:
        return _apply(target, after, start, event, folder)
    except Exception as error:
        meaning = meaning_of(error)
        if meaning == "missing" and not _is_there(target, cursor.run_id):
            Cursor(address=cursor.address).save(folder)  # the tracker has forgotten: start anew
            raise UnavailableError(message_of(target.uri, error)) from error
        if meaning not in {"refused", "missing"}:
            raise
        return replace(
            after,
            refused=(*cursor.refused, f"{event.kind}: {message_of(target.uri, error)}"),
            refused_events=(*cursor.refused_events, event.sequence),
        )


def _apply(target: Target, cursor: Cursor, start: Event, event: Event, folder: Path) -> Cursor:
    client, values = target.client, _plain(event)
    names = _plain(start)
    files = event_files(folder, event.sequence)
    if event.kind in {"files", "model"} and not files.is_dir():
        raise RefusedError(f"expected the folder {files}, got none")
    match event.kind:
        case "batch":
            _log_batch(target, cursor.run_id, event)
        case "dataset":
            _log_dataset(target, cursor.run_id, values)
        case "files":
            client.log_artifacts(cursor.run_id, str(files), values["folder"] or None)
        case "model":
            values["tags"] = {**values["tags"], RUN_KEY: folder.name}
            name = names["registered_model"]
            version = register_model(
                target.mlflow, client, values, files, name=name, run_id=cursor.run_id
            )
            return replace(cursor, version=version)
        case "promote":
            if cursor.version is None:
                raise RefusedError("expected a version to promote, got none")
            move_alias(client, names["registered_model"], names["alias"], cursor.version)
        case "end":
            client.set_terminated(cursor.run_id, values["status"], event.at_ms)
        case "start":
            pass
    return cursor


def _log_batch(target: Target, run_id: str, event: Event) -> None:
    entities, values = target.mlflow.entities, _plain(event)
    for params in batches(values["params"], MAX_BATCH):
        given = [entities.Param(name, text) for name, text in params.items()]
        target.client.log_batch(run_id, params=given)
    for metrics in batches(values["metrics"], MAX_BATCH):
        step = values["step"] or 0
        figures = [entities.Metric(n, v, event.at_ms, step) for n, v in metrics.items()]
        target.client.log_batch(run_id, metrics=figures)
    for tags in batches(values["tags"], MAX_BATCH):
        texts = [entities.RunTag(name, text) for name, text in tags.items()]
        target.client.log_batch(run_id, tags=texts)


def _log_dataset(target: Target, run_id: str, values: dict[str, Any]) -> None:
    entities = target.mlflow.entities
    record = entities.Dataset(
        name=values["name"],
        digest=values["digest"][:MAX_DATASET_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": values["source"]}),
        profile=json.dumps({"num_rows": values["num_rows"], "sha256": values["digest"]}),
    )
    context = entities.InputTag("mlflow.data.context", values["context"])
    target.client.log_inputs(run_id, [entities.DatasetInput(record, [context])])


def _check_taken(target: Target, cursor: Cursor, events: list[Event], folder: Path) -> None:
    """Check that everything arrived: a proxy may have answered in the tracker's place."""
    run = target.client.get_run(cursor.run_id)
    lacking: set[str] = set()
    for event in events:
        if event.sequence in cursor.refused_events:
            continue
        if event.kind == "batch":
            lacking |= set(_plain(event)["params"]) - set(run.data.params)
            lacking |= set(_plain(event)["metrics"]) - set(run.data.metrics)
        if event.kind == "end" and run.info.status != _plain(event)["status"]:
            lacking.add("status")
    if lacking:
        Cursor(address=cursor.address).save(folder)
        raise UnavailableError(
            f"tracking at {target.address}: expected {min(lacking)!r} in the run, got none"
        )


def _remove_doubles(target: Target, cursor: Cursor, start: Event, run_key: str) -> None:
    """Remove duplicates of a request that timed out, was repeated, and yet had succeeded."""
    client = target.client
    for run in _runs_of(target, cursor.experiment_id, run_key, every=False):
        if run.info.run_id != cursor.run_id:
            client.delete_run(run.info.run_id)
    if cursor.version is not None:
        name = _plain(start)["registered_model"]
        remove_double_versions(client, name, cursor.experiment_id, run_key, keep=cursor.version)


def _runs_of(target: Target, experiment_id: str, run_key: str, *, every: bool) -> list[Any]:
    """Runs with a key; deleted ones too if asked for."""
    views = target.mlflow.entities.ViewType
    view = views.ALL if every else views.ACTIVE_ONLY
    by_key = f"tags.`{RUN_KEY}` = '{run_key}'"
    return list(target.client.search_runs([experiment_id], by_key, run_view_type=view))


def _is_there(target: Target, run_id: str) -> bool:
    """Whether the tracker knows the run.

    Raises:
        Exception: The tracker does not answer.
    """
    try:
        return bool(target.client.get_run(run_id).info.run_id)
    except Exception as error:
        if meaning_of(error) == "missing":
            return False
        raise


def _experiment_id(target: Target, name: str) -> str:
    """The experiment's id; a new one in a SQLite database keeps its files beside the database."""
    client, database, artifacts = target.client, sqlite_path(target.uri), None
    if database is not None:
        artifacts = (database.parent / "artifacts").as_uri()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with existing_accepted():  # another run may have been faster
            client.create_experiment(name, artifact_location=artifacts)
        experiment = client.get_experiment_by_name(name)
    if experiment is None or not experiment.experiment_id:
        raise UnavailableError(f"tracking at {target.address}: expected an experiment, got none")
    if database is not None and experiment.artifact_location.startswith("mlflow-artifacts:"):
        raise ConfigError(
            f"tracking.experiment: expected one that keeps its files beside {database}, got"
            f" {name!r}, made through a server; set tracking.uri to it or choose another name"
        )
    return str(experiment.experiment_id)


def make_database_folder(uri: str) -> None:
    """Make the folder of a SQLite database."""
    database = sqlite_path(uri)
    if database is not None:
        database.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)


def _plain(event: Event) -> dict[str, Any]:
    return dict(event.values)
