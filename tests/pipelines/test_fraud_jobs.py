"""The nights of the fraud jobs, end to end, on a small bank with labels that come a week late."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import (
    BUDGET,
    LABELS,
    NEWCOMERS,
    NUM_TRAINING_DAYS,
    SMALL_SCORER,
    STRANGE_IDS,
    TRAINED,
    Done,
    days_of,
    fingerprint_of,
    labels,
    night,
    nights_of,
    of_day,
    score,
    tables_of,
    train,
    transactions,
    with_wrong_rows,
    write_bank,
)
from shop import contents

from pipelines.fraud.config import load_fraud_config
from recsys.datasets.transactions.quarantine_report import REASONS as QUARANTINE_REASONS
from recsys.fraud.storage.model_bundle import load_fraud_model
from recsys.publishing import current_run, published_runs, verify_run
from recsys.schema import account_scores_schema, transaction_scores_schema
from recsys.tracking.client import load_mlflow

CONFIG = "bank.toml"
NUM_NIGHTS = 3
SURELY_WARM = 60  # transactions; some of them are flagged, and an account does not learn from those


@dataclass(frozen=True, kw_only=True)
class Nights:
    """A bank that was trained with labels, tracked, and scored for some nights in a row."""

    folder: Path
    trained: Mapping[str, object]
    done: tuple[Done, ...]
    wrong: Mapping[str, int]
    """Rows of the file that cannot be used, by reason."""

    @property
    def config(self) -> Path:
        """Its config."""
        return self.folder / CONFIG

    def table(self, number: int, name: str) -> pa.Table:
        """A table of a night."""
        return pq.read_table(str(self.done[number - 1].status[name]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tracking_template: Path) -> Nights:
    """The bank after training."""
    folder = tmp_path_factory.mktemp("bank")
    shutil.copy(tracking_template, folder / "mlflow.db")
    tracking = f'[tracking]\nuri = "sqlite:///{folder}/mlflow.db"\nregistered_model = "bank"\n'
    table, wrong = with_wrong_rows()
    config = write_bank(folder, SMALL_SCORER, LABELS, tracking, table=table, labelled=labels())
    done = train(config)
    assert done.code == 0, done.messages
    return Nights(folder=folder, trained=done.status, done=(), wrong=wrong)


@pytest.fixture(scope="module")
def nights(trained: Nights, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The bank after some nights."""
    folder = shutil.copytree(trained.folder, tmp_path_factory.mktemp("nights") / "bank")
    done = tuple(score(folder / CONFIG, night(number)) for number in range(1, NUM_NIGHTS + 1))
    assert [one.code for one in done] == [0] * NUM_NIGHTS, done[-1].messages
    return Nights(folder=folder, trained=trained.trained, done=done, wrong=trained.wrong)


@pytest.fixture
def only_trained(trained: Nights, tmp_path: Path) -> Path:
    """Config of a copy of the bank after training."""
    return shutil.copytree(trained.folder, tmp_path / "bank") / CONFIG


@pytest.fixture
def after_nights(nights: Nights, tmp_path: Path) -> Path:
    """Config of a copy of the bank after some nights."""
    return shutil.copytree(nights.folder, tmp_path / "bank") / CONFIG


def test_a_night_leaves_what_it_promises(nights: Nights) -> None:
    """Every file is there and sealed, tables have the documented schemas, ids come out exact."""
    model, _ = load_fraud_model(current_run(nights.folder / "runs" / "fraud-models") / "model")
    schemas = {
        "transaction_scores": transaction_scores_schema(
            pa.string(), pa.string(), model.evidence_names
        ),
        "account_scores": account_scores_schema(pa.string()),
    }
    for number, done in enumerate(nights.done, start=1):
        for name, schema in schemas.items():
            assert nights.table(number, name).schema.equals(schema)
        folder = Path(str(done.status["alerts_page"])).parent
        assert {file.name for file in folder.iterdir()} == {
            "_manifest.json", "account_scores.parquet", "alerts.html", "metrics.json",
            "quarantine.parquet", "state", "transaction_scores.parquet",
        }  # fmt: skip
        verify_run(folder)
        assert folder.parent.name == str(night(number)) == done.status["day"]


