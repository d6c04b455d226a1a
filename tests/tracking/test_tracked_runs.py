"""Tracked runs, read back from a real database."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.tracking import Delivery, TrackingConfig, start_run
from recsys.tracking.client import load_mlflow

if TYPE_CHECKING:
    from mlflow.entities import Run


@pytest.fixture
def config(tracking_database: Path) -> TrackingConfig:
    """Tracking in a database of the test's own."""
    return TrackingConfig(uri=f"sqlite:///{tracking_database}", experiment="nightly")


def only_run(config: TrackingConfig) -> Run:
    """The one run of the experiment, as MLflow has it."""
    client = load_mlflow().MlflowClient(tracking_uri=config.uri)
    experiment = client.get_experiment_by_name(config.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def artifacts_of(run: Run) -> dict[str, Path]:
    """Files of a run by relative name."""
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def test_everything_told_is_found_again(config: TrackingConfig) -> None:
    """Settings, figures by step, tags and data reach the run that the block opened."""
    with start_run(config, run_name="march", tags={"job": "train"}) as run:
        run.log_params(
            {"model": {"embedding_dim": 64}, "many": {f"p{i:03}": i for i in range(250)}}
        )
        for step, loss in enumerate([3.0, 2.0, math.nan]):
            run.log_metrics({"loss": loss, "recall@20": step / 10}, step=step)
        run.log_metrics({f"m{i}": i for i in range(250)})
        run.log_dataset(
            "interactions",
            digest="ab" * 32,
            num_rows=7,
            source="data/x.parquet",
            context="training",
        )

    kept = only_run(config)
    history = load_mlflow().MlflowClient(config.uri).get_metric_history(kept.info.run_id, "loss")
    (dataset,) = kept.inputs.dataset_inputs
    assert (kept.info.run_name, kept.info.status) == ("march", "FINISHED")
    assert kept.data.tags["job"] == "train"
    assert kept.data.params["model.embedding_dim"] == "64"
    assert (len(kept.data.params), len(kept.data.metrics)) == (251, 252)
    assert kept.data.metrics["recall_at_20"] == 0.2
    assert [(m.step, m.value) for m in history[:2]] == [(0, 3.0), (1, 2.0)]
    assert (history[2].step, math.isnan(history[2].value)) == (2, True)
    assert (dataset.dataset.name, dataset.dataset.digest) == ("interactions", ("ab" * 18))
    assert json.loads(dataset.dataset.profile) == {"num_rows": 7, "sha256": "ab" * 32}
    assert json.loads(dataset.dataset.source) == {"uri": "data/x.parquet"}
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "training")]


