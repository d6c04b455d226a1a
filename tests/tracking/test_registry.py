"""Registered models: bundles in, recommendations out, nothing pickled."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.errors import ArtifactError, FingerprintMismatchError
from recsys.schema import recommendations_schema
from recsys.tracking import TrackingConfig, served_recommender, start_run
from recsys.tracking.client import load_mlflow

ID_TYPES = {"int64": pa.int64(), "string": pa.string()}


class FakeRecommender:
    """Recommends the first items of its bundle to everyone."""

    def __init__(self, model: Bundle, index: Bundle | None) -> None:
        self.item_ids = model.table("items")["item_id"].combine_chunks()
        self.source = "model" if index is None else "index"

    def recommend_table(self, user_ids: pa.Array, k: int) -> pa.Table:
        """The same `k` items for each user."""
        assert user_ids.type in ID_TYPES.values()
        items = self.item_ids[:k]
        users = np.repeat(np.arange(len(user_ids)), len(items))
        ranks = np.tile(np.arange(1, len(items) + 1), len(user_ids))
        columns = {
            "user_id": user_ids.take(pa.array(users)),
            "item_id": items.take(pa.array(ranks - 1)),
            "rank": pa.array(ranks, pa.int32()),
            "score": pa.array(1 / ranks, pa.float32()),
            "source": pa.array([self.source] * len(ranks)),
        }
        return pa.table(columns, recommendations_schema(user_ids.type, items.type))


def load_fake(model_folder: Path, index_folder: Path | None) -> FakeRecommender:
    """Open the bundles as the real loader does."""
    model = read_bundle(model_folder, kind="recommender-model")
    if index_folder is None:
        return FakeRecommender(model, None)
    parents = {"model": model.fingerprint}
    return FakeRecommender(
        model, read_bundle(index_folder, kind="item-index", expected_parents=parents)
    )


@pytest.fixture(autouse=True)
def fake_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve the fake recommender in place of the real one."""
    module: Any = types.ModuleType("recsys.recommender.serving")
    module.load_recommender = load_fake
    monkeypatch.setitem(sys.modules, "recsys.recommender.serving", module)


