"""Registered fraud scorers: bundles in, anomaly scores out."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from recsys.artifacts import read_bundle, write_bundle
from recsys.errors import FingerprintMismatchError
from recsys.schema import AMOUNT_TYPE, EVENT_TIME_TYPE
from recsys.tracking import TrackingConfig, served_fraud_model, start_run
from recsys.tracking.client import load_mlflow

TIMES = pd.to_datetime(["2024-03-01 23:59:59.123456", "2024-03-01 00:00:00.000001"])


class FakeScorer:
    """Scores a transaction by its amount, and keeps what it was asked."""

    asked: pa.Table

    def schema(self, transaction_id_type: pa.DataType) -> pa.Schema:
        """Standard columns and two features."""
        return pa.schema(
            [
                pa.field("transaction_id", transaction_id_type, nullable=False),
                pa.field("account_id", pa.string(), nullable=False),
                pa.field("event_time", EVENT_TIME_TYPE, nullable=False),
                pa.field("amount", AMOUNT_TYPE, nullable=False),
                pa.field("channel", pa.string()),
                pa.field("age", pa.float32()),
            ]
        )

    def score_table(self, table: pa.Table) -> pa.Table:
        """A thousandth of the amount."""
        FakeScorer.asked = table
        scores = [amount / 1000 for amount in table["amount"].to_pylist()]
        return pa.table({"transaction_id": table["transaction_id"], "anomaly_score": scores})


def load_fake(model_folder: Path, state_folder: Path) -> FakeScorer:
    """Open the bundles as the real loader does."""
    parents = {"model": read_bundle(model_folder, kind="fraud-model").fingerprint}
    read_bundle(state_folder, kind="fraud-state", expected_parents=parents)
    return FakeScorer()


@pytest.fixture(autouse=True)
def fake_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve the fake scorer in place of the real one."""
    module: Any = types.ModuleType("recsys.fraud.serving")
    module.load_fraud_scorer = load_fake
    monkeypatch.setitem(sys.modules, "recsys.fraud.serving", module)


@pytest.fixture
def config(
    tracking_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingConfig:
    """The default store, in a folder of the test's own."""
    assert tracking_database.is_relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return TrackingConfig(registered_model="fraud")


def register(
    config: TrackingConfig, folder: Path, id_type: pa.DataType, *, parent: str | None = None
) -> None:
    """A model and its state, or one of another parent, under the alias."""
    model = write_bundle(folder / "model", kind="fraud-model", data_digests={"log": "ab" * 32})
    parents = {"model": parent or model.fingerprint}
    state = write_bundle(folder / "state", kind="fraud-state", parents=parents)
    served = served_fraud_model(model=model, state=state, inputs=FakeScorer().schema(id_type))
    with start_run(config, run_name="train-fraud") as run:
        run.log_model(served, promote=True, order="2024-03-01/1")


def transactions(ids: list[object]) -> pd.DataFrame:
    """Two transactions in no order of time, with a null in each feature."""
    return pd.DataFrame(
        {
            "transaction_id": ids,
            "account_id": ["a", "b"],
            "event_time": TIMES,
            "amount": [12.5, 300.0],
            "channel": [None, "web"],
            "age": pd.Series([31.5, None], dtype="float32"),
        }
    )


@pytest.mark.parametrize(
    ("id_type", "ids"),
    [(pa.int64(), [2**62 + 1, 7]), (pa.string(), ["007", "7"])],
    ids=["int64", "string"],
)
def test_a_registered_scorer_answers_by_its_alias(
    config: TrackingConfig, tmp_path: Path, id_type: pa.DataType, ids: list[object]
) -> None:
    """Times, ids, nulls and numbers come to the scorer with their types, and scores come back."""
    register(config, tmp_path, id_type)
    loaded = load_mlflow().pyfunc.load_model("models:/fraud@champion")
    frame = loaded.predict(transactions(ids))

    assert list(frame.columns) == ["transaction_id", "anomaly_score"]
    assert frame["transaction_id"].tolist() == ids
    assert frame["anomaly_score"].tolist() == [0.0125, 0.3]
    asked = FakeScorer.asked
    assert asked.schema.equals(FakeScorer().schema(id_type))
    assert asked["event_time"].to_pandas().dt.tz_localize(None).tolist() == list(TIMES)
    assert asked["channel"].to_pylist() == [None, "web"]
    assert asked["age"].to_pylist() == [31.5, None]


def test_a_version_says_what_it_was_made_from(config: TrackingConfig, tmp_path: Path) -> None:
    """Fingerprints and data digests are tags, and what scores depend on is among the packages."""
    register(config, tmp_path, pa.string())
    mlflow = load_mlflow()
    version = mlflow.MlflowClient().get_model_version_by_alias("fraud", "champion")
    model = read_bundle(tmp_path / "model", kind="fraud-model")
    assert version.tags["model.fingerprint"] == model.fingerprint
    assert version.tags["model.data.log"] == "ab" * 32
    assert version.tags["state.kind"] == "fraud-state"
    (path,) = (tmp_path / "mlflow/store/artifacts/models").rglob("requirements.txt")
    names = {line.partition("==")[0] for line in path.read_text().splitlines()}
    assert {"lightgbm", "numba", "torch"} <= names


def test_the_state_of_another_model_is_refused_when_it_is_served(
    config: TrackingConfig, tmp_path: Path
) -> None:
    """The checks of bundles hold for models that come out of the registry."""
    register(config, tmp_path, pa.string(), parent="cd" * 32)
    with pytest.raises(FingerprintMismatchError, match="rebuild the fraud-state"):
        load_mlflow().pyfunc.load_model("models:/fraud@champion")


def test_transactions_of_other_types_are_refused(config: TrackingConfig, tmp_path: Path) -> None:
    """The signature asks for all columns, and for times that name no zone."""
    register(config, tmp_path, pa.string())
    mlflow = load_mlflow()
    loaded = mlflow.pyfunc.load_model("models:/fraud@champion")
    sound = transactions(["1", "2"])
    zoned = sound.assign(event_time=TIMES.tz_localize("Europe/Paris"))
    for frame in (zoned, sound.drop(columns="amount"), sound.assign(transaction_id=[1, 2])):
        with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
            loaded.predict(frame)
