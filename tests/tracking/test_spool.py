"""Tracking never costs a run: whatever the server does, the job goes on and nothing is lost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fault_server import (
    HANG_S,
    MODES,
    Backend,
    FaultMode,
    FaultServer,
    mlflow_backend,
    wait_until,
)

from recsys.artifacts import Bundle, write_bundle
from recsys.tracking import (
    Delivery,
    TrackedRun,
    TrackingConfig,
    replay_spool,
    served_recommender,
    start_run,
)
from recsys.tracking.client import load_mlflow
from recsys.tracking.spool import open_writer, read_events, spool_lock, waiting_runs

SHORT_S = 0.3
"""Time for telling a server that takes longer, whatever the machine."""
FailingCall = Callable[[str, int], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that end with the server alone, short pauses, and no proxy in between."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", f"{10 * HANG_S:.0f}")
    monkeypatch.setattr("recsys.tracking.replay._PAUSES_S", (0.01,))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where runs wait."""
    return tmp_path / "spool"


@pytest.fixture
def sound(tracking_database: Path) -> TrackingConfig:
    """A store that works."""
    uri = f"sqlite:///{tracking_database}"
    return TrackingConfig(uri=uri, experiment="nightly", registered_model="nightly")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A model."""
    items = pa.table({"item_id": ["a"]})
    return write_bundle(tmp_path / "model", kind="recommender-model", tables={"items": items})


@pytest.fixture
def backend(tracking_database: Path) -> Iterator[Backend]:
    """MLflow's own server."""
    with mlflow_backend(tracking_database) as ask:
        yield ask


def broken(uri: str, name: str = "nightly", *, max_delay_s: float = HANG_S) -> TrackingConfig:
    """The address of a server that fails."""
    return TrackingConfig(uri=uri, experiment=name, registered_model=name, max_delay_s=max_delay_s)


def tell(
    config: TrackingConfig, spool: Path, model: Bundle | None = None, *, order: str = "2026-01-01/1"
) -> TrackedRun:
    """A run that tells something of each kind."""
    with start_run(config, run_name="night", tags={"job": "train"}, spool=spool) as run:
        run.log_params({"model": {"embedding_dim": 64}})
        for step in range(3):
            run.log_metrics({"loss": 1 / (1 + step)}, step=step)
        run.log_text("hello", "notes/today.txt")
        run.log_dataset("log", digest="ab" * 32, num_rows=1, source="x", context="training")
        if model is not None:
            served = served_recommender(
                model=model, index=None, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
            )
            run.log_model(served, promote=True, order=order)
    return run


def kept(config: TrackingConfig) -> dict[str, Any]:
    """All that a store has of the experiment and the model."""
    client = load_mlflow().MlflowClient(tracking_uri=config.uri, registry_uri=config.uri)
    experiment = client.get_experiment_by_name(config.experiment).experiment_id
    runs = client.search_runs([experiment])
    by_name = f"name = '{config.registered_model}'"
    models = client.search_registered_models(by_name)
    files = (file for run in runs for file in client.list_artifacts(run.info.run_id, "notes"))
    return {
        "runs": [(run.info.run_id, run.info.run_name, run.info.status) for run in runs],
        "times": [(run.info.start_time, run.info.end_time) for run in runs],
        "params": [run.data.params for run in runs],
        "tags": [run.data.tags["job"] for run in runs],
        "losses": [
            sorted(
                (metric.step, metric.value, metric.timestamp)
                for metric in client.get_metric_history(run.info.run_id, "loss")
            )
            for run in runs
        ],
        "files": [file.path for file in files],
        "tables": [len(run.inputs.dataset_inputs) for run in runs],
        "versions": [version.version for version in client.search_model_versions(by_name)],
        "models": [model.model_id for model in client.search_logged_models([experiment])],
        "aliases": [
            {alias: int(version) for alias, version in model.aliases.items()} for model in models
        ],
    }


def assert_recorded_once(found: dict[str, Any], *, num_models: int) -> None:
    """One run with everything that `tell` has told, once."""
    assert [(name, status) for _, name, status in found["runs"]] == [("night", "FINISHED")]
    assert found["params"] == [{"model.embedding_dim": "64"}]
    assert found["tags"] == ["train"]
    assert [[step for step, _, _ in losses] for losses in found["losses"]] == [[0, 1, 2]]
    assert (found["files"], found["tables"]) == (["notes/today.txt"], [1])
    assert (len(found["versions"]), len(found["models"])) == (num_models, num_models)
    assert found["aliases"] == [{"champion": 1} for _ in range(num_models)]


