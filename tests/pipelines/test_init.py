"""`recsys init` drafts a config that the other commands accept."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.jobs.console import Reporter
from pipelines.recommender.config import load_job_config
from pipelines.recommender.init import init_job
from pipelines.recommender.validate import validate_job
from recsys.errors import ConfigError, DataError


def draft(tmp_path: Path, interactions: pa.Table, items: pa.Table | None = None) -> Path:
    """Write tables, draft a config for them and return its path."""
    paths = {}
    for name, table in {"interactions": interactions, "items": items}.items():
        paths[name] = None if table is None else tmp_path / f"{name}.parquet"
        if table is not None:
            pq.write_table(table, paths[name])
    return init_job(
        **paths, users=None, out=tmp_path / "my shop.toml", reporter=Reporter(quiet=True)
    )


def test_a_drafted_config_loads_the_tables_it_was_drafted_for(tmp_path: Path) -> None:
    """Foreign names, epoch times, and features with odd names survive the way through TOML."""
    interactions = pa.table(
        {"customer": ["01", "1"], "sku": ["a", "b"], "ts": pa.array([1_600_000_000_000] * 2)}
    )
    items = pa.table({"sku": ["a", "b"], 'the "kind"': ["x", "x"], "price": [1.0, 2.0]})
    config = load_job_config(draft(tmp_path, interactions, items))
    report, _ = validate_job(config, None, Reporter(quiet=True))
    assert not report.refusals
    assert report.num_users == 2
    assert report.first_event.year == 2020
    assert set(report.features["items"]) == {'the "kind"', "price"}


def test_a_log_without_times_gets_a_split_that_needs_none(tmp_path: Path) -> None:
    """The draft of a log without times asks for a random split."""
    interactions = pa.table({"user": [1, 2], "item": [3, 4]})
    assert load_job_config(draft(tmp_path, interactions)).split.kind == "random"


def test_what_cannot_be_guessed_is_refused(tmp_path: Path) -> None:
    """Without a column that looks like ids no config is written."""
    with pytest.raises(DataError, match="item_id"):
        draft(tmp_path, pa.table({"user": [1], "thing": [2]}))
    assert not (tmp_path / "my shop.toml").exists()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    """A config that a person may have edited stays."""
    (tmp_path / "my shop.toml").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        draft(tmp_path, pa.table({"user": [1], "item": [2]}))
    assert (tmp_path / "my shop.toml").read_text() == "mine"
