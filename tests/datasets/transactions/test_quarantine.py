"""Quarantine: a slow twin agrees row by row, and every row is accounted for."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.config import TransactionColumnsConfig, TransactionsDataConfig
from recsys.datasets.transactions.loading import TransactionLog, load_transactions
from recsys.datasets.transactions.quarantine import quarantine
from recsys.datasets.transactions.quarantine_report import REASONS, QuarantineConfig
from recsys.schema import EVENT_TIME_TYPE

SHARED = Path(__file__).parents[4] / "shared" / "data"
AS_OF = datetime(2024, 5, 31, tzinfo=UTC)
NOW = int(AS_OF.timestamp() * 1e6)
SECOND, AGES = 10**6, 3 * 10**17
NAN, INFINITY = float("nan"), float("inf")

Row = tuple[int | None, str | None, int | None, float | None, str | None, float | None]
NAMES = ("transaction_id", "account_id", "event_time", "amount", "category", "distance")
SCHEMA = pa.schema(
    zip(
        NAMES,
        (pa.int64(), pa.string(), EVENT_TIME_TYPE, pa.float64(), pa.string(), pa.float32()),
        strict=True,
    )
)

rows = st.tuples(
    st.none() | st.integers(1, 5),
    st.none() | st.sampled_from(["a", "b", "b", "c"]),
    st.none() | st.sampled_from([NOW - SECOND, NOW, NOW + 301 * SECOND, AGES, -AGES]),
    st.none() | st.sampled_from([5.0, 5.0, -7.5, 0.0, -0.0, 1e9, -2e9, NAN, INFINITY]),
    st.none() | st.sampled_from(["food", "fuel"]),
    st.none() | st.sampled_from([1.5, 0.0, -0.0, NAN, -INFINITY]),
)
near_good = st.builds(
    lambda transaction, amount: (transaction, "a", NOW, amount, "food", None),
    st.integers(1, 3),
    st.sampled_from([5.0, 0.0, -0.0]),
)
logs = st.lists(rows | near_good, max_size=25)


def _log(rows: list[Row], chunk_rows: int = 4) -> TransactionLog:
    """A log in several chunks, as files come."""
    columns = zip(*rows, strict=True) if rows else [[]] * len(NAMES)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)]
    table = pa.table(arrays, schema=SCHEMA)
    return TransactionLog(
        table=pa.Table.from_batches(table.to_batches(max_chunksize=chunk_rows), SCHEMA),
        data=TransactionsDataConfig(transactions=Path("log.csv")),
        columns=TransactionColumnsConfig(account_id="card", amount="value"),
        features={
            "category": FeatureConfig(kind="categorical"),
            "distance": FeatureConfig(kind="numeric", column="km"),
        },
    )


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    """Rows with times in microseconds; NaN as text, so that it equals itself."""
    at = table.column_names.index("event_time")
    numbers = table.set_column(at, "event_time", table["event_time"].cast(pa.int64()))
    columns = [numbers[name].to_pylist() for name in numbers.column_names]
    return [tuple(_comparable(value) for value in row) for row in zip(*columns, strict=True)]


def _comparable(value: object) -> object:
    return str(value) if isinstance(value, float) else value


def _plain_row(row: Row) -> Row:
    """The row with one zero and without a distance that is not finite."""
    transaction, account, time, amount, category, distance = row
    amount = None if amount is None else amount + 0.0
    distance = distance + 0.0 if distance is not None and math.isfinite(distance) else None
    return transaction, account, time, amount, category, distance


def _reason_of(row: Row, as_of: datetime | None) -> str | None:
    """The first reason that a row gives by itself, spelt out."""
    transaction, account, time, amount, *_ = row
    if transaction is None or account is None:
        return "null_id"
    if time is None or amount is None:
        return "null_time" if time is None else "null_amount"
    if not math.isfinite(amount):
        return "not_finite_amount"
    if abs(amount) > 1e9:
        return "absurd_amount"
    if as_of is not None and time > NOW + 300 * SECOND:
        return "future_event"
    return "absurd_time" if abs(time) == AGES else None


def _sort_key(row: Row) -> tuple[object, ...]:
    """By id, time, then the other columns; nulls last."""
    transaction, account, time, *rest = row
    return tuple(
        (value is None, 0 if value is None else value)
        for value in (transaction, time, account, *rest)
    )


def _twin(
    rows: list[Row], as_of: datetime | None
) -> tuple[list[tuple[object, ...]], Counter[tuple[object, ...]]]:
    """Usable rows in order, and quarantined rows with their reasons, by plain loops."""
    right: list[tuple[Row, str | None]] = []
    wrong: list[tuple[Row, str | None]] = []
    for row in map(_plain_row, rows):
        reason = _reason_of(row, as_of)
        (wrong if reason else right).append((row, reason))
    used: list[Row] = []
    right.sort(key=lambda pair: _sort_key(pair[0]))
    for _, sharing in groupby(right, key=lambda pair: pair[0][0]):
        (first, _), *others = sharing
        used.append(first)
        seen = {first}
        for row, _ in others:
            wrong.append((row, "duplicate" if row in seen else "conflicting_duplicate"))
            seen.add(row)
    used.sort(key=lambda row: (row[2], row[0]))
    return list(map(_as_text, used)), Counter((*_as_text(row), reason) for row, reason in wrong)


def _as_text(row: Row) -> tuple[object, ...]:
    return tuple(_comparable(value) for value in row)


@given(logs, st.sampled_from([AS_OF, None]))
def test_every_row_fares_as_in_the_slow_twin(rows: list[Row], as_of: datetime | None) -> None:
    """Usable rows, their order, and each quarantined row with its reason equal plain loops."""
    checked = quarantine(_log(rows), as_of=as_of)

    used, wrong = _twin(rows, as_of)
    assert _rows(checked.table) == used
    assert Counter(_rows(checked.quarantined)) == wrong


@given(logs)
def test_counts_reconcile(rows: list[Row]) -> None:
    """Rows in are rows used and the sum of the reasons, and the report counts what is in them."""
    checked = quarantine(_log(rows), as_of=AS_OF)
    report = checked.report

    assert report.num_rows == len(rows)
    assert report.num_rows == report.num_used + sum(report.num_quarantined.values())
    assert report.num_used == checked.table.num_rows
    assert tuple(report.num_quarantined) == REASONS
    reasons = Counter(checked.quarantined["reason"].to_pylist())
    assert reasons == Counter(dict(report.num_quarantined))
    used = checked.table
    times = used["event_time"].to_pylist()
    assert report.num_accounts == len(set(used["account_id"].to_pylist()))
    assert (report.first_event, report.last_event) == (
        (times[0], times[-1]) if times else (None, None)
    )
    assert report.nulls == {name: used[name].to_pylist().count(None) for name in used.column_names}
    distances = [row[5] for row in rows if row[5] is not None]
    assert report.num_not_finite == {"distance": sum(not math.isfinite(one) for one in distances)}


@given(st.data())
def test_the_order_of_the_rows_changes_nothing(data: st.DataObject) -> None:
    """Shuffled rows in other chunks give the same tables, row for row, and the same report."""
    rows = data.draw(logs)
    shuffled = data.draw(st.permutations(rows))

    one = quarantine(_log(rows), as_of=AS_OF)
    other = quarantine(_log(shuffled, chunk_rows=7), as_of=AS_OF)

    assert _rows(one.table) == _rows(other.table)
    assert _rows(one.quarantined) == _rows(other.quarantined)
    assert one.report.to_dict() == other.report.to_dict()


@given(logs, st.integers(1, 3))
def test_rows_that_come_again_change_nothing(rows: list[Row], times: int) -> None:
    """A log repeated has the same usable rows; each usable row more is a duplicate."""
    once, again = quarantine(_log(rows)), quarantine(_log(rows * (times + 1)))

    assert _rows(again.table) == _rows(once.table)
    more = again.report.num_quarantined["duplicate"] - once.report.num_quarantined["duplicate"]
    conflicts = once.report.num_quarantined["conflicting_duplicate"]
    repeats = once.report.num_quarantined["duplicate"]
    assert more == times * (once.report.num_used + conflicts + repeats)


@given(logs)
def test_what_is_used_is_clean_and_stays_so(rows: list[Row]) -> None:
    """Usable rows have unique ids, times and finite amounts; a second quarantine keeps them all."""
    log = _log(rows)
    used = quarantine(log, as_of=AS_OF).table

    ids = used["transaction_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert all(abs(amount) <= 1e9 for amount in used["amount"].to_pylist())
    kept = TransactionLog(table=used, data=log.data, columns=log.columns, features=log.features)
    assert quarantine(kept, as_of=AS_OF).table.equals(used)


def test_limits_themselves_are_passed() -> None:
    """An amount and a time at their limits are used; a step beyond they are not."""
    limits = QuarantineConfig(max_abs_amount=100, max_future_s=10, max_quarantined_share=1)
    at_limit = [(1, "a", NOW + 10 * SECOND, 100.0, None, None), (2, "a", NOW, -100.0, None, None)]
    beyond = [(3, "a", NOW + 10 * SECOND + 1, 1.0, None, None), (4, "a", NOW, -100.5, None, None)]

    checked = quarantine(_log([*at_limit, *beyond]), as_of=AS_OF, limits=limits)

    assert checked.table["transaction_id"].to_pylist() == [2, 1]
    assert dict(
        zip(
            checked.quarantined["transaction_id"].to_pylist(),
            checked.quarantined["reason"].to_pylist(),
            strict=True,
        )
    ) == {3: "future_event", 4: "absurd_amount"}


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("file", "counterparty", "num_rows", "num_accounts", "num_counterparties"),
    [
        ("handbook/transactions.parquet", "terminal_id", 1_754_155, 4_990, 10_000),
        ("sample/sparkov_transactions.parquet", "merchant_id", 51_748, 56, 693),
    ],
)
def test_published_logs_are_used_whole(
    file: str, counterparty: str, num_rows: int, num_accounts: int, num_counterparties: int
) -> None:
    """Not one row of a published log is quarantined."""
    log = load_transactions(
        TransactionsDataConfig(transactions=SHARED / file),
        TransactionColumnsConfig(counterparty_id=counterparty),
    )

    report = quarantine(log, as_of=datetime(2021, 1, 1, tzinfo=UTC)).report

    report.raise_if_refused()
    assert report.num_rows == report.num_used == num_rows
    assert report.num_accounts == num_accounts
    assert report.num_counterparties == num_counterparties
    assert report.last_event is not None
    assert report.last_event - (report.first_event or AS_OF) > timedelta(days=180)
