"""`recsys generate`: logs with a known truth that the jobs take as they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import run_bank
from shop import contents

SMALL_BANK = ("--accounts", 60, "--days", 45, "--plants", 4)
SMALL_SHOP = ("--users", 40, "--items", 20, "--interactions", 500)


def test_a_bank_goes_through_the_jobs_and_its_fraud_is_flagged(tmp_path: Path) -> None:
    """The config that is written trains and scores, and what was planted can be looked up."""
    bank = tmp_path / "bank"
    made = run_bank("generate", "transactions", "--out", bank, *SMALL_BANK)
    assert made.code == 0, made.messages
    config, trained = made.status["config"], made.status["trained_until"]
    plants = pq.read_table(bank / "plants.parquet").to_pylist()
    log, labels = (pq.read_table(bank / f"{name}.parquet") for name in ("transactions", "labels"))
    first = min(plant["first_day"] for plant in plants)
    quick = ("--set", "autoencoder.num_steps=5", "--set", "tracking.enabled=false")

    assert run_bank("validate-transactions", config).code == 0
    assert run_bank("train-fraud", config, "--as-of", trained, *quick).code == 0
    assert run_bank("score-accounts", config, "--as-of", first, *quick).code == 0
    assert date.fromisoformat(trained) < first
    assert not {"is_fraud", "plant"} & set(log.column_names)
    assert log["transaction_id"].equals(labels["transaction_id"])
    assert 0 < pc.sum(labels["is_fraud"]).as_py() <= sum(one["num_transactions"] for one in plants)
    assert len({plant["kind"] for plant in plants}) == 4


def test_a_shop_passes_validation(tmp_path: Path) -> None:
    """The config of a shop names its tables and features."""
    made = run_bank("generate", "interactions", "--out", tmp_path, *SMALL_SHOP)

    assert made.code == 0, made.messages
    assert run_bank("validate", made.status["config"]).code == 0
    assert pq.read_table(tmp_path / "interactions.parquet").num_rows == 500


@pytest.mark.parametrize("kind", ["interactions", "transactions"])
def test_the_same_seed_gives_the_same_log_and_another_another(kind: str, tmp_path: Path) -> None:
    """The seed alone decides what is drawn."""
    sizes = SMALL_SHOP if kind == "interactions" else SMALL_BANK
    logs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        assert run_bank("generate", kind, "--out", folder, *sizes, "--seed", seed).code == 0
        logs.append(contents(folder))

    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds anything is refused in one line, and stays as it is."""
    (tmp_path / "mine.txt").write_text("mine")
    for kind in ("interactions", "transactions"):
        made = run_bank("generate", kind, "--out", tmp_path)
        assert made.code == 2
        assert "expected a new or an empty folder" in made.error
    assert contents(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--days", 2), "--days: expected at least 3 days"),
        (("--accounts", 5, "--days", 30, "--plants", 9), "synthetic plant"),
    ],
)
def test_logs_that_cannot_be_made_are_refused(
    arguments: tuple[object, ...], expected: str, tmp_path: Path
) -> None:
    """Sizes that do not go together are a wrong setting, and no folder is left."""
    made = run_bank("generate", "transactions", "--out", tmp_path / "new", *arguments)

    assert made.code == 2
    assert expected in made.error
    assert not (tmp_path / "new").exists()
