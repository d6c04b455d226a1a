"""Where runs are tracked, and what is said when they cannot be."""

from __future__ import annotations

import importlib.metadata
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fault_server import FaultServer

from recsys.errors import ConfigError
from recsys.tracking import TrackingConfig, replay, start_run
from recsys.tracking.client import load_mlflow, redacted, spool_folder, tracking_uri

ROOT = Path(__file__).parents[2]


def test_default_store_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder of a project the default is the same database in its `mlflow/store/`."""
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "some/folder").mkdir(parents=True)

    uris = set()
    for folder in [tmp_path, tmp_path / "some/folder"]:
        monkeypatch.chdir(folder)
        uris.add(tracking_uri(TrackingConfig()))

    assert uris == {f"sqlite:///{tmp_path}/mlflow/store/mlflow.db"}


def test_default_store_lies_in_the_working_directory_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a project the default database is below the working directory, by absolute path."""
    monkeypatch.chdir(tmp_path)

    assert tracking_uri(TrackingConfig()) == f"sqlite:///{tmp_path}/mlflow/store/mlflow.db"


def test_sqlite_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative database does not move with a later change of the working directory."""
    monkeypatch.chdir(tmp_path)

    assert tracking_uri(TrackingConfig(uri="sqlite:///a.db")) == f"sqlite:///{tmp_path}/a.db"
    assert tracking_uri(TrackingConfig(uri="http://h:1/x")) == "http://h:1/x"


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "ftp://h", "sqlite://", "", "/a"])
def test_addresses_that_cannot_be_tracked_at_are_refused(uri: str) -> None:
    """A folder or an unknown scheme is refused when the config is read."""
    with pytest.raises(ConfigError, match="expected http"):
        TrackingConfig(uri=uri)


@pytest.mark.parametrize("alias", ["latest", "v3", "V12", "a b", "", "a/b"])
def test_aliases_that_the_registry_refuses_are_refused_early(alias: str) -> None:
    """A wrong alias is noticed before the training, not after it."""
    with pytest.raises(ConfigError, match="alias"):
        TrackingConfig(alias=alias)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLflow, whose name the project's folder bears too, the error says what to install."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)

    with pytest.raises(ConfigError, match="pip install mlflow"):
        load_mlflow()


def test_importing_the_package_does_not_import_mlflow() -> None:
    """The heavy library is loaded by the first run, not by the import."""
    code = "import sys, recsys.tracking; print('mlflow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "False"


def test_mlflow_is_loaded_without_telemetry_and_pickles() -> None:
    """Both switches are off unless the user set them."""
    load_mlflow()

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_runs_wait_beside_the_database_or_where_it_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting, and with a server, the spool lies where the default database does."""
    monkeypatch.chdir(tmp_path)
    default = tmp_path / "mlflow/store/spool"

    assert spool_folder(TrackingConfig()) == default
    assert spool_folder(TrackingConfig(uri="http://h:1/x")) == default
    assert spool_folder(TrackingConfig(uri="sqlite:///some/a.db")) == tmp_path / "some/spool"


def test_unreachable_server_is_told_in_one_line_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that refuses connections costs a line, with the address but no secret, no wait."""
    monkeypatch.setattr(replay.time, "sleep", lambda _: pytest.fail("a wait"))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens there
        port = held.getsockname()[1]
        config = TrackingConfig(uri=f"http://user:secret@127.0.0.1:{port}")
        with start_run(config, run_name="x", spool=tmp_path / "spool") as run:
            pass

    assert re.fullmatch(
        rf"tracking at http://\*\*\*@127\.0\.0\.1:{port}: expected an answer,"
        r" got: \[Errno \d+\] Connection refused",
        str(run.delivery.problem),
    )
    assert run.delivery.num_waiting == 1


def test_a_broken_server_is_told_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MLflow says about an address is told, and kept, without the user and the password."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FaultServer("500") as server:
        config = TrackingConfig(uri=f"http://user:secret@127.0.0.1:{server.port}")
        with start_run(config, run_name="x", spool=tmp_path / "spool") as run:
            pass

    message = str(run.delivery.problem)
    assert f"http://***@127.0.0.1:{server.port}" in message
    assert "\n" not in message
    assert "secret" not in message
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert files
    assert not any(b"secret" in path.read_bytes() for path in files)


def test_redaction_keeps_the_rest_of_a_text() -> None:
    """Only user names and passwords go."""
    text = "GET http://u:p@h/a and https://t@h2 but me@home stays, http://h/x@y too"

    assert redacted(text) == (
        "GET http://***@h/a and https://***@h2 but me@home stays, http://h/x@y too"
    )
