"""Row filters: a small part of SQL's conditions, against Python's own reading of them."""

from __future__ import annotations

import operator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.dataset import DataConfig
from recsys.datasets.loading import load_dataset
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_filters import RowFilter
from recsys.errors import ConfigError, DataError

ORIGIN = Origin(file="log.parquet")
OPERATORS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _kept(text: str, origin: Origin = ORIGIN, **columns: object) -> list[int]:
    table = pa.table(columns)
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    rows: list[int] = RowFilter.parse(text).apply(numbered, origin)["row"].to_pylist()
    return rows


conditions = st.recursive(
    st.tuples(st.sampled_from("ab"), st.sampled_from(list(OPERATORS)), st.integers(-2, 2)),
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner)
    ),
    max_leaves=6,
)


def _text(condition: tuple) -> str:
    if condition[0] == "not":
        return f"NOT ({_text(condition[1])})"
    if condition[0] in ("and", "or"):
        return f"({_text(condition[1])} {condition[0]} {_text(condition[2])})"
    return f"{condition[0]} {condition[1]} {condition[2]}"


def _truth(condition: tuple, row: dict[str, int | None]) -> bool | None:
    """Three-valued, as SQL has it: nothing is known of a missing value."""
    if condition[0] == "not":
        inner = _truth(condition[1], row)
        return None if inner is None else not inner
    if condition[0] in ("and", "or"):
        sides = [_truth(one, row) for one in condition[1:]]
        decided = condition[0] == "or"
        if decided in sides:
            return decided
        return None if None in sides else not decided
    value = row[condition[0]]
    return None if value is None else OPERATORS[condition[1]](value, condition[2])


@given(conditions, st.lists(st.tuples(*[st.none() | st.integers(-2, 2)] * 2), max_size=12))
def test_conditions_hold_as_python_says(
    condition: tuple, rows: list[tuple[int | None, int | None]]
) -> None:
    """and, or, not, parentheses and missing values mean what they mean in SQL."""
    columns = {
        name: pa.array([row[at] for row in rows], pa.int64()) for at, name in enumerate("ab")
    }
    expected = [
        number
        for number, row in enumerate(rows)
        if _truth(condition, dict(zip("ab", row, strict=True)))
    ]

    assert _kept(_text(condition), **columns) == expected


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("x > 0", pa.array([1, 0, -1, None]), [0]),
        ("x > 0", pa.array([1.5, 0.0, float("nan")]), [0]),
        ("x >= 1.5", pa.array([Decimal("1.50"), Decimal("1.49")]), [0]),
        ("x = 1.5", pa.array([1, 2]), []),
        ("x = 'it''s'", pa.array(["it's", "its", None]), [0]),
        ("x in ('a', 'b')", pa.array(["a", "c", "b"]).dictionary_encode(), [0, 2]),
        ("x not in ('a', 'b')", pa.array(["a", "c", None]), [1]),
        ("x is null", pa.array(["a", None]), [1]),
        ("x is not null", pa.array(["a", None]), [0]),
        ("x = true", pa.array([True, False, None]), [0]),
        ("x >= '2026-01-02'", pa.array([date(2026, 1, 1), date(2026, 1, 2)]), [1]),
        ("x < '2026-01-02T00:00:00+01:00'", pa.array([datetime(2026, 1, 1, 22, tzinfo=UTC)]), [0]),
        ("x > 9007199254740992", pa.array([2**53, 2**53 + 1]), [1]),
    ],
)
def test_each_kind_of_column_is_compared_in_its_own_way(
    text: str, column: pa.Array, expected: list[int]
) -> None:
    """Numbers of any type, text, dates and times, booleans, and missing values."""
    assert _kept(text, x=column) == expected


def test_text_of_csv_is_compared_as_what_the_value_is() -> None:
    """In CSV all is text: a number in the filter makes numbers of it, text leaves it text."""
    csv = Origin(file="log.csv", is_text=True)
    column = pa.array(["10", "9", "-1", None])

    assert _kept("x > 9", csv, x=column) == [0]
    assert _kept("x > '9'", csv, x=column) == []
    assert _kept('"a b" = true', csv, **{"a b": pa.array(["True", "false", "1"])}) == [0]


@pytest.mark.parametrize(
    "text",
    ["", "x", "x >", "x > y", "> 0", "x > 0 and", "x > 0 or or y = 1", "(x > 0", "x > 0)", "x == ",
     "x in 1", "x in ()", "x is 0", "x > 'a", "x > 0; y", "1 = 1", "and = 1", "__import__('os')",
     "not", "(" * 200 + "x > 0" + ")" * 200],
)  # fmt: skip
def test_what_is_no_condition_is_a_wrong_setting(text: str) -> None:
    """The message shows the filter and where it stops being one; nothing is run as code."""
    with pytest.raises(ConfigError, match=r"where: interactions: expected .* of the row filter"):
        DataConfig(interactions=Path("x"), where={"interactions": text})


def test_a_filter_that_does_not_fit_its_column_is_refused() -> None:
    """Text is not compared with numbers; the column is named, no value is."""
    with pytest.raises(DataError, match="column 'x': expected a column to compare with a number"):
        _kept("x > 0", x=pa.array(["secret"]))
    csv = Origin(file="log.csv", is_text=True)
    with pytest.raises(DataError, match="first in row 2") as caught:
        _kept("x > 0", csv, x=pa.array(["1", "secret"]))
    assert "secret" not in str(caught.value)


def test_rows_that_a_filter_leaves_out_are_counted(tmp_path: Path) -> None:
    """Refunds go, counted; a column that a filter looks at need not be mapped."""
    log = {
        "user_id": [1, 2, 3],
        "item_id": [1, 2, 3],
        "event_time": pa.array([datetime(2026, 1, 1, 9, tzinfo=UTC)] * 3),
        "quantity": [1, -1, None],
    }
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(log), path)

    dataset = load_dataset(DataConfig(interactions=path, where={"interactions": "quantity > 0"}))

    assert dataset.interactions.column_names == ["user_id", "item_id", "event_time"]
    assert dataset.interactions["user_id"].to_pylist() == [1]
    assert dataset.num_left_out == {"filtered": 2}
