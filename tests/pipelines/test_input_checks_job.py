"""Gates and late rows in the real jobs: what is held, what is told, what is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import (
    FIRST_MONTH,
    LAST,
    NIGHT,
    QUICK,
    START,
    Done,
    days_of,
    first_month,
    of_day,
    run_bank,
    score,
    stock,
    tables_of,
    transactions,
)
from shop import contents, shop_dataset, write_shop, write_table

from pipelines.fraud.late_rows import DAY_ROWS
from recsys.publishing import current_run, published_runs
from recsys.schema import EVENT_TIME, USER_ID

DAY = date(2024, 3, 30)
"""The last day of the shop's log."""
STATUS = {"job", "outcome", "exit_code", "file", "column", "rule", "observed", "limit", "message"}
NO_OUTPUT_CHECKS = ("--set", "output_checks.enabled=false")


@pytest.fixture(scope="module")
def stocked_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a bank with a month of transactions, a model and a scored night."""
    return stock(tmp_path_factory.mktemp("gated-bank"))


@pytest.fixture
def bank(stocked_bank: Path, tmp_path: Path) -> Path:
    """A bank of one's own."""
    return shutil.copytree(stocked_bank.parent, tmp_path / "bank") / stocked_bank.name


def lists(config: Path, day: date, *options: object) -> Done:
    """Write the lists of a day."""
    return run_bank("write-recommendations", config, "--as-of", day, *NO_OUTPUT_CHECKS, *options)


def held(done: Done) -> Mapping[str, object]:
    """The status line of a job that a gate has held."""
    assert done.code == 3, done.messages
    assert set(done.status) == STATUS
    assert done.status["outcome"] == "HELD"
    assert done.error == f"error: {done.status['message']}"
    return done.status


def _until(table: pa.Table, number: int) -> pa.Table:
    """Transactions of the days before one, counted from the first of the log."""
    return table.filter(pa.array(days_of(table) < number))


def test_a_broken_day_of_a_shop_is_held(shop_copy: Path) -> None:
    """Exit code 3, the rule and the column in the status line, and nothing published."""
    config = shop_copy / "shop.toml"
    log = pq.read_table(shop_copy / "interactions.parquet")
    is_new = pc.greater_equal(
        log[EVENT_TIME], pa.scalar(DAY, pa.date32()).cast(log[EVENT_TIME].type)
    )
    ids = pc.if_else(is_new, pc.add(log[USER_ID], 1000), log[USER_ID])
    write_table(shop_copy / "interactions.parquet", log.set_column(0, USER_ID, ids))
    before = contents(shop_copy)
    loose = ("--set", "validation.max_unknown_user_share=1")

    status = held(lists(config, DAY, *loose))
    assert (status["job"], status["rule"], status["column"]) == (
        "write-recommendations", "unseen", "user_id"
    )  # fmt: skip
    assert status["file"] == str(shop_copy / "interactions.parquet")
    late = held(lists(config, DAY + timedelta(days=2), *loose))
    assert (late["rule"], late["column"]) == ("freshness", "event_time")
    assert contents(shop_copy) == before

    done = lists(config, DAY, *loose, "--set", "input_checks.enabled=false")
    assert (done.code, done.status["outcome"]) == (0, "PUBLISHED")


def test_validate_says_what_would_be_held(tmp_path: Path) -> None:
    """A log that stops is sound, and the command says which jobs would be held."""
    config = write_shop(tmp_path, shop_dataset("int64"), "parquet")
    done = run_bank("validate", config, "--as-of", DAY + timedelta(days=9))
    assert done.code == 0
    assert "jobs with --as-of 2024-04-08 would be held" in done.messages
    assert "freshness: expected events on the day of the run" in done.messages


def test_lists_of_a_log_that_has_gone_on(shop_copy: Path) -> None:
    """A day's rerun gives the same digest with --force and is skipped without; rows add up."""
    config, file = shop_copy / "shop.toml", shop_copy / "interactions.parquet"
    log = pq.read_table(file)
    cut = DAY - timedelta(days=2)
    moment = pa.scalar(cut + timedelta(days=1), pa.date32()).cast(log[EVENT_TIME].type)
    write_table(file, log.filter(pc.less(log[EVENT_TIME], moment)))
    first = lists(config, cut)
    assert first.code == 0, first.messages

    write_table(file, log)
    skipped = lists(config, cut)
    assert (skipped.code, skipped.status["outcome"]) == (7, "SKIPPED")
    again = lists(config, cut, "--force")
    assert again.status["digest"] == first.status["digest"]
    counts = again.status["interactions"]
    assert counts["rows"] == log.num_rows == counts["used"] + sum(counts["left_out"].values())
    assert counts["left_out"]["later"] > 0


def test_a_backfill_of_lists_is_stored_and_not_live(shop_copy: Path) -> None:
    """A day before the live one is written, and readers keep the live one."""
    config, root = shop_copy / "shop.toml", shop_copy / "runs" / "recommendations"
    assert lists(config, DAY).code == 0
    live = current_run(root)
    done = lists(config, DAY - timedelta(days=3))
    assert (done.code, done.status["live"]) == (0, False)
    assert current_run(root) == live
    assert len(published_runs(root)) == 2