@pytest.mark.parametrize("mode", MODES)
def test_a_failing_server_costs_no_run_and_no_event(
    mode: FaultMode, sound: TrackingConfig, spool: Path, bundle: Bundle
) -> None:
    """The block ends before the server does, the events wait, and are delivered once."""
    max_delay_s = SHORT_S if mode in {"hang", "slow"} else HANG_S
    with FaultServer(mode, delay_s=2 * SHORT_S) as server:
        start = time.monotonic()
        run = tell(broken(server.uri, max_delay_s=max_delay_s), spool, bundle)
        assert time.monotonic() - start < HANG_S
    assert run.delivery.problem is not None
    assert (run.delivery.version, run.location, run.delivery.num_waiting) == (None, "", 1)
    wait_until(lambda: lock_is_free(spool))

    report = replay_spool(sound, spool, any_address=True)
    found = kept(sound)
    again = replay_spool(sound, spool, any_address=True)

    assert (report.num_delivered, report.num_waiting, report.num_refused) == (1, 0, 0)
    assert report.problem is None
    assert_recorded_once(found, num_models=1)
    assert (again.num_delivered, again.num_waiting, again.problem) == (0, 0, None)
    assert kept(sound) == found
    assert [path.name for path in spool.iterdir()] == ["lock"]


def lock_is_free(spool: Path) -> bool:
    """Whether the thread that was left to itself has let go of the spool."""
    with spool_lock(spool) as held:
        return held


def assert_recorded_once_after_death(
    backend: Backend, spool: Path, after: int, model: Bundle | None = None
) -> None:
    """A run whose server died after some requests waits, and is delivered once."""
    name = f"died-{after}"
    with FaultServer("dies", backend=backend, after=after) as server:
        run = tell(broken(server.uri, name), spool, model)
    assert run.delivery.num_waiting == 1
    wait_until(lambda: lock_is_free(spool))
    with FaultServer("slow", backend=backend, delay_s=0, port=server.port) as server:
        report = replay_spool(broken(server.uri, name), spool)
        assert (report.num_delivered, report.problem) == (1, None)
        assert_recorded_once(kept(broken(server.uri, name)), num_models=int(model is not None))


def test_a_server_may_die_at_any_request(backend: Backend, spool: Path) -> None:
    """Whichever request is done and not answered, the next replay delivers everything once."""
    with FaultServer("slow", backend=backend, delay_s=0) as server:
        assert tell(broken(server.uri, "sound"), spool, None).delivery.num_waiting == 0
        num_requests = len(server.requests)
    assert num_requests > 7
    for after in [*range(7), *range(7, num_requests - 1, 2)]:
        assert_recorded_once_after_death(backend, spool, after)


@pytest.mark.parametrize("after", [12, 15, 16, 19, 22, 23, 24, 25, 29])
def test_a_server_may_die_while_a_model_is_registered(
    after: int, backend: Backend, spool: Path, bundle: Bundle
) -> None:
    """Stored models, versions and aliases are made once, wherever the server died."""
    assert_recorded_once_after_death(backend, spool, after, bundle)


