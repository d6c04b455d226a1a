"""Labels: read exactly, one a transaction, and never revealed before their delay."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionsCsvConfig,
    TransactionsDataConfig,
)
from recsys.datasets.transactions.labels import (
    known_labels,
    load_labels,
    with_others_legitimate,
)
from recsys.datasets.transactions.loading import TransactionLog, load_transactions
from recsys.errors import ConfigError, DataError
from recsys.schema import EVENT_TIME_TYPE

SHARED = Path(__file__).parents[4] / "shared" / "data"
DAY = datetime(2024, 5, 31, tzinfo=UTC)
COLUMNS = TransactionColumnsConfig(transaction_id="number", is_fraud="fraud")


def _log(ids: list[object]) -> TransactionLog:
    return TransactionLog(
        table=pa.table({"transaction_id": ids}),
        data=TransactionsDataConfig(transactions=Path("log.parquet")),
        columns=COLUMNS,
        features={},
    )


def _labels(folder: Path, ids: object, answers: object) -> pa.Table:
    """The labels of a Parquet file, read for a log with integer ids."""
    path = folder / "labels.parquet"
    pq.write_table(pa.table({"number": ids, "fraud": answers}), path)
    data = TransactionsDataConfig(transactions=Path("log.parquet"), labels=path)
    return load_labels(data, COLUMNS, _log([1]))


def _refusal(folder: Path, ids: object, answers: object) -> DataError:
    with pytest.raises(DataError) as caught:
        _labels(folder, ids, answers)
    assert "\n" not in str(caught.value)
    assert caught.value.file == str(folder / "labels.parquet")
    return caught.value


@pytest.mark.parametrize(
    "answers",
    [
        pa.array([True, None, False]),
        pa.array([1, None, 0], pa.int8()),
        pa.array([1, None, 0], pa.uint64()),
        pa.array([1, None, 0]).dictionary_encode(),
        pa.array([1.0, None, 0.0]),
        pa.array([1.0, math.nan, 0.0], pa.float32()),
        pa.array([Decimal(1), None, Decimal(0)]),
        pa.array(["1", None, "false"]),
    ],
    ids=lambda answers: str(answers.type),
)
def test_answers_are_booleans_or_zero_and_one(tmp_path: Path, answers: pa.Array) -> None:
    """Either way they become booleans by ascending id; what is not known yet is left out."""
    labels = _labels(tmp_path, [3, 2, 1], answers)

    assert labels.schema == pa.schema({"transaction_id": pa.int64(), "is_fraud": pa.bool_()})
    assert labels.to_pylist() == [
        {"transaction_id": 1, "is_fraud": False},
        {"transaction_id": 3, "is_fraud": True},
    ]


def test_csv_answers_are_read_beside_ids_with_leading_zeros(tmp_path: Path) -> None:
    """Text ids stay text; 0, 1, true and false in any case are answers, an empty field is none."""
    path = tmp_path / "labels.csv"
    path.write_text("number;fraud\n01;1\n02;0\n03;True\n04;false\n05;\n")
    csv = TransactionsCsvConfig(delimiter=";")
    data = TransactionsDataConfig(transactions=path, labels=path, csv=csv)

    labels = load_labels(data, COLUMNS, _log(["01"]))

    assert labels.to_pydict() == {
        "transaction_id": ["01", "02", "03", "04"],
        "is_fraud": [True, False, True, False],
    }


@pytest.mark.parametrize(
    ("answers", "got", "remedy"),
    [
        ([0, 2], "1 others, the first in row 2", "write 0, 1, or nothing"),
        ([-1, 1], "1 others, the first in row 1", "nothing where the answer is not known yet"),
        ([0.5, 1.0], "1 others, the first in row 1", "write 0, 1, or nothing"),
        (["yes", "no"], "2 others, the first in row 1", "write 0, 1, or nothing"),
        ([[0], [1]], "list<element: int64>", "null where nothing is known yet"),
    ],
)
def test_other_answers_are_refused(
    tmp_path: Path, answers: list[object], got: str, remedy: str
) -> None:
    """The refusal names the column, a row or the type, and what to write."""
    refusal = _refusal(tmp_path, [1, 2], answers)

    assert (refusal.column, refusal.got) == ("fraud", got)
    assert remedy in refusal.remedy


def test_csv_text_that_is_no_answer_is_refused(tmp_path: Path) -> None:
    """Yes is not guessed to be true."""
    path = tmp_path / "labels.csv"
    path.write_text("number,fraud\n1,yes\n2,0\n")
    data = TransactionsDataConfig(transactions=path, labels=path)

    with pytest.raises(DataError, match=r"'fraud': .* got 1 others, the first in row 1; write"):
        load_labels(data, COLUMNS, _log(["1"]))


def test_ids_of_another_type_do_not_match(tmp_path: Path) -> None:
    """1 and "1" are different ids: both types and both files are named."""
    refusal = _refusal(tmp_path, ["1"], [0])

    assert (refusal.column, refusal.got) == ("number", "string")
    assert refusal.expected == "int64 ids, as in log.parquet"


def test_equal_labels_count_once_and_contradictions_are_refused(tmp_path: Path) -> None:
    """An id may be repeated with the same answer or none, not with the other one."""
    labels = _labels(tmp_path, [2, 1, 2, 2, None], [1, 0, 1, None, 1])

    assert labels.to_pydict() == {"transaction_id": [1, 2], "is_fraud": [False, True]}
    refusal = _refusal(tmp_path, [2, 1, 2, 2], [0, 0, 1, 0])
    assert refusal.column == "fraud"
    assert refusal.remedy.startswith("keep the answer that holds")
    assert refusal.got == "0 and 1 for 1 transactions, the first in row 1"


@pytest.mark.parametrize("answers", [pa.array([], pa.bool_()), pa.array([], pa.null())])
def test_a_table_without_answers_holds_no_labels(tmp_path: Path, answers: pa.Array) -> None:
    """Before the first answer has come there are simply no labels."""
    assert _labels(tmp_path, pa.array([], pa.int64()), answers).num_rows == 0
    assert _labels(tmp_path, [1, 2], pa.nulls(2, answers.type)).num_rows == 0


def test_labels_without_a_path_are_a_fault_of_the_config() -> None:
    """Who asks for labels has to say where they are."""
    data = TransactionsDataConfig(transactions=Path("log.parquet"))

    with pytest.raises(ConfigError, match=r"data\.labels: expected the path"):
        load_labels(data, COLUMNS, _log([1]))


moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)
events = st.tuples(st.integers(1, 9), st.none() | moments)
answers = st.dictionaries(st.integers(1, 12), st.booleans(), max_size=9)


def _table(rows: list[tuple[int, datetime | None]]) -> pa.Table:
    return pa.table(
        {
            "transaction_id": pa.array([row[0] for row in rows], pa.int64()),
            "event_time": pa.array([row[1] for row in rows], EVENT_TIME_TYPE),
        }
    )


def _label_table(known: dict[int, bool]) -> pa.Table:
    return pa.table(
        {
            "transaction_id": pa.array(list(known), pa.int64()),
            "is_fraud": pa.array(list(known.values()), pa.bool_()),
        }
    )


@given(st.lists(events, max_size=12), answers, st.integers(0, 60), moments)
def test_no_label_is_revealed_before_its_delay(
    rows: list[tuple[int, datetime | None]],
    known: dict[int, bool],
    delay_days: int,
    at: datetime,
) -> None:
    """A label is told from the delay after its event on, not before; without one it never is."""
    found = known_labels(_table(rows), _label_table(known), delay_days=delay_days, at=at)

    delay = timedelta(days=delay_days)
    is_due = [time is not None and time + delay <= at for _, time in rows]
    assert found.dtype == np.int8
    assert found.tolist() == [
        int(known[key]) if due and key in known else -1
        for (key, _), due in zip(rows, is_due, strict=True)
    ]


@given(answers, st.integers(0, 400), st.integers(-2, 2))
def test_the_delay_counts_to_the_microsecond(
    known: dict[int, bool], delay_days: int, excess_us: int
) -> None:
    """At the moment itself the label is known, a microsecond earlier it is not."""
    at = DAY + timedelta(days=delay_days, microseconds=excess_us)
    table = _table([(key, DAY) for key in known])

    found = known_labels(table, _label_table(known), delay_days=delay_days, at=at)

    expected = [int(answer) if excess_us >= 0 else -1 for answer in known.values()]
    assert found.tolist() == expected


@given(st.lists(events, max_size=12), answers, answers, st.integers(0, 60), moments)
def test_labels_that_are_not_due_cannot_matter(
    rows: list[tuple[int, datetime | None]],
    known: dict[int, bool],
    other: dict[int, bool],
    delay_days: int,
    at: datetime,
) -> None:
    """Whatever the answers to later transactions are, what is known at a moment is the same."""
    delay = timedelta(days=delay_days)
    due = {key for key, time in rows if time is not None and time + delay <= at}
    changed = {key: answer for key, answer in known.items() if key in due}
    changed |= {key: answer for key, answer in other.items() if key not in due}

    one, two = (
        known_labels(_table(rows), _label_table(labels), delay_days=delay_days, at=at)
        for labels in (known, changed)
    )

    assert one.tolist() == two.tolist()


def test_a_negative_delay_is_refused() -> None:
    """A label cannot be known before its event."""
    with pytest.raises(ConfigError, match="0 days or more, got -1"):
        known_labels(_table([]), _label_table({}), delay_days=-1, at=DAY)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_labels_of_a_published_log_are_read_from_the_same_file() -> None:
    """Every fraud of the file is known in the end, and none is known at the start."""
    path = SHARED / "sample" / "sparkov_transactions.parquet"
    data = TransactionsDataConfig(transactions=path, labels=path)
    log = load_transactions(data)
    labels = load_labels(data, log.columns, log)

    start, end = (
        known_labels(log.table, labels, delay_days=7, at=datetime(year, 1, 1, tzinfo=UTC))
        for year in (2020, 2022)
    )

    assert (start == -1).all()
    assert end.tolist() == pq.read_table(path)["is_fraud"].to_pylist()
    assert int(end.sum()) == 251


def _timed(folder: Path, rows: list[tuple[int, int, datetime | None]], at: datetime | None) -> dict:
    """Answers by transaction, of rows with an answer and the time it was given."""
    ids, answers, times = zip(*rows, strict=True)
    table = {"number": ids, "fraud": answers, "told": pa.array(times, pa.timestamp("us", "UTC"))}
    pq.write_table(pa.table(table), folder / "labels.parquet")
    data = TransactionsDataConfig(
        transactions=Path("log.parquet"), labels=folder / "labels.parquet"
    )
    columns = TransactionColumnsConfig(transaction_id="number", is_fraud="fraud", label_time="told")
    labels = load_labels(data, columns, _log([1]), at=at)
    return dict(zip(*labels.to_pydict().values(), strict=True))


def test_the_latest_answer_holds_and_none_is_seen_before_its_time(tmp_path: Path) -> None:
    """A label with a time counts from then on, and a later one takes it back."""
    day = timedelta(days=1)
    rows = [(7, 1, DAY), (8, 1, DAY + day), (7, 0, DAY + 2 * day), (9, 1, None)]

    assert _timed(tmp_path, rows, DAY) == {9: True}
    assert _timed(tmp_path, rows, DAY + day) == {7: True, 9: True}
    assert _timed(tmp_path, rows, DAY + 2 * day) == {7: True, 8: True, 9: True}
    assert _timed(tmp_path, rows, None) == {7: False, 8: True, 9: True}
    with pytest.raises(DataError, match="one answer a transaction"):
        _timed(tmp_path, [(7, 1, DAY), (7, 0, DAY)], None)


def test_where_frauds_alone_are_known_all_others_are_legitimate(tmp_path: Path) -> None:
    """Every transaction of the log gets an answer, and a fraud stays one."""
    labels = _labels(tmp_path, [2, 5], [1, 1])

    completed = with_others_legitimate(labels, _log([3, 2, 1, 1]))

    assert completed.to_pydict() == {
        "transaction_id": [1, 2, 3, 5],
        "is_fraud": [False, True, False, True],
    }