def test_everything_of_the_day_is_scored_once(nights: Nights) -> None:
    """The transactions of the day and their accounts are in the tables, each once, no others."""
    for number in range(1, NUM_NIGHTS + 1):
        of_the_day = of_day(transactions(), night(number))
        scored = nights.table(number, "transaction_scores")
        columns = ["transaction_id", "account_id", "event_time"]
        assert scored.select(columns).to_pydict() == of_the_day.select(columns).to_pydict()
        accounts = nights.table(number, "account_scores")
        counts = of_the_day["account_id"].to_pandas().value_counts()
        rows = accounts.to_pandas().set_index("account_id")
        found = rows["num_transactions"].to_dict()
        assert found == counts.to_dict()
        assert accounts.num_rows == len(counts)
        assert pc.unique(accounts["day"]).to_pylist() == [night(number)]


def test_ranks_alerts_and_reasons_fit_together(nights: Nights) -> None:
    """Ranks follow scores, the first of them are the alerts, which alone have reasons."""
    for number in range(1, NUM_NIGHTS + 1):
        rows = nights.table(number, "account_scores").to_pandas()
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["account_score"].is_monotonic_decreasing
        assert rows["account_score"].between(0, 1).all()
        assert (rows["account_score"] == 1 - rows["p_value"]).all()
        assert rows["alert"].tolist() == [True] * BUDGET + [False] * (len(rows) - BUDGET)
        assert (rows["reasons"].str.len() > 0).tolist() == rows["alert"].tolist()
        assert set(rows["bundle_id"]) == {fingerprint_of(nights.config)}


def test_accounts_with_little_history_are_marked(nights: Nights) -> None:
    """Accounts with fewer than 20 transactions before the day are cold, those with many are not."""
    num_cold = 0
    for number, done in enumerate(nights.done, start=1):
        rows = nights.table(number, "account_scores").to_pandas().set_index("account_id")
        before = transactions().filter(
            pa.array(days_of(transactions()) < NUM_TRAINING_DAYS - 1 + number)
        )
        known = before["account_id"].to_pandas().value_counts().reindex(rows.index, fill_value=0)
        assert rows["cold"][known < 20].all()
        assert not rows["cold"][known >= SURELY_WARM].any()
        assert done.status["cold"] == rows["cold"].sum()
        num_cold += len(rows.index.intersection(list(NEWCOMERS)))
    assert num_cold


def test_every_row_of_the_file_is_accounted_for(nights: Nights) -> None:
    """Rows are of the day, earlier, later or set aside, and none is late; reasons are kept."""
    days = days_of(transactions())
    for number, done in enumerate(nights.done, start=1):
        status, day = done.status, NUM_TRAINING_DAYS - 1 + number
        earlier = int((days < day).sum())
        assert status["quarantined"] == nights.wrong
        parts = ("used", "earlier", "late", "later")
        assert status["rows"] == sum(status[one] for one in parts) + sum(nights.wrong.values())
        assert status["used"] == status["transactions"] == (days == day).sum()
        assert (status["earlier"], status["late"], status["later"]) == (
            earlier, 0, (days > day).sum()
        )  # fmt: skip
        set_aside = pq.read_table(Path(str(status["alerts_page"])).with_name("quarantine.parquet"))
        assert set_aside["reason"].to_pandas().value_counts().to_dict() == nights.wrong
        assert set(nights.wrong) < set(QUARANTINE_REASONS)
        assert "warning: 15 of " in done.messages
    assert nights.trained["quarantined"] == 15
    assert nights.trained["transactions"] == (days < NUM_TRAINING_DAYS).sum()


def test_rows_set_aside_have_no_influence(nights: Nights, tmp_path: Path) -> None:
    """A file without the unusable rows gives a model and nights of the same bytes."""
    config = write_bank(tmp_path / "clean", labelled=labels())
    assert train(config).code == 0
    assert fingerprint_of(config) == fingerprint_of(nights.config)
    clean = score(config, night(1))
    assert clean.status["quarantined"] == {}
    assert tables_of(clean.status) == tables_of(nights.done[0].status)


def test_a_gap_is_caught_up_with(nights: Nights, only_trained: Path) -> None:
    """The last night scored alone gives the tables and the state of all nights in a row."""
    alone = score(only_trained, night(NUM_NIGHTS))
    assert alone.code == 0
    assert "state: that of the training; 294 transactions between" in alone.messages
    assert nights_of(only_trained) == [str(night(NUM_NIGHTS))]
    assert tables_of(alone.status) == tables_of(nights.done[-1].status)
    states = [
        contents(Path(str(done.status["alerts_page"])).with_name("state"))
        for done in (alone, nights.done[-1])
    ]
    assert states[0] == states[1]


