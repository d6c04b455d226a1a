"""Where runs are tracked, and what is said when they cannot be."""

from __future__ import annotations

import http.server
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys.errors import ConfigError
from recsys.tracking import TrackingConfig, start_run
from recsys.tracking.client import load_mlflow, redacted, tracking_uri

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


def test_unreachable_server_is_told_in_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that refuses connections ends the start at once, with the address but no secret."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = TrackingConfig(uri="http://user:secret@127.0.0.1:9")  # nothing listens on port 9

    with pytest.raises(ConfigError) as caught, start_run(config, run_name="x"):
        pass

    message = str(caught.value)
    assert re.fullmatch(
        r"tracking at http://\*\*\*@127\.0\.0\.1:9: expected an answer,"
        r" got: \[Errno \d+\] Connection refused; start the server \(make mlflow\),"
        r" correct tracking\.uri"
        r" or set tracking\.enabled = false",
        message,
    )


def test_a_broken_server_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else MLflow says about an address is told without the user and the password in it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving_nonsense() as port:
        config = TrackingConfig(uri=f"http://user:secret@127.0.0.1:{port}")
        with pytest.raises(ConfigError) as caught, start_run(config, run_name="x"):
            pass

    message = str(caught.value)
    assert f"http://***@127.0.0.1:{port}" in message
    assert "\n" not in message
    assert "secret" not in message


@contextmanager
def serving_nonsense() -> Iterator[int]:
    """The port of a server that answers every request with an error page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500, "broken")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_redaction_keeps_the_rest_of_a_text() -> None:
    """Only user names and passwords go."""
    text = "GET http://u:p@h/a and https://t@h2 but me@home stays, http://h/x@y too"

    assert redacted(text) == (
        "GET http://***@h/a and https://***@h2 but me@home stays, http://h/x@y too"
    )
