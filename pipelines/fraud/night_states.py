"""The state that a night starts from: that of the evening before, or an earlier one caught up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fraud.config import FraudJobConfig
from pipelines.jobs.job import require_live
from recsys.compiled import num_threads
from recsys.datasets.transactions.days import day_number, rows_before, rows_of_day, start_of
from recsys.errors import ArtifactError, DataError
from recsys.fraud.alerts.daily import account_days, choose_and_remember
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.storage.model_bundle import load_fraud_model
from recsys.fraud.storage.state_bundle import load_state
from recsys.publishing import PublishedRun, published_runs
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE
from recsys.time_units import US_PER_DAY

STATUS_FILE = "metrics.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveModel:
    """The published model that is live."""

    run: Path
    """Folder of its run."""
    model: FraudModel
    """The model."""
    fingerprint: str
    """Its fingerprint, which the bundles of its states hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evening:
    """A stored state, and the record of its run."""

    folder: Path
    """Folder of the run."""
    day: date | None
    """The day that its run scored; None for the state of the training."""
    record: Mapping[str, object]
    """The run's `metrics.json`."""

    @property
    def origin(self) -> str:
        """Where the state comes from, for people."""
        return "that of the training" if self.day is None else f"that of {self.day}"


def open_live(config: FraudJobConfig) -> LiveModel:
    """The model that is live.

    Raises:
        ArtifactError: There is none yet, or it is damaged.
    """
    run = require_live(config.models, "a published fraud model", by="train-fraud")
    model, bundle = load_fraud_model(run / "model")
    return LiveModel(run=run, model=model, fingerprint=bundle.fingerprint)


def evening_before(config: FraudJobConfig, live: LiveModel, day: date) -> Evening:
    """The latest stored state of this model from before a day.

    Raises:
        DataError: The model itself was trained on the day or later ones.
        ArtifactError: The record of a run is damaged.
    """
    evening = next(_evenings(config, live, day), None)
    if evening is None:
        evening = Evening(folder=live.run, day=None, record=_record(live.run))
        until = load_evening(evening, live).until
        if until > day_number(day):
            raise DataError(
                file=str(live.run),
                expected=f"a model that was trained on days before {day}",
                got=f"one that has seen transactions up to {_moment(until).as_py():%Y-%m-%d}",
                remedy=f"train with --as-of a day before {day}, or score a later day",
            )
    return evening


def evening_to_learn(config: FraudJobConfig, live: LiveModel, day: date) -> Evening | None:
    """The same, but None if no stored state of this model is that old."""
    try:
        return evening_before(config, live, day)
    except DataError:
        return None


def load_evening(evening: Evening, live: LiveModel) -> ProfileState:
    """The stored state.

    Raises:
        ArtifactError: It is damaged, or of another model.
    """
    return load_state(evening.folder / "state", model_fingerprint=live.fingerprint)


def caught_up(
    model: FraudModel,
    state: ProfileState,
    table: pa.Table,
    day: date,
    labels: pa.Table | None,
    *,
    alerts: AlertConfig,
) -> tuple[ProfileState, int]:
    """The state of the evening before a day, and how many transactions it took to get there.

    One day at a time, as the jobs of those nights would have done: the places of new accounts,
    which decide ties, depend on where each step begins. The alerts of each night are remembered,
    although they were not published.
    """
    start = _moment(state.until)
    is_missed = pc.greater_equal(table[EVENT_TIME], start)
    missed = rows_before(table.filter(is_missed), start_of(day))
    first = start.as_py().date()
    for number in range((day - first).days):
        rows = rows_of_day(missed, first + timedelta(days=number))
        if rows.num_rows:
            scores, state = model.score(rows, state, num_threads=num_threads(), labels=labels)
            days = account_days(rows, scores)
            p_values = model.account_p_values(days, with_labels=labels is not None)
            _, state = choose_and_remember(days, p_values, state, int(days.day[0]), alerts)
    return state, missed.num_rows


def _evenings(config: FraudJobConfig, live: LiveModel, day: date) -> Iterator[Evening]:
    """Nights of this model before a day that were not held, the latest first."""
    runs = [
        run
        for run in published_runs(config.scores)
        if run.manifest.logical_date < str(day) and not run.manifest.held
    ]
    for run in sorted(runs, key=_logical_order, reverse=True):
        if _bundle_id(run) == live.fingerprint:
            scored = date.fromisoformat(run.manifest.logical_date)
            yield Evening(folder=run.folder, day=scored, record=_record(run.folder))


def _bundle_id(run: PublishedRun) -> str:
    """Fingerprint of the model that scored in a run.

    Raises:
        ArtifactError: The run's record of it is damaged.
    """
    path = run.folder / STATUS_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["bundle_id"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{path}: expected the bundle_id of a night, got {type(error).__name__}; "
            "restore the file, or remove the folder and score that day again"
        ) from error


def _record(folder: Path) -> Mapping[str, object]:
    """The record of a run; empty if it cannot be read."""
    try:
        found = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _logical_order(run: PublishedRun) -> tuple[str, int]:
    return run.manifest.logical_date, run.manifest.sequence


def _moment(days: float) -> pa.Scalar:
    """A time in days since 1970 as a scalar of the table's type."""
    return pa.scalar(round(days * US_PER_DAY), pa.int64()).cast(EVENT_TIME_TYPE)
