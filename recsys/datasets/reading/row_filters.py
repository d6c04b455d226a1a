"""Row filters: conditions in the config, such as `quantity > 0 and country = 'FR'`.

As in SQL, a comparison with a missing value is not true, so the row is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from pydantic import AfterValidator

from recsys.datasets.columns.ids import plain_column
from recsys.datasets.columns.text import numbers_from_text
from recsys.datasets.columns.wide_times import in_microseconds
from recsys.datasets.origin import Origin
from recsys.datasets.reading.row_conditions import Condition, One, Value, read_condition

_TableT = TypeVar("_TableT")

_COMPARE: Mapping[str, Callable[..., pa.ChunkedArray]] = {
    "=": pc.equal, "==": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


@dataclass(frozen=True)
class RowFilter:
    """A condition that has been read.

    Args:
        text: As the config has it.
        condition: What it says.
    """

    text: str
    condition: Condition

    @classmethod
    def parse(cls, text: str) -> RowFilter:
        """Read a condition.

        Raises:
            ValueError: It is none; the message says where.

        Examples:
            >>> RowFilter.parse("quantity > 0 and not country in ('FR', 'DE')").columns
            ('quantity', 'country')
        """
        return cls(text=text, condition=read_condition(text))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it uses."""
        return tuple(dict.fromkeys(one.column for one in _ones(self.condition)))

    def apply(self, table: pa.Table, origin: Origin) -> pa.Table:
        """The rows for which it is true.

        Args:
            table: A table with the columns.
            origin: Where it comes from.

        Raises:
            DataError: A value that cannot be compared with a column.
        """
        return table.filter(pc.fill_null(_truth(self.condition, table, origin), False))


def _ones(condition: Condition) -> Iterator[One]:
    if isinstance(condition, One):
        yield condition
    else:
        for part in condition.parts:
            yield from _ones(part)


def _truth(condition: Condition, table: pa.Table, origin: Origin) -> pa.ChunkedArray:
    """Whether a condition is true of each row; null where it is undefined."""
    if isinstance(condition, One):
        here = replace(origin, column=condition.column)
        return _truth_of_one(condition, plain_column(table[condition.column]), here)
    parts = [_truth(part, table, origin) for part in condition.parts]
    if condition.word == "not":
        return pc.invert(parts[0])
    join = pc.and_kleene if condition.word == "and" else pc.or_kleene
    result = parts[0]
    for part in parts[1:]:
        result = join(result, part)
    return result


def _truth_of_one(one: One, column: pa.ChunkedArray, origin: Origin) -> pa.ChunkedArray:
    if one.op == "null":
        return pc.is_null(column)
    if pt.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), pa.bool_())])
    found = [_compared(column, "=" if one.op == "in" else one.op, value, origin)
             for value in one.values]  # fmt: skip
    result = found[0]
    for other in found[1:]:
        result = pc.or_kleene(result, other)
    return result


def _compared(column: pa.ChunkedArray, op: str, value: Value, origin: Origin) -> pa.ChunkedArray:
    """A column compared with a value of its own kind."""
    compare = _COMPARE[op]
    kind = column.type
    if isinstance(value, bool):
        if pt.is_string(kind) and origin.is_text:
            return compare(pc.utf8_lower(column), str(value).lower())
        if pt.is_boolean(kind):
            return compare(column, pa.scalar(value))
    elif isinstance(value, Decimal):
        if pt.is_string(kind) and origin.is_text:
            return compare(numbers_from_text(column, origin), float(value))
        if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
            return compare(column, _number(value, kind))
    elif pt.is_string(kind):
        return compare(column, pa.scalar(value))
    elif pt.is_timestamp(kind) or pt.is_date(kind):
        moments = in_microseconds(column).cast(pa.timestamp("us", tz="UTC"))
        return compare(moments, _moment(value, origin))
    raise origin.refusal(
        expected=f"a column to compare with {_described(value)}, as the row filter does",
        got=str(kind),
        remedy="correct the filter under [data.where]: text is in single quotes, numbers are not",
    )


def _number(value: Decimal, kind: pa.DataType) -> pa.Scalar:
    """A number as the column's type compares exactly with."""
    if pt.is_decimal(kind):
        return pa.scalar(value)
    whole = value == value.to_integral_value() and abs(value) < 2**63
    return pa.scalar(int(value)) if whole and pt.is_integer(kind) else pa.scalar(float(value))


def _moment(text: str, origin: Origin) -> pa.Scalar:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise origin.refusal(
            expected="a time in ISO 8601 in the row filter, such as '2026-01-31'",
            got="another text",
            remedy="correct the filter under [data.where]",
        ) from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return pa.scalar(zoned, pa.timestamp("us", tz="UTC"))


def _described(value: Value) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number"


def parsed_filters(texts: Mapping[_TableT, str]) -> dict[_TableT, RowFilter]:
    """Row filters by table.

    Raises:
        ValueError: One is not a condition; the message names its table.
    """
    found: dict[_TableT, RowFilter] = {}
    for table, text in texts.items():
        try:
            found[table] = RowFilter.parse(text)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
    return found


def _checked(texts: dict[_TableT, str]) -> dict[_TableT, str]:
    parsed_filters(texts)
    return texts


RowFilters = Annotated[dict[_TableT, str], AfterValidator(_checked)]
"""Conditions by table, each of which can be read."""