@pytest.fixture
def config(
    tracking_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingConfig:
    """The default store, in a folder of the test's own."""
    assert tracking_database.is_relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return TrackingConfig()


def write_bundles(folder: Path, item_ids: pa.Array, *, epoch: int = 0) -> tuple[Bundle, Bundle]:
    """A model and its index."""
    folder.mkdir()
    model = write_bundle(
        folder / "model",
        kind="recommender-model",
        config={"epoch": epoch},
        tables={"items": pa.table({"item_id": item_ids})},
        data_digests={"interactions": "ab" * 32},
    )
    index = write_bundle(folder / "index", kind="item-index", parents={"model": model.fingerprint})
    return model, index


@pytest.mark.parametrize("item_type", ID_TYPES)
@pytest.mark.parametrize("user_type", ID_TYPES)
def test_a_registered_recommender_answers_by_its_alias(
    config: TrackingConfig, tmp_path: Path, user_type: str, item_type: str
) -> None:
    """What was registered is loaded by alias in one call and recommends, with ids of both types."""
    users = {"int64": [7, 2**62 + 1], "string": ["007", "7"]}[user_type]
    items = pa.array({"int64": [10, 2**60 + 1, 30], "string": ["a", "01", "1"]}[item_type])
    model, index = write_bundles(tmp_path / "bundles", items)
    served = served_recommender(
        model=model,
        index=index,
        user_id_type=ID_TYPES[user_type],
        item_id_type=ID_TYPES[item_type],
        k=2,
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")

    loaded = load_mlflow().pyfunc.load_model("models:/recommender@champion")
    frame = loaded.predict(pd.DataFrame({"user_id": users}))
    three = loaded.predict(pd.DataFrame({"user_id": users}), params={"k": 3})

    assert list(frame.columns) == ["user_id", "item_id", "rank", "score", "source"]
    assert frame["user_id"].tolist() == [users[0], users[0], users[1], users[1]]
    assert frame["item_id"].tolist() == items.to_pylist()[:2] * 2
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["source"].tolist() == ["index"] * 4
    assert len(three) == 6


def test_versions_say_what_they_were_made_from(config: TrackingConfig, tmp_path: Path) -> None:
    """Versions count up, carry the fingerprints, and the alias moves only when it is told to."""
    versions, bundles = [], []
    for epoch in range(2):
        model, index = write_bundles(tmp_path / f"{epoch}", pa.array(["a"]), epoch=epoch)
        bundles.append(model)
        served = served_recommender(
            model=model, index=index, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
        )
        with start_run(config, run_name="train") as run:
            run.log_model(served, promote=epoch == 0, order=f"2024-03-01/{epoch}")
        versions.append(run.delivery.version)

    client = load_mlflow().MlflowClient()
    first, second = (client.get_model_version("recommender", str(v)) for v in versions)
    champion = client.get_model_version_by_alias("recommender", "champion")
    assert (versions, int(champion.version)) == ([1, 2], 1)
    assert (first.status, second.status) == ("READY", "READY")
    assert first.tags["model.fingerprint"] == bundles[0].fingerprint
    assert second.tags["model.fingerprint"] == bundles[1].fingerprint != bundles[0].fingerprint
    assert second.tags["model.data.interactions"] == "ab" * 32
    assert second.tags["index.kind"] == "item-index"


def test_a_model_without_an_index_is_served_too(config: TrackingConfig, tmp_path: Path) -> None:
    """The index may be missing; the loader is told so."""
    model, _ = write_bundles(tmp_path / "bundles", pa.array(["a"]))
    served = served_recommender(
        model=model, index=None, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")

    loaded = load_mlflow().pyfunc.load_model("models:/recommender@champion")
    frame = loaded.predict(pd.DataFrame({"user_id": [1]}))

    assert frame["source"].tolist() == ["model"]


def test_what_is_stored_is_plain_files(config: TrackingConfig, tmp_path: Path) -> None:
    """The stored model is code, bundles and texts: no pickle, and no other project's package."""
    model, index = write_bundles(tmp_path / "bundles", pa.array(["a"]))
    served = served_recommender(
        model=model, index=index, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=False, order="2024-03-01/1")

    (folder,) = (tmp_path / "mlflow/store/artifacts/models").iterdir()
    files = [path for path in folder.rglob("*") if path.is_file()]
    requirements = (folder / "artifacts/requirements.txt").read_text().splitlines()
    assert {path.suffix for path in files} <= {".py", ".json", ".parquet", ".yaml", ".txt", ""}
    assert {path.name for path in files if not path.suffix} <= {"MLmodel", "registered_model_meta"}
    assert all("==" in line for line in requirements)
    assert {line.partition("==")[0] for line in requirements} == {
        *("torch", "faiss-cpu", "numpy", "pandas", "pyarrow", "safetensors", "mlflow")
    }


def test_an_index_of_another_model_is_refused_when_it_is_served(
    config: TrackingConfig, tmp_path: Path
) -> None:
    """The checks of bundles hold for models that come out of the registry."""
    first, _ = write_bundles(tmp_path / "first", pa.array(["a"]))
    _, index = write_bundles(tmp_path / "second", pa.array(["a"]), epoch=1)
    served = served_recommender(
        model=first, index=index, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")

    with pytest.raises(FingerprintMismatchError, match="rebuild the item-index"):
        load_mlflow().pyfunc.load_model("models:/recommender@champion")


def test_users_of_another_type_are_refused(config: TrackingConfig, tmp_path: Path) -> None:
    """The signature keeps texts from being taken for numbers and numbers for texts."""
    model, index = write_bundles(tmp_path / "bundles", pa.array(["a"]))
    served = served_recommender(
        model=model, index=index, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")
    mlflow = load_mlflow()
    loaded = mlflow.pyfunc.load_model("models:/recommender@champion")

    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        loaded.predict(pd.DataFrame({"user_id": ["1"]}))
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        loaded.predict(pd.DataFrame({"user_id": [1.0, None]}))
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        loaded.predict(pd.DataFrame({"user": [1]}))


def test_a_file_changed_in_the_store_is_refused_when_it_is_served(
    config: TrackingConfig, tmp_path: Path
) -> None:
    """A stored bundle that was tampered with is not loaded."""
    model, index = write_bundles(tmp_path / "bundles", pa.array(["a"]))
    served = served_recommender(
        model=model, index=index, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
    )
    with start_run(config, run_name="train") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")
    (path,) = (tmp_path / "mlflow/store/artifacts").rglob("items.parquet")
    path.write_bytes(path.read_bytes()[::-1])

    with pytest.raises(ArtifactError, match=r"other bytes in 'tables/items\.parquet'"):
        load_mlflow().pyfunc.load_model("models:/recommender@champion")
