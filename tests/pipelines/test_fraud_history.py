"""Alerts that outlive their runs, and one account explained."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from bank import LAST, NIGHT, run_bank, score, stock
from shop import contents


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with a model and a night; the last day of its log is not scored yet."""
    return stock(tmp_path_factory.mktemp("stocked")).parent


@pytest.fixture
def bank(stocked: Path, tmp_path: Path) -> Path:
    """A bank to go on with."""
    return shutil.copytree(stocked, tmp_path / "bank")


def test_alerts_outlive_the_runs_they_come_from(bank: Path) -> None:
    """With one run kept, the alerts of both nights stand in the table, and the second knows."""
    done = score(bank / "bank.toml", LAST, "--set", "output.keep=1")
    assert done.code == 0, done.messages
    files = sorted((bank / "runs" / "fraud-alerts").glob("*.parquet"))
    assert [path.name[:10] for path in files] == [str(NIGHT), str(LAST)]
    first, second = (pq.read_table(path) for path in files)
    scores = pq.read_table(str(done.status["account_scores"])).to_pandas()
    assert second["account_id"].to_pylist() == scores.query("alert")["account_id"].tolist()
    before = set(first["account_id"].to_pylist())
    assert scores["flagged_before"].tolist() == [int(one in before) for one in scores["account_id"]]
    page = Path(str(done.status["alerts_page"])).read_text()
    again = before & set(second["account_id"].to_pylist())
    assert page.count(f"Flagged before, on {NIGHT}.") == len(again)


def test_a_night_that_was_killed_is_added_by_the_next(bank: Path) -> None:
    """A file that is missing is made again, the same to the byte."""
    (path,) = (bank / "runs" / "fraud-alerts").glob("*.parquet")
    before = path.read_bytes()
    path.unlink()
    assert score(bank / "bank.toml", LAST).code == 0
    assert path.read_bytes() == before


def test_an_account_is_explained_flagged_or_not(bank: Path) -> None:
    """What is said of an account is what the night published of it, and nothing is written."""
    before = contents(bank)
    scores = pq.read_table(
        str(next(bank.glob("runs/fraud-scores/runs/*/*/account_scores.parquet")))
    )
    flagged, other = scores.to_pylist()[0], scores.to_pylist()[-1]
    for row in (flagged, other):
        done = run_bank("explain-account", bank / "bank.toml", row["account_id"], "--as-of", NIGHT)
        assert done.code == 0, done.messages
        assert done.status["alert"] == row["alert"]
        assert done.status["rank"] == row["rank"]
        assert done.status["account_score"] == pytest.approx(row["account_score"])
        assert (done.status["account_score"] >= done.status["sufficient_score"]) == row["alert"]
        assert done.status["reasons"]
        if row["alert"]:
            assert done.status["reasons"] == row["reasons"]
        assert f"rank {row['rank']:,} of {scores.num_rows:,}" in done.messages
    assert contents(bank) == before


def test_an_account_without_a_transaction_is_refused(bank: Path) -> None:
    """An unknown id, or a day on which the account did nothing, is one line."""
    for day in (NIGHT, LAST + timedelta(days=1)):
        done = run_bank("explain-account", bank / "bank.toml", "nobody", "--as-of", day, "--quiet")
        assert done.code == 3
        assert done.messages.count("\n") == 1
