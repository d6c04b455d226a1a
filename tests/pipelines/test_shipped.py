"""The package as it is installed: samples at hand, and outputs where one works."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.demo import split_overrides
from pipelines.fraud.config import load_fraud_config
from pipelines.jobs import shipped
from pipelines.recommender.config import load_job_config


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and the package as if there were no project around it."""
    package = tmp_path / "site-packages" / "pipelines"
    package.mkdir(parents=True)
    for name in ("configs", "samples"):
        (package / name).symlink_to(shipped.PACKAGE / name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(shipped, "PACKAGE", package)
    monkeypatch.setattr(shipped, "CONFIGS", package / "configs")
    monkeypatch.setattr(shipped, "SAMPLES", package / "samples")
    return here


def test_an_installed_config_reads_the_samples_and_writes_here(installed: Path) -> None:
    """Tables are those that came with the package; no output lies outside the working directory."""
    shop = load_job_config(shipped.CONFIGS / "movietweetings.toml")
    bank = load_fraud_config(shipped.CONFIGS / "sparkov-sample.toml")

    for table in (shop.data.interactions, shop.data.items, bank.data.transactions):
        assert table is not None
        assert table.parent == shipped.SAMPLES
        assert table.is_file()
    assert shop.output.directory == installed / "runs" / "movietweetings"
    assert bank.output.directory == installed / "runs" / "sparkov-sample"


def test_a_table_of_ones_own_comes_first(installed: Path) -> None:
    """Where the working directory has a file of that name, it is read."""
    own = installed / "data" / "sample" / "movietweetings_items.parquet"
    own.parent.mkdir(parents=True)
    own.touch()

    assert load_job_config(shipped.CONFIGS / "movietweetings.toml").data.items == own


def test_other_configs_start_at_their_folder(installed: Path) -> None:
    """Installed or not, relative paths of a config of one's own start where it lies."""
    config = installed / "configs" / "shop.toml"
    config.parent.mkdir()
    config.write_text('[data]\ninteractions = "log.parquet"\n')
    found = load_job_config(config)

    assert found.data.interactions == config.parent / "log.parquet"
    assert found.output.directory == config.parent / "runs"


def test_a_checkout_writes_into_the_project() -> None:
    """In a checkout the shipped configs write into its `runs/`, and read its `data/`."""
    root = Path(__file__).parents[2]
    found = load_job_config(shipped.CONFIGS / "movietweetings.toml")

    assert found.output.directory == root / "runs" / "movietweetings"
    assert found.data.interactions.parent == root / "data" / "sample"


def test_settings_of_the_demo_go_where_there_is_such_a_section() -> None:
    """A section of one product is for it, one of both for both, an unknown one for the first."""
    ours, theirs = split_overrides(
        ["model.dropout=0", "autoencoder.num_steps=1", "tracking.enabled=false", "nonsense.a=1"]
    )

    assert ours == ["model.dropout=0", "tracking.enabled=false", "nonsense.a=1"]
    assert theirs == ["autoencoder.num_steps=1", "tracking.enabled=false"]
