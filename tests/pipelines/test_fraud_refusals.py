"""Refusals of the fraud commands: exit code, one line that teaches, and what was live stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import (
    LAST,
    NIGHT,
    START,
    first_month,
    run_bank,
    score,
    stock,
)
from shop import contents, run_command

from recsys.publishing import current_run


@pytest.fixture(scope="module")
def stocked_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with a model and a night; the last day of its log is not scored yet."""
    return stock(tmp_path_factory.mktemp("stocked")).parent


@pytest.fixture
def bank(stocked_bank: Path, tmp_path: Path) -> Path:
    """A stocked bank to break."""
    return shutil.copytree(stocked_bank, tmp_path / "bank")


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    """The table with other values in a column."""
    return table.set_column(table.column_names.index(name), name, values)


def mostly(table: pa.Table, value: float) -> pa.Table:
    """The table with a value for every tenth amount."""
    amounts = np.asarray(table["amount"]).copy()
    amounts[::10] = value
    return with_column(table, "amount", pa.array(amounts))


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something wrong with the tables or the config, and what the command says of it."""

    says: str
    """Pattern of the message, after the name of the file."""
    change: Callable[[pa.Table], pa.Table] = lambda table: table
    """What is done to the transactions."""
    labels: Callable[[pa.Table], pa.Table] = lambda table: table
    """What is done to the labels."""
    file: str = "transactions.parquet"
    """The file that is named."""
    exit_code: int = 3
    replaced: tuple[str, str] = ("", "")
    """Text of the config, and what stands in its place."""
    day: date = LAST
    """The day to score."""
    validates: bool = True
    """Whether the validating command finds it as well."""


CASES = {
    "times without a zone": Case(
        change=lambda table: with_column(
            table, "event_time", table["event_time"].cast(pa.timestamp("us"))
        ),
        says="column 'event_time': expected times with a time zone, got times without one; "
        r'set \[columns\] event_time_zone = "UTC"',
    ),
    "a missing column": Case(
        change=lambda table: table.rename_columns(
            ["amounts" if name == "amount" else name for name in table.column_names]
        ),
        says="column 'amount': expected one column of that name, got none among .*; "
        "did you mean 'amounts'",
    ),
    "amounts that are text": Case(
        change=lambda table: with_column(table, "amount", table["amount"].cast(pa.string())),
        says="column 'amount': expected amounts: integers, floats or decimals, got string; write",
    ),
    "too many amounts that are NaN": Case(
        change=lambda table: mostly(table, float("nan")),
        says="column 'amount': expected at most 5.00% of rows quarantined, got 10.*most for "
        "not_finite_amount .*; correct the amounts, or raise",
    ),
    "too many amounts that are infinite": Case(
        change=lambda table: mostly(table, float("-inf")),
        says="column 'amount': expected at most 5.00% .*not_finite_amount",
    ),
    "too many absurd amounts": Case(
        change=lambda table: mostly(table, -2e9),
        says="column 'amount': expected at most 5.00% .*absurd_amount .*max_abs_amount",
    ),
    "an export that has rows twice": Case(
        change=lambda table: pa.concat_tables([table, table]),
        says="column 'transaction_id': expected at most 5.00% .*got 50.00%: .*for duplicate .*; "
        "check whether the export has rows twice",
    ),
    "an empty table": Case(
        change=lambda table: table.slice(0, 0),
        says="expected at least one transaction, got an empty table; check the export",
    ),
    "a day without transactions": Case(
        day=LAST + timedelta(days=1),
        validates=False,
        says="column 'event_time': freshness: expected events on the day of the run, or at most 0 "
        "days before it, got 1 days without any at the end of the log; wait for the export",
    ),
    "a day that was learnt from": Case(
        day=NIGHT - timedelta(days=1),
        validates=False,
        file="runs/fraud-models/runs/.*",
        says=f"expected a model that was trained on days before {NIGHT - timedelta(days=1)}, got "
        f"one that has seen .*; train with --as-of a day before",
    ),
    "labels with other ids": Case(
        labels=lambda table: with_column(table, "transaction_id", pa.array(range(len(table)))),
        file="labels.parquet",
        says="column 'transaction_id': expected string ids, as in .*transactions.parquet, "
        'got int64; 1 and "1" do not match',
    ),
    "labels that contradict each other": Case(
        labels=lambda table: pa.concat_tables(
            [table, with_column(table, "is_fraud", pa.array([True] * len(table)))]
        ),
        file="labels.parquet",
        says="column 'is_fraud': expected one answer a transaction, got 0 and 1 for",
    ),
    "an unknown key": Case(
        replaced=("alert_budget", "alert_buget"),
        file="bank.toml",
        exit_code=2,
        says="alerts.alert_buget: unknown key; did you mean 'alert_budget'",
    ),
    "a feature that transactions cannot have": Case(
        replaced=('channel = "categorical"', 'channel = "multi_hot"'),
        file="bank.toml",
        exit_code=2,
        says="features: .*'channel' to be categorical or numeric, .* got multi_hot; change",
    ),
    "the label as an input": Case(
        replaced=('age = "numeric"', 'is_fraud = "numeric"'),
        file="bank.toml",
        exit_code=2,
        says="features: .*another name for feature 'is_fraud', which is a standard column",
    ),
    "the label as an input under another name": Case(
        replaced=('age = "numeric"', 'truth = { kind = "numeric", column = "is_fraud" }'),
        file="features.truth",
        exit_code=2,
        says="expected any column but the label, got 'is_fraud'; labels are read from data.labels",
    ),
}


def spoil(bank: Path, case: Case) -> Path:
    """Change tables and config; the config's path."""
    for name, change in {"transactions": case.change, "labels": case.labels}.items():
        file = bank / f"{name}.parquet"
        pq.write_table(change(pq.read_table(file)), file)
    config = bank / "bank.toml"
    config.write_text(config.read_text().replace(*case.replaced))
    return config


