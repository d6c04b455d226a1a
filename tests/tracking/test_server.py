"""The tracking server of `mlflow/`: started for real, used over HTTP, closed to strangers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from fault_server import HANG_S

from recsys.artifacts import read_bundle, write_bundle
from recsys.tracking import TrackingConfig, served_recommender, start_run
from recsys.tracking.client import load_mlflow

SCRIPT = Path(__file__).parents[2] / "mlflow" / "serve.sh"


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(port: int, path: str, host: str = "127.0.0.1") -> int | None:
    """Status of a GET request; None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@pytest.fixture
def server(
    tracking_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Port of a running server; its whole process group ends with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = free_port()
    settings = {
        "MLFLOW_SERVER_PORT": str(port),
        "MLFLOW_SERVER_STORE": str(tracking_database.parent),
        "MLFLOW_SERVER_PYTHON": sys.executable,
    }
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [SCRIPT],
            env=os.environ | settings,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + HANG_S
        while status_of(port, "/health") != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=HANG_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def load_fake(model_folder: Path, index_folder: Path | None) -> types.SimpleNamespace:
    """A recommender that gives everyone the one item of its bundle."""
    items = read_bundle(model_folder, kind="recommender-model").table("items")
    assert index_folder is None

    def recommend_table(user_ids: pa.Array, k: int) -> pa.Table:
        assert k == 1
        ranks = pa.array([1] * len(user_ids), pa.int32())
        return pa.table({"user_id": user_ids, "item_id": items["item_id"], "rank": ranks})

    return types.SimpleNamespace(recommend_table=recommend_table)


def test_a_run_and_a_model_go_through_the_server(
    server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job pointed at the server logs, registers and loads over HTTP; strangers are refused."""
    module: Any = types.ModuleType("recsys.recommender.serving")
    module.load_recommender = load_fake
    monkeypatch.setitem(sys.modules, "recsys.recommender.serving", module)
    uri = f"http://127.0.0.1:{server}"
    config = TrackingConfig(uri=uri, experiment="served")
    model = write_bundle(
        tmp_path / "model",
        kind="recommender-model",
        tables={"items": pa.table({"item_id": ["only"]})},
    )
    served = served_recommender(
        model=model, index=None, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )

    with start_run(
        config, run_name="over HTTP", tags={"job": "test"}, spool=tmp_path / "spool"
    ) as run:
        run.log_params({"model": {"embedding_dim": 64}})
        run.log_metrics({"recall@20": 0.5}, step=3)
        run.log_dataset(
            "interactions", digest="ab" * 32, num_rows=1, source="x", context="training"
        )
        run.log_environment()
        run.log_model(served, promote=True, order="2024-03-01/1")

    mlflow = load_mlflow()
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("served")
    (kept,) = client.search_runs([experiment.experiment_id])
    text = mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/environment.json")
    answer = mlflow.pyfunc.load_model("models:/recommender@champion").predict(
        pd.DataFrame({"user_id": [7]})
    )
    assert (run.delivery.version, run.delivery.num_waiting, run.delivery.problem) == (1, 0, None)
    assert kept.info.status == "FINISHED"
    assert kept.data.metrics == {"recall_at_20": 0.5}
    assert kept.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert run.location == f"{uri}/#/experiments/{experiment.experiment_id}/runs/{kept.info.run_id}"
    assert json.loads(text)["packages"]["mlflow"] == mlflow.__version__
    assert answer.values.tolist() == [[7, "only", 1]]
    assert [*(tmp_path / "mlflow/store/artifacts").rglob("items.parquet")]

    # Other names do not lead here, and the server listens on the loopback interface alone.
    search = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=served"
    assert (status_of(server, search), status_of(server, search, "evil.example")) == (200, 403)
    assert listening_addresses(server) == {"127.0.0.1"}


def listening_addresses(port: int) -> set[str]:
    """Local addresses that accept connections on a port, from the kernel's tables."""
    addresses = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            pytest.skip("needs the socket tables of Linux")
        for line in table.read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                number = bytes.fromhex(address.rpartition(":")[0])[::-1]
                addresses.add(".".join(map(str, number)))
    return addresses
