"""Sends the runs of the spool to MLflow within a time; what does not get through waits."""

from __future__ import annotations

import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from recsys.tracking.answers import UnavailableError, meaning_of, message_of
from recsys.tracking.client import TrackingConfig, load_mlflow, redacted, tracking_uri
from recsys.tracking.cursor import Cursor
from recsys.tracking.deliver import (
    Deadline,
    OutOfTimeError,
    Target,
    deliver_run,
    make_database_folder,
)
from recsys.tracking.spool import read_events, remove_run, spool_lock, waiting_runs

_PROBE_S = 3.0
_PAUSES_S = (0.5, 2.0)
"""Waits before a run is tried again."""


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What a replay did."""

    num_delivered: int
    """Runs that were delivered to MLflow and removed from the spool."""
    num_waiting: int
    """Runs that wait in the spool."""
    num_elsewhere: int
    """Those among them that are meant for another address."""
    num_refused: int
    """Events of delivered runs that MLflow will never accept; they are lost."""
    problem: str | None
    """Why runs wait or events were lost, in one line without secrets."""


@dataclass(kw_only=True, eq=False)
class _Progress:
    """What the replaying thread has done so far. The thread alone writes to it."""

    delivered: dict[str, Cursor] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    problem: str | None = None
    """The first problem that stays."""
    trouble: str = ""
    """The latest problem of the present attempt."""
    finished: bool = False


def replay_spool(
    config: TrackingConfig,
    spool: Path,
    *,
    any_address: bool = False,
    budget_s: float | None = None,
) -> ReplayReport:
    """Deliver the runs that wait in a spool. Runs that are still at work are left alone.

    Args:
        config: Where to; runs that were started with another address stay.
        spool: Folder of the spool.
        any_address: Whether runs that were started with another address are delivered too.
        budget_s: Seconds that it may take; `config.max_delay_s` if not given.

    Raises:
        ConfigError: MLflow is not installed.
    """
    progress = replay_within(
        config, spool, config.max_delay_s if budget_s is None else budget_s, any_address=any_address
    )
    waiting = waiting_runs(spool)
    address = redacted(tracking_uri(config))
    elsewhere = [folder for folder in waiting if _address_of(folder) != address]
    refused = [line for cursor in progress.delivered.values() for line in cursor.refused]
    return ReplayReport(
        num_delivered=len(progress.delivered),
        num_waiting=len(waiting),
        num_elsewhere=len(elsewhere),
        num_refused=len(refused),
        problem=problem_of(progress, refused),
    )


def replay_within(
    config: TrackingConfig,
    spool: Path,
    budget_s: float,
    *,
    first: str | None = None,
    any_address: bool = False,
) -> _Progress:
    """Replay in a thread that is abandoned when the time is over.

    Such a thread stops before its next step. If its present step never ends, the process can still
    end.
    """
    mlflow, progress = load_mlflow(), _Progress()
    if not spool.is_dir():
        return progress
    deadline = Deadline(at=time.monotonic() + budget_s)
    thread = threading.Thread(
        target=_replay_reporting,
        args=(mlflow, tracking_uri(config), spool, deadline, progress),
        kwargs={"first": first, "any_address": any_address},
        name="tracking-replay",
        daemon=True,
    )
    thread.start()
    thread.join(budget_s)
    if not progress.finished and progress.problem is None:
        place = f"tracking at {redacted(tracking_uri(config))}"
        late = f"{place}: expected an end within {budget_s:g} s, got none"
        progress.problem = progress.trouble or late
    return progress


def problem_of(progress: _Progress, refused: list[str]) -> str | None:
    """The problem of a replay in one line; None if there was none."""
    if progress.problem is None and refused:
        return f"refused for good: {len(refused)}, the first: {refused[0]}"
    return progress.problem


def _replay_reporting(
    mlflow: ModuleType, uri: str, spool: Path, deadline: Deadline, progress: _Progress,
    *, first: str | None, any_address: bool,
) -> None:  # fmt: skip
    """Replay, whatever goes wrong."""
    try:
        with spool_lock(spool) as held:
            if held:
                _probe(uri)
                target = _target(mlflow, uri, deadline)
                for folder in _in_turn(spool, None if any_address else target.address, first):
                    _deliver_one(target, folder, progress)
            else:
                progress.problem = f"{spool}: another job delivers what waits there"
    except OutOfTimeError:
        late = f"tracking at {redacted(uri)}: expected an end in time, got none"
        progress.problem = progress.trouble or late
    except Exception as error:  # noqa: BLE001  tracking must not cost the job
        progress.problem = message_of(uri, error)
    finally:
        progress.finished = True


def _in_turn(spool: Path, address: str | None, first: str | None) -> Iterator[Path]:
    """Runs to deliver, the given one first, and then those that have ended in the meantime too."""
    seen: set[Path] = set()
    while True:
        waiting = [folder for folder in waiting_runs(spool) if folder not in seen]
        chosen = [f for f in waiting if address is None or _address_of(f) in {address, None}]
        if not chosen:
            return
        folder = min(chosen, key=lambda folder: folder.name != first)
        seen.add(folder)
        yield folder


def _deliver_one(target: Target, folder: Path, progress: _Progress) -> None:
    """Deliver a run and remove its folder.

    Raises:
        UnavailableError: Trying other runs would fail as well.
    """
    for pause in (*_PAUSES_S, None):
        try:
            cursor = deliver_run(target, folder)
        except OutOfTimeError:
            raise
        except Exception as error:
            progress.trouble = message_of(target.uri, error)
            if meaning_of(error) in {"refused", "unclear"}:
                progress.problem = progress.problem or progress.trouble
                return  # something is wrong with this run only: go on with the others
            if pause is None or _is_closed(error) or target.deadline.remaining_s < pause:
                raise UnavailableError(progress.trouble) from error
            time.sleep(pause)
        else:
            progress.delivered[folder.name] = cursor
            progress.locations[folder.name] = target.location(cursor)
            progress.trouble = ""
            remove_run(folder)
            return


def _is_closed(error: Exception) -> bool:
    """Whether the tracker refuses all requests, so that an immediate retry is of no use."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.get_http_status_code() in {401, 403}


def _target(mlflow: ModuleType, uri: str, deadline: Deadline) -> Target:
    make_database_folder(uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    return Target(mlflow=mlflow, client=client, uri=uri, deadline=deadline)


def _probe(uri: str) -> None:
    """Connect to a server: one that is down shows at once, unlike a slow one.

    Raises:
        OSError: No server listens.
    """
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
        parts.hostname
    ):
        return  # the proxy finds the way, if there is one
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname, port), timeout=_PROBE_S).close()


def _address_of(folder: Path) -> str | None:
    """The address that a run was started with; None if its first event has none."""
    try:
        events, _ = read_events(folder)
    except OSError:  # another job has just delivered it
        return None
    address = events[0].values.get("address") if events else None
    return address if isinstance(address, str) else None