@pytest.mark.parametrize("name", ["create_run", "create_logged_model", "create_model_version"])
def test_what_a_late_request_made_twice_is_removed(
    name: str,
    sound: TrackingConfig,
    spool: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that did a request which was given up, and its repetition, ends up with one."""
    client_type = load_mlflow().MlflowClient
    create = getattr(client_type, name)

    def create_twice(*args: object, **kwargs: object) -> object:
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(client_type, name, create_twice)
    run = tell(sound, spool, bundle)

    found, number = kept(sound), 2 if name == "create_model_version" else 1
    assert (run.delivery.version, run.delivery.problem) == (number, None)
    assert found["aliases"] == [{"champion": number}]
    assert_recorded_once({**found, "aliases": [{"champion": 1}]}, num_models=1)


def test_redirects_are_not_followed(spool: Path) -> None:
    """A server cannot send requests, and what is in them, to another host."""
    with (
        FaultServer("empty") as other,
        FaultServer("redirect", location=f"http://localhost:{other.port}") as server,
    ):
        run = tell(broken(server.uri), spool)

    assert server.requests
    assert other.requests == []
    assert "302" in str(run.delivery.problem)


def test_the_next_job_delivers_what_waits(
    sound: TrackingConfig, spool: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose files are gone since is delivered with the next one, from its copies."""
    mlflow = load_mlflow()
    with monkeypatch.context() as patch:

        def gone(*_: object, **__: object) -> None:
            raise mlflow.exceptions.MlflowException("server gone")

        patch.setattr(mlflow.MlflowClient, "create_run", gone)
        first = tell(sound, spool, bundle)
    assert first.delivery.num_waiting == 1
    shutil.rmtree(bundle.folder)

    second = tell(sound, spool)

    assert second.delivery == Delivery(location=second.location)
    assert len(kept(sound)["runs"]) == 2
    (model_id,) = kept(sound)["models"]
    stored = mlflow.MlflowClient(sound.uri).get_logged_model(model_id)
    assert [*Path(stored.artifact_location.removeprefix("file://")).rglob("items.parquet")]


def test_runs_of_another_address_wait_for_it(sound: TrackingConfig, spool: Path) -> None:
    """What was meant for one server is not told to another one, unless somebody says so."""
    with FaultServer("refuse") as server:
        tell(broken(server.uri), spool)
    run = tell(sound, spool)
    report = replay_spool(sound, spool)

    assert (run.delivery.num_waiting, run.delivery.problem) == (1, None)
    assert (report.num_delivered, report.num_waiting, report.num_elsewhere) == (0, 1, 1)
    assert replay_spool(sound, spool, any_address=True).num_delivered == 1


def test_a_killed_job_is_told_as_killed(sound: TrackingConfig, spool: Path) -> None:
    """A run without an end is delivered up to its last whole line."""
    start = {"address": sound.uri, "experiment": "nightly", "registered_model": "nightly"}
    message_of = {"alias": "champion", "run_name": "night", "tags": {"job": "train"}}
    writer = open_writer(spool, "ab" * 16, {**start, **message_of})
    writer.append("batch", {"params": {"a": "1"}, "metrics": {}, "step": None, "tags": {}})
    with (writer.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"sequence": 2, "kind": "ba')

    assert waiting_runs(spool) == []  # it is at work
    assert replay_spool(sound, spool).num_delivered == 0
    writer.close()
    assert replay_spool(sound, spool).num_delivered == 1

    ((_, _, status),) = kept(sound)["runs"]
    assert (status, kept(sound)["params"]) == ("KILLED", [{"a": "1"}])


def test_a_run_that_cannot_be_opened_does_not_hold_up_others(
    sound: TrackingConfig, spool: Path
) -> None:
    """A run that MLflow refuses as a whole stays and is told; those after it are delivered."""
    client = load_mlflow().MlflowClient(sound.uri)
    client.delete_experiment(client.create_experiment("gone"))
    with start_run(TrackingConfig(uri=sound.uri, experiment="gone"), run_name="x", spool=spool):
        pass

    run = tell(sound, spool)

    assert run.location
    assert run.delivery.num_waiting == 1
    assert "active" in str(run.delivery.problem)
    assert_recorded_once(kept(sound), num_models=0)


def test_a_damaged_line_costs_itself_alone(sound: TrackingConfig, spool: Path) -> None:
    """Lines that are no events are counted, and the others are delivered."""
    with FaultServer("refuse") as server:
        tell(broken(server.uri), spool)
    (folder,) = waiting_runs(spool)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join([*lines[:2], b"\0\xff\n", *lines[2:]]))

    report = replay_spool(sound, spool, any_address=True)

    assert (report.num_delivered, report.num_refused) == (1, 1)
    assert "1 damaged lines" in str(report.problem)
    assert kept(sound)["params"] == [{"model.embedding_dim": "64"}]


def test_one_job_at_a_time_replays(sound: TrackingConfig, spool: Path) -> None:
    """Who finds the spool taken leaves the run to the next job, and says so."""
    spool.mkdir()
    with spool_lock(spool) as held:
        run = tell(sound, spool)

    assert held
    assert run.delivery.num_waiting == 1
    assert "another job" in str(run.delivery.problem)
    assert replay_spool(sound, spool).num_delivered == 1


def test_a_store_that_was_made_anew_gets_everything(
    sound: TrackingConfig, spool: Path, tracking_database: Path, tracking_template: Path
) -> None:
    """A tracker that has forgotten a half-delivered run is told it from the beginning."""
    mlflow = load_mlflow()
    with pytest.MonkeyPatch.context() as patch:

        def gone(*_: object, **__: object) -> None:
            raise mlflow.exceptions.MlflowException("server gone")

        patch.setattr(mlflow.MlflowClient, "log_inputs", gone)
        tell(sound, spool)
    (folder,) = waiting_runs(spool)
    assert (folder / "cursor.json").exists()
    shutil.copy(tracking_template, tracking_database)

    assert replay_spool(sound, spool).num_delivered == 1
    assert_recorded_once(kept(sound), num_models=0)


def test_late_runs_do_not_move_the_alias_back(
    sound: TrackingConfig, spool: Path, bundle: Bundle
) -> None:
    """The alias stays on the version that was published last, whatever arrives when."""
    for number, (order, champion) in enumerate(
        [("2026-01-02/1", 1), ("2026-01-01/9", 1), ("2026-01-02/2", 3)], start=1
    ):
        run = tell(sound, spool, bundle, order=order)
        assert run.delivery.version == number
        assert kept(sound)["aliases"] == [{"champion": champion}]


@pytest.mark.parametrize(
    ("rival", "champion"), [("2026-01-01/1", 2), ("2026-01-03/1", 1)], ids=["earlier", "later"]
)
def test_a_rival_in_between_is_noticed(  # noqa: PLR0917  fixtures
    rival: str,
    champion: int,
    sound: TrackingConfig,
    spool: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another promoter that sets the alias after us keeps it if it is later, and only then."""
    tell(sound, spool, bundle, order=rival)
    client_type = load_mlflow().MlflowClient
    set_alias = client_type.set_registered_model_alias
    calls: list[str] = []

    def set_and_lose(client: object, name: str, alias: str, version: str) -> None:
        set_alias(client, name, alias, version)
        calls.append(version)
        if len(calls) == 1:
            set_alias(client, name, alias, "1")

    load_mlflow().MlflowClient(sound.uri).delete_registered_model_alias("nightly", "champion")
    monkeypatch.setattr(client_type, "set_registered_model_alias", set_and_lose)
    run = tell(sound, spool, bundle, order="2026-01-02/1")

    assert run.delivery.problem is None
    assert kept(sound)["aliases"] == [{"champion": champion}]


def test_what_waits_is_for_its_owner_alone(spool: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Every folder of the spool is 0700 and every file 0600."""
    (tmp_path / "open/sub").mkdir(parents=True, mode=0o755)
    (tmp_path / "open/sub/a.txt").write_text("a")
    (tmp_path / "open/sub/a.txt").chmod(0o644)
    with FaultServer("500") as server:
        tell(broken(server.uri), spool, bundle)
        with start_run(broken(server.uri), run_name="x", spool=spool) as run:
            run.log_artifact(tmp_path / "open", "open")

    assert list(spool.rglob("a.txt"))
    for path in [spool, *spool.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["open", "write", "mkdir", "rename", "fsync", "link"])
def test_a_full_disk_costs_no_run(
    name: str, sound: TrackingConfig, spool: Path, bundle: Bundle, failing_call: FailingCall
) -> None:
    """Whichever call finds the disk full, the block goes on, and the job is told."""
    for n in (1, 2, 3, 5, 8):
        with FaultServer("refuse") as server, failing_call(name, n):
            run = tell(broken(server.uri), spool, bundle)
        assert run.delivery.problem is not None
    for folder in waiting_runs(spool):
        events, num_damaged = read_events(folder)
        assert (events[0].kind, num_damaged) == ("start", 0)
    assert replay_spool(sound, spool, any_address=True).num_waiting == 0


def test_an_error_in_the_block_is_delivered_in_a_shorter_time(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block's own error goes on, and telling of it takes no longer than is set for that."""
    monkeypatch.setattr("recsys.tracking.runs._MAX_DELAY_OF_FAILED_S", SHORT_S)
    with FaultServer("hang") as server:
        start = time.monotonic()
        with (
            pytest.raises(ValueError, match="boom"),
            start_run(broken(server.uri), run_name="x", spool=spool),
        ):
            raise ValueError("boom")
        assert time.monotonic() - start < HANG_S
    wait_until(lambda: lock_is_free(spool))
    (folder,) = waiting_runs(spool)
    assert read_events(folder)[0][-1].values == {"status": "FAILED"}
