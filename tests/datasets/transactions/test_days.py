"""Rows by time: days in UTC, moments exclusive, and no empty day unnoticed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.transactions.config import TransactionColumnsConfig, TransactionsDataConfig
from recsys.datasets.transactions.days import require_day, rows_before, rows_of_day
from recsys.datasets.transactions.loading import TransactionLog
from recsys.errors import DataError
from recsys.schema import EVENT_TIME_TYPE

DAY = date(2024, 5, 31)
MIDNIGHT = datetime(2024, 5, 31, tzinfo=UTC)
offsets = st.integers(-3 * 86_400_000_000, 3 * 86_400_000_000) | st.sampled_from(
    [0, -1, 86_400_000_000, 86_400_000_000 - 1]
)


def _table(times: list[datetime]) -> pa.Table:
    return pa.table({"event_time": pa.array(times, EVENT_TIME_TYPE)})


def _log(table: pa.Table) -> TransactionLog:
    return TransactionLog(
        table=table,
        data=TransactionsDataConfig(transactions=Path("log.csv")),
        columns=TransactionColumnsConfig(event_time="at"),
        features={},
    )


@given(st.lists(offsets.map(lambda offset: MIDNIGHT + timedelta(microseconds=offset))))
def test_a_day_and_what_came_before_it(times: list[datetime]) -> None:
    """Rows of a day have its date in UTC; rows before a moment are earlier, itself excluded."""
    table = _table(times)

    day = rows_of_day(table, DAY)["event_time"].to_pylist()
    before = rows_before(table, MIDNIGHT)["event_time"].to_pylist()

    assert day == [time for time in times if time.date() == DAY]
    assert before == [time for time in times if time < MIDNIGHT]


def test_a_day_with_transactions_is_returned() -> None:
    """What is required is handed over."""
    table = _table([MIDNIGHT - timedelta(days=1), MIDNIGHT])

    assert require_day(_log(table), table, DAY)["event_time"].to_pylist() == [MIDNIGHT]


@pytest.mark.parametrize(
    ("times", "got"),
    [
        ([MIDNIGHT - timedelta(hours=30)], "none, the last are of 2024-05-29"),
        ([], "none, there are none at all"),
    ],
)
def test_a_day_without_transactions_is_refused(times: list[datetime], got: str) -> None:
    """The refusal names the day, the user's column and the last day that there is."""
    table = _table(times)

    with pytest.raises(DataError) as caught:
        require_day(_log(table), table, DAY)

    assert (caught.value.file, caught.value.column) == ("log.csv", "at")
    assert (caught.value.expected, caught.value.got) == ("transactions on 2024-05-31 (UTC)", got)
    assert caught.value.remedy.startswith("wait for the export of that day")
