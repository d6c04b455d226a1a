"""Confirmed labels: read separately from the transactions, and used only after their delay."""

# Shape suffixes: N transactions.

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Int8Array
from recsys.datasets.columns.ids import id_column, plain_column
from recsys.datasets.columns.text import first_row
from recsys.datasets.columns.times import time_column
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_filters import parsed_filters
from recsys.datasets.reading.tables import Note, TableReader, is_csv, read_input
from recsys.datasets.transactions.config import TransactionColumnsConfig, TransactionsDataConfig
from recsys.datasets.transactions.loading import TransactionLog
from recsys.errors import ConfigError
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, IS_FRAUD, TRANSACTION_ID
from recsys.time_units import US_PER_DAY

UNKNOWN = -1
"""Value of `known_labels` where no label is known yet; 0 is legitimate, 1 is fraud."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = 2**63 - 1
_TIME = "label_time"
_ANSWERS = {
    "0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True
}  # fmt: skip


def load_labels(
    data: TransactionsDataConfig,
    columns: TransactionColumnsConfig,
    log: TransactionLog,
    *,
    at: datetime | None = None,
    note: Note | None = None,
    read: TableReader | None = None,
) -> pa.Table:
    """Read labels: transaction_id, of the type it has in the log, and is_fraud, by ascending id.

    Rows without an id or an answer are left out; equal rows count once. Where a column gives their
    times, the latest answer of a transaction holds.

    Args:
        data: Where the labels are.
        columns: The user's names of the columns.
        log: The transactions that the labels are for.
        at: A moment with a time zone: answers that were given from then on are left out. None for
            all of them.
        note: Told of the table that is read.
        read: What reads the table in place of files, such as frames in memory.

    Raises:
        ConfigError: `data.labels` is not set.
        DataError: A file that cannot be read, a missing column, ids of another type than in the
            log, answers other than booleans and 0 or 1, or two answers for one transaction.
    """
    path = data.labels
    if path is None:
        raise ConfigError(
            "data.labels: expected the path of a table of labels, got none; set it, or run "
            "without labels"
        )
    given = (columns.transaction_id, columns.is_fraud, columns.label_time)
    names = tuple(name for name in given if name)
    found = read_input(
        path,
        columns=names,
        delimiter=data.csv.delimiter,
        where=parsed_filters(data.where).get("labels"),
        read=read,
    )
    if note is not None:
        note("labels", found)
    raw = found.table
    origins = [
        Origin(file=str(path), column=name, is_text=is_csv(path), setting=f"[columns] {setting}")
        for name, setting in zip(names, (TRANSACTION_ID, IS_FRAUD, _TIME), strict=False)
    ]
    if not raw.num_rows:  # a quiet day, whatever the types of its columns
        return _no_labels(log)
    ids = id_column(raw[names[0]], origins[0], text_type=data.csv.transaction_id_type)
    _check_ids_match(ids, origins[0], log)
    answers = _answer_column(raw[names[1]], origins[1])
    table = pa.table({TRANSACTION_ID: ids, IS_FRAUD: answers})
    if columns.label_time:
        zone, unit = columns.event_time_zone, columns.event_time_unit
        times = time_column(raw[names[2]], origins[2], zone=zone, unit=unit)
        table = _until(table.append_column(_TIME, times), at)
    return _one_answer_each(table, origins[1])


def with_others_legitimate(labels: pa.Table, log: TransactionLog) -> pa.Table:
    """Labels of every transaction, where only frauds are known: all others are legitimate.

    Args:
        labels: As `load_labels` returns them.
        log: The transactions.
    """
    ids = pc.unique(log.table[TRANSACTION_ID].drop_null())
    others = ids.filter(pc.invert(pc.is_in(ids, labels[TRANSACTION_ID].combine_chunks())))
    answers = pa.repeat(pa.scalar(value=False), len(others))
    added = pa.table([others, answers], schema=labels.schema)
    return pa.concat_tables([labels, added]).sort_by(TRANSACTION_ID)


def known_labels(table: pa.Table, labels: pa.Table, *, delay_days: int, at: datetime) -> Int8Array:
    """What is known about each transaction at a moment: 1 fraud, 0 legitimate, -1 nothing yet.

    A label becomes known `delay_days` after the event of its transaction, to the microsecond.
    Transactions without a label stay unknown.

    Args:
        table: Transactions, with transaction_id and event_time.
        labels: Labels as `load_labels` returns them.
        delay_days: Days from the event until its label is known.
        at: The moment, with a time zone.

    Returns:
        Array of shape (N,).

    Raises:
        ConfigError: A negative delay, by which labels would be known before the event.
    """
    if delay_days < 0:
        raise ConfigError(f"expected a delay of labels of 0 days or more, got {delay_days}")
    latest_event = (at - _EPOCH) // timedelta(microseconds=1) - delay_days * US_PER_DAY
    times = table[EVENT_TIME].cast(pa.int64())
    is_due_N = pc.fill_null(times, _NEVER).to_numpy() <= latest_event
    places = pc.index_in(table[TRANSACTION_ID].filter(pa.array(is_due_N)), labels[TRANSACTION_ID])
    answers = labels[IS_FRAUD].cast(pa.int8()).take(places)
    known_N = np.full(table.num_rows, UNKNOWN, np.int8)
    known_N[is_due_N] = pc.fill_null(answers, UNKNOWN).to_numpy()
    return known_N


def _no_labels(log: TransactionLog) -> pa.Table:
    id_type = log.table.schema.field(TRANSACTION_ID).type
    return pa.table({TRANSACTION_ID: pa.array([], id_type), IS_FRAUD: pa.array([], pa.bool_())})


def _check_ids_match(ids: pa.ChunkedArray, origin: Origin, log: TransactionLog) -> None:
    expected = log.table.schema.field(TRANSACTION_ID).type
    if ids.type != expected:
        raise origin.refusal(
            expected=f"{expected} ids, as in {log.origin().file}",
            got=str(ids.type),
            remedy='1 and "1" do not match: write both columns with the same type',
        )


def _answer_column(column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    """Answers as booleans: from booleans, the numbers 0 and 1, or text that says so."""
    values = plain_column(column)
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.bool_())
    if pa.types.is_string(values.type):
        written, meant = pc.utf8_lower(values), pa.array(list(_ANSWERS))
        places = pc.index_in(written, meant, skip_nulls=True)
        answers = pa.chunked_array([pa.array(list(_ANSWERS.values()))]).take(places)
    elif _is_number(values.type):
        # pandas keeps integers beside missing values as floats, and a missing one as NaN.
        numbers = values.cast(pa.float64(), safe=False)
        values = pc.if_else(pc.is_nan(numbers), None, numbers)
        is_answer = pc.is_in(values, pa.array([0.0, 1.0]))
        answers = pc.if_else(is_answer, pc.equal(values, 1.0), None)
    else:
        raise origin.refusal(
            expected="labels: booleans, or the numbers 0 and 1",
            got=str(values.type),
            remedy="write the column as one of these, null where nothing is known yet",
        )
    _check_all_understood(values, answers, origin)
    return answers


def _is_number(found: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(found) for test in tests)


def _check_all_understood(
    values: pa.ChunkedArray, answers: pa.ChunkedArray, origin: Origin
) -> None:
    is_strange = pc.and_(pc.is_valid(values), pc.is_null(answers))
    strange = values.filter(is_strange)
    if len(strange):
        raise origin.refusal(
            expected="labels of 0 (legitimate) or 1 (fraud), or true and false",
            got=f"{len(strange)} others, {first_row(is_strange)}",
            remedy="write 0, 1, or nothing where the answer is not known yet",
        )


def _until(table: pa.Table, at: datetime | None) -> pa.Table:
    """Answers that were given before a moment; one without a time was there before all others."""
    times = pc.fill_null(table[_TIME], pa.scalar(-_NEVER, pa.int64()).cast(EVENT_TIME_TYPE))
    table = table.set_column(table.column_names.index(_TIME), _TIME, times)
    if at is None:
        return table
    return table.filter(pc.less(times, pa.scalar(at, EVENT_TIME_TYPE)))


def _one_answer_each(table: pa.Table, origin: Origin) -> pa.Table:
    """One row an id, ascending, the answer that was given last; rows with nulls are left out."""
    keys = [TRANSACTION_ID, *([_TIME] if _TIME in table.column_names else [])]
    labels = table.drop_null().sort_by([(key, "ascending") for key in keys])
    ids, answers = labels[TRANSACTION_ID], labels[IS_FRAUD]
    differs = pc.invert(_repeats(labels, [IS_FRAUD]))
    contradicted = ids.slice(1).filter(pc.and_(_repeats(labels, keys), differs))
    if len(contradicted):
        raise origin.refusal(
            expected="one answer a transaction",
            got=f"0 and 1 for {len(pc.unique(contradicted))} transactions, "
            f"{first_row(pc.is_in(table[TRANSACTION_ID], pc.unique(contradicted)))}",
            remedy="keep the answer that holds, or name their times in [columns] label_time",
        )
    is_followed = np.asarray(_repeats(labels, [TRANSACTION_ID]), dtype=np.bool_)
    is_last = np.append(~is_followed, np.ones(min(len(ids), 1), dtype=np.bool_))
    return pa.table([ids, answers], names=[TRANSACTION_ID, IS_FRAUD]).filter(pa.array(is_last))


def _repeats(labels: pa.Table, keys: list[str]) -> pa.ChunkedArray:
    """Whether each row but the first is equal in some columns to the one before it."""
    rest = max(labels.num_rows - 1, 0)
    same = [pc.equal(labels[key].slice(1), labels[key].slice(0, rest)) for key in keys]
    return functools.reduce(pc.and_, same)