def test_a_night_can_be_run_again(nights: Nights, after_nights: Path) -> None:
    """An earlier night gives the same bytes again, and the latest one stays live."""
    root = after_nights.parent / "runs/fraud-scores"
    live = current_run(root)
    assert score(after_nights, night(2)).code == 7
    again = score(after_nights, night(2), "--force")
    assert tables_of(again.status) == tables_of(nights.done[1].status)
    assert again.status["live"] is False
    assert current_run(root) == live
    assert live.parent.name == str(night(NUM_NIGHTS))
    last = score(after_nights, night(NUM_NIGHTS), "--force")
    assert tables_of(last.status) == tables_of(nights.done[-1].status)
    assert last.status["live"] is True
    assert len(published_runs(root)) == NUM_NIGHTS + 2


def test_days_to_come_do_not_matter(nights: Nights, only_trained: Path) -> None:
    """A file that ends with the day gives the bytes of one that goes on."""
    table = pq.read_table(only_trained.parent / "transactions.parquet")
    until = table.filter(pa.array(days_of(table) < NUM_TRAINING_DAYS + 2))
    pq.write_table(until, only_trained.parent / "transactions.parquet")
    done = score(only_trained, night(2))
    assert done.status["later"] == 0
    assert tables_of(done.status) == tables_of(nights.done[1].status)


def test_a_later_model_goes_on_from_its_own_state(after_nights: Path) -> None:
    """After a new training nights start from its state, not from those of the old model."""
    old = fingerprint_of(after_nights)
    untracked = ("--set", "tracking.enabled=false")
    assert train(after_nights, night(2), *untracked).code == 0
    new = fingerprint_of(after_nights)
    assert new != old

    done = score(after_nights, night(4), *untracked)

    assert "state: that of the training; 96 transactions between" in done.messages
    accounts = pq.read_table(str(done.status["account_scores"]))
    assert pc.unique(accounts["bundle_id"]).to_pylist() == [new]
    first = tables_of(done.status)
    shutil.rmtree(after_nights.parent / "runs" / "fraud-scores")
    assert tables_of(score(after_nights, night(4)).status) == first


def test_a_model_that_has_seen_the_day_does_not_score_it(only_trained: Path) -> None:
    """A day that was learnt from is refused in a line with the cure, and nothing is published."""
    done = score(only_trained, TRAINED)
    assert done.code == 3
    assert f"expected a model that was trained on days before {TRAINED}, got one" in done.error
    assert f"train with --as-of a day before {TRAINED}, or score a later day" in done.error
    assert nights_of(only_trained) == []


def test_strange_ids_are_only_text_on_the_page(only_trained: Path) -> None:
    """Ids that are markup or formulas stand escaped on the page, and exact in the tables."""
    done = score(only_trained, night(1), "--set", "alerts.alert_budget=1000", "--force")
    page = Path(str(done.status["alerts_page"])).read_text(encoding="utf-8")
    accounts = pq.read_table(str(done.status["account_scores"]))
    assert done.status["alerts"] == accounts.num_rows == done.status["accounts"]
    assert set(STRANGE_IDS.values()) <= set(accounts["account_id"].to_pylist())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "=1+1" in page
    assert not any(f"{quote}=1+1" in page for quote in ("href=", "src="))


def test_training_is_tracked_and_registered(trained: Nights) -> None:
    """MLflow has settings, figures, the data's digest and the model as champion."""
    client = load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{trained.folder}/mlflow.db")
    run = client.get_run(str(trained.trained["tracked"]).rpartition(" ")[2])
    config = load_fraud_config(trained.config)
    assert run.info.status == "FINISHED"
    assert run.data.params["autoencoder.num_steps"] == str(config.autoencoder.num_steps)
    assert run.data.metrics["peak_rss_mb"] > 0
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.profile)["num_rows"] == trained.trained["transactions"]
    champion = client.get_model_version_by_alias("bank", "champion")
    assert int(champion.version) == trained.trained["model_version"] == 1
    figures = json.loads((Path(str(trained.trained["run"])) / "metrics.json").read_text())
    assert figures["fit"]["uses_labels"] is True
    assert figures["quarantine"]["num_used"] == transactions().num_rows