def test_a_broken_day_of_a_bank_is_held(bank: Path) -> None:
    """Duplicates, which the quarantine leaves out, hold the day; --set lets it through."""
    table = pq.read_table(bank.parent / "transactions.parquet")
    twice = of_day(table, LAST)
    write_table(bank.parent / "transactions.parquet", pa.concat_tables([table, twice[:40]]))
    before = contents(bank.parent)

    status = held(score(bank, LAST))
    assert (status["job"], status["rule"], status["column"]) == (
        "score-accounts", "duplicates", None
    )  # fmt: skip
    assert held(score(bank, LAST + timedelta(days=1)))["rule"] == "freshness"
    assert held(run_bank("train-fraud", bank, "--as-of", LAST, *QUICK))["rule"] == "duplicates"
    assert contents(bank.parent) == before

    done = score(bank, LAST, "--set", "input_checks.enabled=false")
    assert done.code == 0
    _adds_up(done)


def test_a_backfill_of_scores_is_stored_and_not_live(bank: Path) -> None:
    """After a later night an earlier one is stored; the live one stays."""
    assert score(bank, LAST).code == 0
    root = bank.parent / "runs" / "fraud-scores"
    live = current_run(root)
    done = score(bank, NIGHT, "--force")
    assert (done.code, done.status["live"]) == (0, False)
    assert current_run(root) == live


def test_scores_of_a_log_that_has_gone_on(bank: Path) -> None:
    """A night's rerun gives the same digest with --force and is skipped without."""
    file = bank.parent / "transactions.parquet"
    first = score(bank, NIGHT, "--force")
    write_table(file, _until(transactions(), FIRST_MONTH + 3))
    assert score(bank, NIGHT).code == 7
    again = score(bank, NIGHT, "--force")
    assert again.status["digest"] == first.status["digest"]
    assert again.status["later"] > first.status["later"]
    _adds_up(again)


def _adds_up(done: Done) -> None:
    """Rows in are rows used, earlier, late, later and set aside."""
    status = done.status
    parts = ("used", "earlier", "late", "later")
    assert status["rows"] == sum(status[one] for one in parts) + sum(status["quarantined"].values())


def _without_some(table: pa.Table, day: date, share: int = 4) -> pa.Table:
    """A log in which every fourth row of a day has not come yet."""
    is_day = days_of(table) == (day - START).days
    missing = [row for place, row in enumerate(is_day.nonzero()[0]) if place % share == 0]
    is_missing = pc.is_in(pa.array(range(table.num_rows)), pa.array(missing))
    return table.filter(pc.invert(is_missing))


@pytest.fixture(scope="module")
def on_time(stocked_bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The last night of a bank all of whose rows came on time."""
    folder = tmp_path_factory.mktemp("on-time") / "bank"
    config = shutil.copytree(stocked_bank.parent, folder) / stocked_bank.name
    return score(config, LAST)


def test_late_rows_of_recent_days_are_learnt(bank: Path, on_time: Done) -> None:
    """The night after gives the bytes of a bank whose rows all came on time, and says so."""
    file = bank.parent / "transactions.parquet"
    write_table(file, _without_some(first_month(), NIGHT))
    assert score(bank, NIGHT, "--force").code == 0
    write_table(file, first_month())

    done = score(bank, LAST)

    assert done.code == 0, done.messages
    assert tables_of(done.status) == tables_of(on_time.status)
    num_late = first_month().num_rows - _without_some(first_month(), NIGHT).num_rows
    assert (done.status["late"], done.status["relearnt"]) == (0, num_late)
    assert (
        f"warning: late: {num_late} transactions of days that were scored already" in done.messages
    )
    _adds_up(done)
    figures = json.loads(
        Path(str(done.status["alerts_page"])).with_name("metrics.json").read_text()
    )
    assert len(figures[DAY_ROWS]) == 14
    assert figures[DAY_ROWS][str(NIGHT)] == of_day(first_month(), NIGHT).num_rows


@pytest.mark.parametrize("lookback", [0, 3])
def test_rows_that_come_too_late_are_held_or_told(bank: Path, lookback: int) -> None:
    """Rows of a day outside the lookback, or before the model's own state, are never learnt."""
    file = bank.parent / "transactions.parquet"
    day = NIGHT if lookback == 0 else NIGHT - timedelta(days=3)
    write_table(file, _without_some(first_month(), day))
    learnt = ("--set", f"input_checks.lookback_days={lookback}")
    assert score(bank, NIGHT, "--force", *learnt).code == 0
    write_table(file, first_month())
    before = contents(bank.parent)

    status = held(score(bank, LAST, *learnt))
    assert (status["rule"], status["column"]) == ("late", "event_time")
    assert contents(bank.parent) == before

    done = score(bank, LAST, *learnt, "--set", "input_checks.max_late_share=1")
    num_late = first_month().num_rows - _without_some(first_month(), day).num_rows
    assert (done.code, done.status["late"], done.status["relearnt"]) == (0, num_late, 0)
    assert f"warning: late: {num_late} transactions came too late to be learnt" in done.messages
    _adds_up(done)


def test_late_rows_are_told_once(bank: Path) -> None:
    """The night after that counts them as earlier ones."""
    file = bank.parent / "transactions.parquet"
    table = _until(transactions(), FIRST_MONTH + 1)
    write_table(file, _without_some(table, NIGHT - timedelta(days=6)))
    assert score(bank, NIGHT, "--force").code == 0
    write_table(file, table)
    all_late = ("--set", "input_checks.max_late_share=1")
    assert score(bank, LAST, *all_late).status["late"] > 0

    done = score(bank, LAST + timedelta(days=1), *NO_OUTPUT_CHECKS)
    assert (done.code, done.status.get("late")) == (0, 0), done.messages
    _adds_up(done)
