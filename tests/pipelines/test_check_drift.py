"""`recsys check-drift`, end to end, on small logs of both halves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import NIGHT, START, Done, days_of, first_month, run_bank, score, stock
from shop import contents, write_table

from pipelines.recommender.write_lists import FILE_NAME
from recsys.publishing import current_run, publish, verify_run
from recsys.tracking.client import load_mlflow

LAST_EVENT = date(2024, 3, 30)
WEEKS = ("--set", "drift.reference_days=21")


@pytest.fixture(scope="module")
def stocked_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a bank with a month of transactions, a model and a scored night."""
    return stock(tmp_path_factory.mktemp("stocked-bank"))


@pytest.fixture
def bank(stocked_bank: Path, tmp_path: Path) -> Path:
    """A bank of one's own."""
    return shutil.copytree(stocked_bank.parent, tmp_path / "bank") / stocked_bank.name


def check(config: Path, day: date, *options: object) -> Done:
    """Check a day."""
    return run_bank("check-drift", config, "--as-of", day, *options)


def published(status: Mapping[str, object]) -> dict[str, object]:
    """The report of a check."""
    return json.loads(Path(str(status["file"])).read_text())


def with_amounts_times(table: pa.Table, factor: float, *, since: date) -> pa.Table:
    """Transactions whose amounts are larger from a day on."""
    is_late = pa.array(days_of(table) >= (since - START).days)
    amounts = pc.if_else(is_late, pc.multiply(table["amount"], factor), table["amount"])
    return table.set_column(table.column_names.index("amount"), "amount", amounts)


def publish_lists(shop: Path, night: date) -> None:
    """The same lists every night, as the job for them publishes them."""
    rng = np.random.default_rng(0)
    lists = {
        "item_id": rng.integers(0, 30, 600),
        "score": rng.random(600).astype(np.float32),
        "source": np.where(rng.random(600) < 0.9, "history", "popularity"),
    }
    publish(
        shop / "runs" / "recommendations",
        night,
        lambda folder: pq.write_table(pa.table(lists), folder / FILE_NAME),
        run_id=f"night-{night}",
    )


def test_a_log_that_goes_on_is_stable(bank: Path) -> None:
    """A quiet bank has no drift in any column, and the report says of which days and columns."""
    done = check(bank, NIGHT, *WEEKS)
    status, report = done.status, published(done.status)
    columns = report["columns"]

    assert done.code == 0, done.messages
    assert (status["job"], status["outcome"]) == ("check-drift", "PUBLISHED")
    assert status["verdict"] == report["verdict"] == "stable"
    assert report["current"] == [str(NIGHT - timedelta(days=6)), str(NIGHT)]
    assert report["reference"] == [
        str(NIGHT - timedelta(days=27)), str(NIGHT - timedelta(days=7))
    ]  # fmt: skip
    assert set(columns) == set(status["columns"]) == {
        "hour_of_day", "amount", "currency", "account_frequency", "counterparty_frequency",
        "feature.category", "feature.channel", "feature.age", "transactions_per_account_day",
        "embedding.transactions",
    }  # fmt: skip
    assert report["skipped"] == status["skipped"] == ["score.transactions", "score.accounts"]
    assert all(one["psi"] >= 0 and one["bound"] >= one["expected"] for one in columns.values())
    verify_run(current_run(bank.parent / "runs" / "drift"))


def test_scores_of_nights_are_compared(bank: Path) -> None:
    """Nights of both windows give the drift of the published scores."""
    day = NIGHT + timedelta(days=1)
    assert score(bank, day).code == 0
    weeks = ("--set", "drift.window_days=1", "--set", "drift.reference_days=7")
    columns = check(bank, day, *weeks).status["columns"]

    assert {"score.transactions", "score.accounts"} <= set(columns)


