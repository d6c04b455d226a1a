"""A second reading of a table, by Python's own csv, decimal and datetime: slow, and plain.

It shares nothing with the project's loading but the Parquet reader, and of that only the values.
"""

from __future__ import annotations

import csv
import io
import math
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_QUOTE = "\ue000"  # stands for a doubled quote; no drift has it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain_rows(file: Path, names: list[str]) -> dict[str, list[object]]:
    """Columns by name: ids as str or int, times as microseconds since 1970, amounts as floats."""
    if file.is_dir():
        raw = _folder_columns(file)
    else:
        raw = _csv_columns(file) if file.suffix == ".csv" else _parquet_columns(file)
    raw = _by_meaning(raw, names)
    readers = {"event_time": _instant, "amount": _nearest_double}
    return {
        name: [None if one is None else readers.get(name, _id)(one) for one in raw[name]]
        for name in names
    }


def _by_meaning(raw: dict[str, list[object]], names: list[str]) -> dict[str, list[object]]:
    """Columns by the names that are asked for; case and white space around do not matter."""
    found = {}
    for name in names:
        alike = [one for one in raw if one.strip().casefold() == name]
        found[name] = raw[name] if name in raw else raw[alike[0]]
        if name not in raw and len(alike) > 1:
            raise ValueError("two columns of one name")
    return found


def _folder_columns(folder: Path) -> dict[str, list[object]]:
    """All Parquet files of a folder, by name; hidden ones are none."""
    if (folder / "_delta_log").exists():
        raise ValueError("a table with a log")
    files = sorted(one for one in folder.iterdir() if not one.name.startswith(("_", ".")))
    if len({one.resolve() for one in files}) < len(files):
        raise ValueError("a file twice")
    parts = [_parquet_columns(one) for one in files]
    if any(one.suffix.lower() not in (".parquet", ".parq", ".pq") for one in files):
        raise ValueError("an entry that is no data")
    return {name: [one for part in parts for one in part[name]] for name in parts[0]}


def _csv_columns(file: Path) -> dict[str, list[object]]:
    """Text of each field; an empty field that is not quoted is null."""
    text = file.read_bytes().decode("utf-8-sig")
    # The standard reader does not tell "" from an empty field: mark the quoted ones first.
    marked = text.replace('""', _QUOTE)
    rows = list(csv.reader(io.StringIO(marked, newline=""), strict=True))
    header, *body = [row for row in rows if row]
    if any(len(row) != len(header) for row in body) or len(set(header)) < len(header):
        raise ValueError("ragged rows or repeated names")

    def value(field: str) -> object:
        return None if field == "" else "" if field == _QUOTE else field.replace(_QUOTE, '"')

    return {name: [value(row[at]) for row in body] for at, name in enumerate(header)}


def _parquet_columns(file: Path) -> dict[str, list[object]]:
    table = pq.ParquetFile(file).read()
    return {name: _values(table[name]) for name in table.column_names}


def _values(column: pa.ChunkedArray) -> list[object]:
    if pa.types.is_timestamp(column.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        if column.type.tz is None:
            raise ValueError("times without a zone")
        counts = [one.value for chunk in column.chunks for one in chunk]
        return [None if n is None else Fraction(n, per_second) for n in counts]
    return list(column.to_pylist())


def _id(value: object) -> object:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"no id: {type(value)}")
    return value


def _instant(value: object) -> object:
    """Microseconds since 1970, fractions cut off."""
    if isinstance(value, Fraction):
        return math.floor(value * 10**6) if value >= 0 else math.ceil(value * 10**6)
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError("text without a zone")
        gap = found.astimezone(UTC) - _EPOCH
        return (gap.days * 86_400 + gap.seconds) * 10**6 + gap.microseconds
    if isinstance(value, date) and not isinstance(value, datetime):
        return _instant(datetime.combine(value, time(), UTC).isoformat())
    raise TypeError(f"no time: {type(value)}")


def _nearest_double(value: object) -> float:
    if isinstance(value, bool):
        raise TypeError("no amount")
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(Fraction(value))
    return float(value if isinstance(value, Decimal) else str(value))
