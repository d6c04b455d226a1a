"""Tables of scores: what they hold, and that a table which breaks its promise never goes live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.transactions.days import day_number, end_of_day, start_of
from recsys.errors import CheckError, PublishError
from recsys.fraud.alerts.outputs import (
    ACCOUNTS_FILE,
    TRANSACTIONS_FILE,
    audit_scores,
    write_table,
)
from recsys.schema import account_scores_schema, transaction_scores_schema

DAY = date(2024, 5, 31)
Column = list[object]


def transactions(**columns: Column) -> pa.Table:
    """Four scored transactions of three accounts, with columns replaced."""
    moment = datetime(2024, 5, 31, 8, tzinfo=UTC)
    sound: dict[str, Column] = {
        "transaction_id": [1, 2, 3, 4],
        "account_id": ["a", "b", "a", "c"],
        "event_time": [moment + timedelta(hours=turn) for turn in range(4)],
        "anomaly_score": [0.5, 0.0, 1.0, 0.25],
        "surprise_hour": [0.0, 1.5, 3.0, 0.5],
    }
    schema = transaction_scores_schema(pa.int64(), pa.string(), ("hour",))
    return pa.table({**sound, **columns}, schema=schema)


def accounts(**columns: Column) -> pa.Table:
    """Their accounts, with columns replaced."""
    sound: dict[str, Column] = {
        "account_id": ["a", "c", "b"],
        "day": [DAY] * 3,
        "account_score": [0.9, 0.5, 0.5],
        "rank": [1, 2, 3],
        "alert": [True, False, False],
        "reasons": ["hour", "", ""],
        "cold": [False, False, True],
        "num_transactions": [2, 1, 1],
        "p_value": [0.1, 0.5, 0.5],
        "bundle_id": ["f"] * 3,
        "flagged_before": [0] * 3,
    }
    return pa.table({**sound, **columns}, schema=account_scores_schema(pa.string()))


def write_both(folder: Path, transactions_table: pa.Table, accounts_table: pa.Table) -> None:
    """Write both tables as a night does."""
    write_table(folder / TRANSACTIONS_FILE, transactions_table)
    write_table(folder / ACCOUNTS_FILE, accounts_table)


def test_sound_tables_pass(tmp_path: Path) -> None:
    """What the cases below differ from is accepted."""
    write_both(tmp_path, transactions(), accounts())
    audit_scores(tmp_path, day=DAY, num_transactions=4)


NEXT_DAY = datetime(2024, 6, 1, tzinfo=UTC)
SOUND_TIMES = transactions()["event_time"].to_pylist()
BROKEN = {
    "a transaction twice": (transactions(transaction_id=[1, 2, 3, 3]), accounts(), "each once"),
    "a transaction that is missing": (
        transactions().slice(0, 3), accounts(), "4 transactions, each once"
    ),
    "an event of the next day": (
        transactions(event_time=[*SOUND_TIMES[:3], NEXT_DAY]), accounts(), "events of 2024-05-31"
    ),
    "another day": (transactions(), accounts(day=[DAY, DAY, NEXT_DAY.date()]), "accounts of 2024"),
    "an account twice": (transactions(), accounts(account_id=["a", "a", "b"]), "every account"),
    "an account that is missing": (transactions(), accounts().slice(0, 2), "the accounts of the t"),
    "an account without transactions": (
        transactions(), accounts(account_id=["a", "d", "b"]), "the accounts of the transactions"
    ),
    "ranks from 0": (transactions(), accounts(rank=[0, 1, 2]), "ranks from 1 without a gap"),
    "a gap": (transactions(), accounts(rank=[1, 2, 4]), "ranks from 1 without a gap"),
    "scores that rise": (
        transactions(), accounts(account_score=[0.5, 0.9, 0.1]), "scores that fall with the rank"
    ),
    "an account score above 1": (
        transactions(), accounts(account_score=[1.5, 0.5, 0.5]), "account scores from 0 to 1"
    ),
    "a score below 0": (
        transactions(anomaly_score=[0.5, -0.1, 1.0, 0.25]), accounts(), "anomaly scores from 0 to 1"
    ),
    "a score that is NaN": (
        transactions(anomaly_score=[0.5, np.nan, 1.0, 0.25]), accounts(), "anomaly scores from 0"
    ),
    "an alert without a reason": (
        transactions(), accounts(reasons=["", "", ""]), "a reason for every alert"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("scored", "by_account", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_a_promise_is_refused(
    tmp_path: Path, scored: pa.Table, by_account: pa.Table, says: str
) -> None:
    """Each promise that a table breaks is named, and the outputs are not used."""
    write_both(tmp_path, scored, by_account)
    with pytest.raises(PublishError, match=f"expected .*{says}.*the outputs are not used"):
        audit_scores(tmp_path, day=DAY, num_transactions=4)


def test_a_table_with_nothing_in_it_is_held(tmp_path: Path) -> None:
    """A day without alerts is a quiet one; a day without accounts is no output."""
    quiet = accounts().set_column(
        accounts().column_names.index("alert"), "alert", pa.array([False] * 3)
    )
    write_both(tmp_path, transactions(), quiet)
    audit_scores(tmp_path, day=DAY, num_transactions=4)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_both(empty, transactions()[:0], accounts()[:0])
    with pytest.raises(CheckError, match="empty output: expected a row or more, got no row"):
        audit_scores(empty, day=DAY, num_transactions=0)


def cut_short(file: Path) -> None:
    """Lose the end of a file."""
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [cut_short, Path.unlink])
@pytest.mark.parametrize("name", [TRANSACTIONS_FILE, ACCOUNTS_FILE])
def test_files_that_cannot_be_read_back_are_refused(
    name: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """A table that the disk lost is named with the cure."""
    write_both(tmp_path, transactions(), accounts())
    damage(tmp_path / name)
    with pytest.raises(PublishError, match=f"{name}: expected the file as it was .*run the job"):
        audit_scores(tmp_path, day=DAY, num_transactions=4)


def test_a_table_is_never_overwritten(tmp_path: Path) -> None:
    """A file that is there stays as it is, and only its owner may read it."""
    write_table(tmp_path / "scores.parquet", accounts())
    before = (tmp_path / "scores.parquet").read_bytes()
    with pytest.raises(PublishError, match=r"scores.parquet: cannot write: "):
        write_table(tmp_path / "scores.parquet", transactions())
    assert (tmp_path / "scores.parquet").read_bytes() == before
    assert (tmp_path / "scores.parquet").stat().st_mode & 0o077 == 0
    assert pq.read_table(tmp_path / "scores.parquet").equals(accounts())


@given(day=st.dates(min_value=date(1950, 1, 1), max_value=date(2200, 1, 1)))
def test_days_are_from_midnight_to_midnight(day: date) -> None:
    """The number of a day counts from 1970; a day starts in UTC and ends where the next starts."""
    assert start_of(day).timestamp() == day_number(day) * 86_400
    assert end_of_day(day) == start_of(day + timedelta(days=1))