def test_major_drift_ends_the_job_where_it_is_asked_to(bank: Path) -> None:
    """Tenfold amounts are major; the report is published either way, and one setting holds."""
    since = NIGHT - timedelta(days=6)
    table = with_amounts_times(first_month(), 10, since=since)
    changed = write_table(bank.parent / "changed.parquet", table)
    options = (*WEEKS, "--transactions", changed)
    reported = check(bank, NIGHT, *options)
    held = check(bank, NIGHT, *options, "--set", 'drift.fail_on="major"')
    result = json.loads(held.printed.splitlines()[-2])

    assert reported.code == 0
    assert reported.status["verdict"] == "major"
    assert reported.status["columns"]["amount"]["verdict"] == "major"
    assert held.code == 3
    assert (result["verdict"], result["outcome"]) == ("major", "PUBLISHED")
    assert published(result) | {"settings": 0} == published(reported.status) | {"settings": 0}
    assert (held.status["outcome"], held.status["rule"]) == ("HELD", "drift")
    assert "expected a stability index of at most" in held.error


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--as-of", "2023-12-31"), 3, "expected events from 2023-12-25 to 2023-12-31"),
        (("--set", 'drift.columns=["amounts"]'), 2, "drift.columns: expected columns among"),
        (("--interactions", "log.parquet"), 2, "expected options of the fraud scorer"),
        (("--set", "drift.window_days=50"), 2, "expected reference_days of at least the 50"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    stocked_bank: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    """One line says what is wrong, and nothing is published."""
    before = contents(stocked_bank.parent)
    done = run_bank("check-drift", stocked_bank, "--as-of", NIGHT, *options)
    after = {k: v for k, v in contents(stocked_bank.parent).items() if "/drift/" not in k}

    assert done.code == code
    assert message in done.error
    assert after == before


def test_events_features_embeddings_and_lists_are_compared(
    shop_copy: Path, tracking_template: Path
) -> None:
    """A shop with a model and two nights of lists has all kinds of columns, tracked by name."""
    shutil.copy(tracking_template, shop_copy / "mlflow.db")
    config = shop_copy / "shop.toml"
    nights = [LAST_EVENT + timedelta(days=ahead) for ahead in (1, 2)]
    for night in nights:
        publish_lists(shop_copy, night)
    tracking = (
        "--set",
        "tracking.enabled=true",
        "--set",
        f"tracking.uri=sqlite:///{shop_copy}/mlflow.db",
    )
    done = check(config, nights[-1], *tracking)
    assert done.code == 0, done.messages
    columns = published(done.status)["columns"]
    mlflow = load_mlflow()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{shop_copy}/mlflow.db")
    (experiment,) = (one for one in client.search_experiments() if one.name != "Default")
    (run,) = client.search_runs([experiment.experiment_id])

    assert set(columns) == {
        "hour_of_day", "item", "item_popularity", "user.segment", "user.age", "known_users",
        "known_items", "embedding.users", "embedding.items", "list.score", "list.item",
        "list.source",
    }  # fmt: skip
    assert {f"psi.{name}" for name in columns} <= set(run.data.metrics)
    assert run.data.metrics["psi.item"] == pytest.approx(columns["item"]["psi"])
    assert run.data.tags["verdict"] == done.status["verdict"]
    # The lists of both nights are the same.
    assert columns["list.score"]["psi"] == columns["list.source"]["psi"] == 0


def test_new_items_are_found(shop_copy: Path) -> None:
    """Items that neither the weeks before nor the live model know show as such."""
    file = shop_copy / "interactions.parquet"
    log = pq.read_table(file)
    first = pa.scalar(LAST_EVENT - timedelta(days=6)).cast(pa.timestamp("us", tz="UTC"))
    is_late = np.asarray(pc.greater_equal(log["event_time"], first))
    is_new = is_late & (np.arange(log.num_rows) % 2 == 0)
    items = np.where(is_new, 10**6 + np.arange(log.num_rows) % 5, np.asarray(log["item_id"]))
    column = log.column_names.index("item_id")
    write_table(file, log.set_column(column, "item_id", pa.array(items)))
    columns = published(check(shop_copy / "shop.toml", LAST_EVENT).status)["columns"]

    assert columns["item"]["shift"]["bin"] == "unseen"
    assert columns["known_items"]["shift"]["reference_share"] == 0
    assert {columns[name]["verdict"] for name in ("item", "item_popularity", "known_items")} == {
        "major"
    }
