"""Models and states that are missing, damaged or of another model: nights end, nothing changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from bank import LAST, NIGHT, QUICK, START, first_month, score, stock, tables_of, train, write_bank
from shop import contents

from recsys.publishing import current_run


@pytest.fixture(scope="module")
def stocked_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with a model and a night; the last day of its log is not scored yet."""
    return stock(tmp_path_factory.mktemp("stocked")).parent


@pytest.fixture
def bank(stocked_bank: Path, tmp_path: Path) -> Path:
    """A stocked bank to break."""
    return shutil.copytree(stocked_bank, tmp_path / "bank")


def test_no_model_is_published_yet(tmp_path: Path) -> None:
    """Before the first training the message names the command that has to come first."""
    config = write_bank(tmp_path, table=first_month())
    before = contents(tmp_path)
    done = score(config, LAST, "--quiet")
    assert done.code == 4
    (line,) = done.messages.splitlines()
    assert line.startswith(f"error: {tmp_path}/runs/fraud-models: expected a published fraud model")
    assert "`recsys train-fraud`" in line
    assert "output.directory" in line
    assert done.status["outcome"] == "FAILED"
    assert contents(tmp_path) == before


def flip_byte(file: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def remove(file: Path) -> None:
    """Lose a file."""
    file.unlink()


@pytest.mark.parametrize("damage", [flip_byte, remove])
@pytest.mark.parametrize(
    "file",
    [
        "fraud-models/model/tensors/autoencoder.safetensors",
        "fraud-models/model/manifest.json",
        "fraud-scores/state/tensors/state.safetensors",
        "fraud-scores/state/tables/accounts.parquet",
        "fraud-scores/metrics.json",
    ],
)
def test_damage_on_the_disk_is_refused(
    file: str, damage: Callable[[Path], None], bank: Path
) -> None:
    """A changed or lost file of the model or of last night ends the job before it scores."""
    root, _, name = file.partition("/")
    path = current_run(bank / "runs" / root) / name
    if name == "metrics.json" and damage is flip_byte:
        path.write_text(path.read_text()[:-20])
    else:
        damage(path)
    before = contents(bank)
    done = score(bank / "bank.toml", LAST, "--quiet")
    assert done.code == 4, done.messages
    (line,) = done.messages.splitlines()
    assert line.startswith(f"error: {path.parent if name == 'metrics.json' else ''}")
    assert str(current_run(bank / "runs" / root)) in line
    assert contents(bank) == before


def test_a_state_of_another_model_is_refused(bank: Path) -> None:
    """A sound state that was put beside another model does not serve it."""
    config, models = bank / "bank.toml", bank / "runs/fraud-models"
    old = shutil.copytree(current_run(models) / "state", bank / "old-state")
    assert train(config, NIGHT - timedelta(days=2), *QUICK, "--set", "seed=1").code == 0
    assert train(config, NIGHT - timedelta(days=1), *QUICK, "--set", "seed=1").code == 0
    shutil.rmtree(current_run(models) / "state")
    shutil.move(old, current_run(models) / "state")
    done = score(config, LAST, "--quiet")
    assert done.code == 4
    assert "model" in done.error
    assert "state" in done.error


def test_a_refused_training_leaves_the_live_model(bank: Path) -> None:
    """A log that is too short is refused with the cure, and nights go on with the old model."""
    config, live = bank / "bank.toml", current_run(bank / "runs/fraud-models")
    usual = score(config, LAST)
    done = train(config, START + timedelta(days=5), "--set", "tracking.enabled=false")
    assert done.code == 3
    assert "expected at least 500 transactions to fit on" in done.error
    assert "bring a longer log" in done.error
    assert current_run(bank / "runs/fraud-models") == live
    again = score(config, LAST, "--force")
    assert tables_of(again.status) == tables_of(usual.status)