def expected_line(bank: Path, case: Case) -> str:
    """Pattern of the one line."""
    place = (
        case.file if case.file.startswith("features.") else f"{re.escape(str(bank))}/{case.file}"
    )
    return rf"error: {place}: {case.says}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_night_refuses_in_one_line(case: Case, bank: Path) -> None:
    """One line says place, expected, got and remedy; the last night stays live and untouched."""
    config = spoil(bank, case)
    before, live = contents(bank), current_run(bank / "runs/fraud-scores")
    done = score(config, case.day, "--quiet")
    assert done.code == case.exit_code, done.messages
    assert done.status["outcome"] == ("HELD" if case.exit_code == 3 else "FAILED")
    assert re.match(expected_line(bank, case), done.error), done.error
    assert len(done.messages.splitlines()) == 1 + done.messages.count("warning: ")
    assert contents(bank) == before
    assert current_run(bank / "runs/fraud-scores") == live


@pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if case.validates],
    ids=[name for name, case in CASES.items() if case.validates],
)
def test_validation_refuses_what_a_night_would(case: Case, bank: Path) -> None:
    """`validate-transactions` ends with the same line and exit code, and changes nothing."""
    config = spoil(bank, case)
    before = contents(bank)
    done = run_bank("validate-transactions", config, "--quiet")
    assert done.code == case.exit_code, done.messages
    assert re.match(expected_line(bank, case), done.error), done.error
    assert contents(bank) == before


@pytest.mark.parametrize("name", ["times without a zone", "an unknown key"])
def test_the_command_refuses(name: str, bank: Path) -> None:
    """As its own process the command gives the same line and exit code."""
    case = CASES[name]
    config = spoil(bank, case)
    before = contents(bank)
    done = run_command("train-fraud", config, "--as-of", NIGHT, "--quiet")
    status = json.loads(done.stdout)
    assert (done.returncode, status["exit_code"]) == (case.exit_code, case.exit_code)
    assert status["outcome"] == ("HELD" if case.exit_code == 3 else "FAILED")
    (line,) = done.stderr.splitlines()
    assert re.match(expected_line(bank, case), line), line
    assert contents(bank) == before


def test_the_sound_bank_is_accepted(bank: Path) -> None:
    """What the cases differ from passes, so that each refusal is due to its own fault."""
    config = bank / "bank.toml"
    checked = run_bank("validate-transactions", config, "--quiet")
    assert (checked.code, checked.messages) == (0, "")
    done = score(config, LAST, "--quiet")
    assert (done.code, done.messages) == (0, "")


def test_validation_tells_what_is_set_aside(bank: Path) -> None:
    """Counts of rows, days and reasons are told, and stand in the JSON."""
    table = first_month()
    amounts = np.asarray(table["amount"]).copy()
    amounts[:4], amounts[4] = float("nan"), 3e9
    spoilt = pa.concat_tables([with_column(table, "amount", pa.array(amounts)), table.slice(50, 2)])
    pq.write_table(spoilt, bank / "transactions.parquet")

    done = run_bank("validate-transactions", bank / "bank.toml")

    assert done.code == 0
    found = {name: count for name, count in done.status["num_quarantined"].items() if count}
    assert found == {"not_finite_amount": 4, "absurd_amount": 1, "duplicate": 2}
    assert done.status["job"] == "validate-transactions"
    assert done.status["num_rows"] == done.status["num_used"] + 7 == table.num_rows + 2
    for line in (
        f"transactions: {table.num_rows + 2:,} rows, {table.num_rows - 5:,} usable, ",
        "set aside: 4 rows, not_finite_amount\n",
        "set aside: 2 rows, duplicate\n",
        f"time: {START} to {LAST}\n",
        "each counts from 7 days after",
    ):
        assert line in done.messages


def test_events_to_come_are_faults(bank: Path) -> None:
    """Times that the clock has not reached are set aside; too many of them are a refusal."""
    table = first_month()
    century = pa.scalar(timedelta(days=100 * 366), pa.duration("us"))
    later = with_column(table, "event_time", pc.add(table["event_time"], century))
    pq.write_table(later, bank / "transactions.parquet")
    done = run_bank("validate-transactions", bank / "bank.toml")
    assert done.code == 3
    assert done.status["num_used"] == 0
    assert done.status["num_quarantined"]["future_event"] == table.num_rows
    assert done.status["refusals"] == [done.error.removeprefix("error: ")]
    assert "check the zone and the unit of the times" in done.error