def test_files_lie_beside_the_database(
    config: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, folders, figures and texts lie beside the database, not in the working folder."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "report/img").mkdir(parents=True)
    (elsewhere / "report/index.html").write_text("<p>")
    (elsewhere / "report/img/a.svg").write_text("<svg>")
    (elsewhere / "loss.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(elsewhere)

    with start_run(config, run_name="x") as run:
        run.log_artifact(Path("report"), "report")
        run.log_artifact(Path("loss.png"))
        run.log_artifact(Path("loss.png"), "figures")
        run.log_text("grüße", "notes/today.txt")
        run.log_environment()

    kept = only_run(config)
    files = artifacts_of(kept)
    assert set(files) == {
        "environment.json",
        "figures/loss.png",
        "loss.png",
        "notes/today.txt",
        "report/img/a.svg",
        "report/index.html",
    }
    assert files["notes/today.txt"].read_text("utf-8") == "grüße"
    environment = json.loads(files["environment.json"].read_text())
    assert environment["packages"]["numpy"] == kept.data.tags["numpy"]
    assert environment["memory_bytes"] > 2**28
    assert all(path.is_relative_to(tmp_path / "mlflow/store") for path in files.values())
    assert {path.name for path in elsewhere.iterdir()} == {"report", "loss.png"}


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_block_marks_the_run_as_failed(
    config: TrackingConfig, error: BaseException
) -> None:
    """The error passes through unchanged, and a next run can be opened."""
    with pytest.raises(type(error)) as caught, start_run(config, run_name="x"):
        raise error

    assert caught.value is error
    assert only_run(config).info.status == "FAILED"
    assert load_mlflow().active_run() is None


def test_the_blocks_error_wins_over_the_trackers(
    config: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a failing run cannot even be told, the first error is the one that is raised."""
    mlflow = load_mlflow()

    def unreachable(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("server gone")

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", unreachable)

    with pytest.raises(ValueError, match="boom"), start_run(config, run_name="x"):
        raise ValueError("boom")
    with start_run(config, run_name="x") as run:
        pass
    assert "server gone" in str(run.delivery.problem)
    assert run.delivery.num_waiting == 2


def test_what_mlflow_refuses_is_told_in_one_line(config: TrackingConfig) -> None:
    """A value that MLflow will never take is left out and counted; the rest is delivered."""
    with start_run(config, run_name="x") as run:
        run.log_params({"a": 1})
        run.log_params({"a": 2})
        run.log_metrics({"b": 3})

    kept, problem = only_run(config), str(run.delivery.problem)
    assert kept.data.params == {"a": "1"}
    assert kept.data.metrics == {"b": 3}
    assert problem.startswith("refused for good: 1, the first: batch: tracking at sqlite:///")
    assert "\n" not in problem
    assert run.delivery.num_waiting == 0


def test_what_is_not_on_the_disk_is_told(config: TrackingConfig, tmp_path: Path) -> None:
    """A file that cannot be copied costs that file alone."""
    with start_run(config, run_name="x") as run:
        run.log_artifact(tmp_path / "missing.txt")
        run.log_metrics({"b": 3})

    assert only_run(config).data.metrics == {"b": 3}
    assert "missing.txt" in str(run.delivery.problem)


def test_one_experiment_for_all_runs(config: TrackingConfig) -> None:
    """A second run joins the experiment that the first one made."""
    for _ in range(2):
        with start_run(config, run_name="x"):
            pass

    client = load_mlflow().MlflowClient(config.uri)
    experiment = client.get_experiment_by_name("nightly")
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_experiments_of_a_server_are_not_continued_without_it(config: TrackingConfig) -> None:
    """An experiment whose files go through a server is not written to in its bare database."""
    client = load_mlflow().MlflowClient(config.uri)
    client.create_experiment("nightly", artifact_location="mlflow-artifacts:/1")

    with start_run(config, run_name="x") as run:
        pass

    assert "'nightly', made through a server; set tracking.uri" in str(run.delivery.problem)
    assert run.delivery.num_waiting == 1


def test_runs_that_are_not_kept_take_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tracking off the same calls work, nothing is written and MLflow is not touched."""
    monkeypatch.setattr("recsys.tracking.runs.load_mlflow", None)
    monkeypatch.chdir(tmp_path)

    with start_run(TrackingConfig(enabled=False), run_name="x") as run:
        run.log_params({"a": 1})
        run.log_metrics({"recall@20": 0.1}, step=1)
        run.log_tags({"a": "b"})
        run.log_dataset("x", digest="ab", num_rows=1, source="y", context="training")
        run.log_environment()
        run.log_text("a", "b.txt")
        run.log_artifact(Path("missing"))
        run.log_artifact(Path("missing.png"))
        run.log_model(None, promote=True, order="")

    assert (run.delivery, run.location) == (Delivery(), "")
    assert not any(tmp_path.iterdir())


def test_location_is_where_the_run_is_seen(config: TrackingConfig) -> None:
    """The location names the database and the run in it, once the run is there."""
    with start_run(config, run_name="x") as run:
        assert run.location == ""

    assert run.location == f"{config.uri} run {only_run(config).info.run_id}"
