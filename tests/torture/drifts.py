"""What an export may do to a table from one night to the next: to its columns, or to its file."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import random
import shutil
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Columns = dict[str, pa.Array]
TableDrift = Callable[[Columns, random.Random], Columns]
FileDrift = Callable[[bytes, random.Random], bytes]

_TIME = "event_time"


def _on(change: Callable[[pa.Array, random.Random], pa.Array], *, of: str = "any") -> TableDrift:
    """A drift of one column: of an id, of the time, of the amount, or of any."""

    def drift(columns: Columns, rng: random.Random) -> Columns:
        names = [name for name in columns if _is_of(name, of)] or list(columns)
        name = rng.choice(names)
        if not len(columns[name]):
            return columns
        try:
            return {**columns, name: change(columns[name], rng)}
        except (pa.ArrowException, ArithmeticError, AttributeError, TypeError, ValueError):
            return columns  # a drift before it left a column that this one cannot meet

    return drift


def _is_of(name: str, kind: str) -> bool:
    return {
        "any": True,
        "id": name.endswith("_id"),
        "time": name == _TIME,
        "amount": name == "amount",
    }[kind]


def _with(array: pa.Array, rng: random.Random, value: object, share: float = 0.2) -> pa.Array:
    """An array with a value in some places, at least in one."""
    values = array.to_pylist()
    places = [at for at in range(len(values)) if rng.random() < share] or [len(values) - 1]
    for at in places:
        values[at] = value
    return pa.array(values, array.type)


def _text(array: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        return pa.array([_iso(one) for one in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _edited(edit: Callable[[str], str]) -> Callable[[pa.Array, random.Random], pa.Array]:
    """Some values of a column as text, edited."""

    def change(array: pa.Array, rng: random.Random) -> pa.Array:
        values = _text(array).to_pylist()
        at = rng.randrange(len(values))
        every = rng.random() < 0.5
        return pa.array(
            [one if one is None or not (every or here == at) else edit(one)
             for here, one in enumerate(values)],
            pa.string(),
        )  # fmt: skip

    return change


def _renamed(columns: Columns, rng: random.Random) -> Columns:
    name = rng.choice(list(columns))
    new = rng.choice((name.upper(), name + " ", name.replace("_", ""), "\ufeff" + name, "id"))
    return {new if one == name else one: array for one, array in columns.items()}


def _missing(columns: Columns, rng: random.Random) -> Columns:
    name = rng.choice(list(columns))
    return {one: array for one, array in columns.items() if one != name} or columns


def _reordered(columns: Columns, rng: random.Random) -> Columns:
    names = list(columns)
    rng.shuffle(names)
    return {name: columns[name] for name in names}


def _extra(columns: Columns, rng: random.Random) -> Columns:
    length = len(next(iter(columns.values())))
    extra = pa.array([rng.choice(("a", "b,c", 'd"e', "f\ng")) for _ in range(length)])
    return {"note": extra, **columns}


def _empty(columns: Columns, _rng: random.Random) -> Columns:
    return {name: array.slice(0, 0) for name, array in columns.items()}


def _zone(array: pa.Array, rng: random.Random) -> pa.Array:
    return array.cast(pa.timestamp(array.type.unit, tz=rng.choice(("Asia/Tokyo", "America/Lima"))))


def _dates(array: pa.Array, rng: random.Random) -> pa.Array:
    return array.cast(pa.timestamp("us")).cast(rng.choice((pa.date32(), pa.date64())), safe=False)


def _unit(array: pa.Array, rng: random.Random) -> pa.Array:
    unit = rng.choice(("s", "ms", "ns"))
    return array.cast(pa.timestamp(unit, tz=array.type.tz), safe=False)


def _epoch(array: pa.Array, rng: random.Random) -> pa.Array:
    numbers = pc.divide(array.cast(pa.int64()), rng.choice((1, 1000, 1_000_000)))
    return numbers if rng.random() < 0.6 else numbers.cast(pa.float64())


def _offsets(array: pa.Array, rng: random.Random) -> pa.Array:
    """ISO 8601 with a numeric offset, in some rows or all."""
    start, every = datetime(1970, 1, 1, tzinfo=UTC), rng.random() < 0.5
    texts = []
    for at, one in enumerate(array.cast(pa.int64()).to_pylist()):
        moment = start + timedelta(microseconds=one)
        local = (moment + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"
        texts.append(local if every or at % 2 else moment.isoformat())
    return pa.array(texts)


def _decimals(array: pa.Array, rng: random.Random) -> pa.Array:
    places = rng.choice((0, 2, 4, 17))
    step = Decimal(1).scaleb(-places)
    values = [
        None if one is None else Decimal(repr(one)).quantize(step) for one in array.to_pylist()
    ]
    return pa.array(values, pa.decimal128(38, places))


def _huge(array: pa.Array, rng: random.Random) -> pa.Array:
    kind = rng.choice((pa.int64(), pa.uint64()))
    top = 2**63 if kind == pa.int64() else 2**64
    return pa.array([rng.randrange(2**53, top) for _ in range(len(array))], kind)


def _lists(array: pa.Array, _rng: random.Random) -> pa.Array:
    return pa.array([[one] for one in array.to_pylist()], pa.list_(array.type))


def _encoded(array: pa.Array, _rng: random.Random) -> pa.Array:
    plain = array.cast(pa.string()) if pa.types.is_string_view(array.type) else array
    return plain.dictionary_encode()


def _uuids(array: pa.Array, _rng: random.Random) -> pa.Array:
    return pa.array([uuid.UUID(int=at).bytes for at in range(len(array))], pa.uuid())


def _whole_decimals(array: pa.Array, rng: random.Random) -> pa.Array:
    top = rng.choice((10**6, 10**30))
    return pa.array([Decimal(rng.randrange(top)) for _ in array], pa.decimal128(38, 0))


def _strayed(data: bytes, rng: random.Random) -> bytes:
    """Quotes at the start of some fields, that nobody doubled, and perhaps at the end of others."""
    lines = data.split(b"\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(1, max(len(lines) - 1, 2))
        fields = lines[at % len(lines)].split(b",")
        place = rng.randrange(len(fields))
        at_end = rng.random() < 0.3
        fields[place] = fields[place] + b'"' if at_end else b'"' + fields[place]
        lines[at % len(lines)] = b",".join(fields)
    return b"\n".join(lines)


def _not_utf8(data: bytes, rng: random.Random) -> bytes:
    """A Parquet file in which some text has bytes of Latin-1."""
    table = pq.read_table(io.BytesIO(data))
    texts = [at for at, one in enumerate(table.schema) if pa.types.is_string(one.type)]
    if not texts or not table.num_rows:
        return data
    at = rng.choice(texts)
    values = [(one or "").encode() for one in table.column(at).to_pylist()]
    values[rng.randrange(len(values))] += b"\xe9"
    buffers = pa.array(values, pa.binary()).buffers()
    column = pa.Array.from_buffers(pa.string(), len(values), buffers)
    sink = io.BytesIO()
    pq.write_table(table.set_column(at, table.column_names[at], column), sink)
    return sink.getvalue()


def _repeated_name(data: bytes, rng: random.Random) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    name = rng.choice(table.column_names)
    sink = io.BytesIO()
    pq.write_table(table.append_column(name, table[name]), sink)
    return sink.getvalue()


_LOOKALIKES = str.maketrans("0123456789au", "０１２３４５６７８９аυ")  # noqa: RUF001  meant


def _flipped(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


TABLE_DRIFTS: Mapping[str, TableDrift] = {
    "missing": _missing,
    "renamed": _renamed,
    "extra": _extra,
    "reordered": _reordered,
    "empty": _empty,
    "id as text": _on(lambda array, _: _text(array), of="id"),
    "id as number": _on(lambda array, _: pa.array(range(len(array)), pa.int64()), of="id"),
    "id as float": _on(
        lambda array, rng: _with(pa.array([float(at) for at in range(len(array))]), rng, None),
        of="id",
    ),
    "id as bool": _on(lambda array, _: pa.array([True, False] * (len(array) // 2)), of="id"),
    "id as UUID": _on(_uuids, of="id"),
    "id as whole decimal": _on(_whole_decimals, of="id"),
    "id as narrow integer": _on(
        lambda array, rng: pa.array(range(len(array)), rng.choice((pa.int8(), pa.uint32()))),
        of="id",
    ),
    "huge integers": _on(_huge, of="id"),
    "leading zeros": _on(_edited(lambda text: f"00{text}"), of="id"),
    "white space": _on(_edited(lambda text: f" {text}\t"), of="id"),
    "look-alikes": _on(_edited(lambda text: text.translate(_LOOKALIKES)), of="id"),
    "line breaks": _on(_edited(lambda text: f'{text}\r\n"x", y'), of="id"),
    "empty text": _on(_edited(lambda _: ""), of="id"),
    "NA": _on(_edited(lambda _: "NA"), of="id"),
    "composed letters": _on(_edited(lambda text: f"{text}e\u0301\u00e9"), of="id"),
    "naive times": _on(lambda array, _: array.cast(pa.timestamp("us")), of="time"),
    "another zone": _on(_zone, of="time"),
    "another unit": _on(_unit, of="time"),
    "times as text": _on(lambda array, _: _text(array), of="time"),
    "times with offsets": _on(_offsets, of="time"),
    "times as dates": _on(_dates, of="time"),
    "times since 1970": _on(_epoch, of="time"),
    "times of day": _on(
        lambda array, _: array.cast(pa.timestamp("us")).cast(pa.time64("us")), of="time"
    ),
    "absurd times": _on(
        lambda array, rng: _with(array, rng, datetime(9999, 12, 29, tzinfo=UTC)), of="time"
    ),
    "a time of 1970": _on(
        lambda array, rng: _with(array, rng, datetime(1970, 1, 1, tzinfo=UTC), 0.01), of="time"
    ),
    "a time beyond all dates": _on(
        lambda array, rng: pa.array(
            [*array.cast(pa.int64()).to_pylist()[1:], rng.choice((-1, 1)) * 2**61]
        ).cast(array.type),
        of="time",
    ),
    "amounts as text": _on(_edited(lambda text: text), of="amount"),
    "amounts with a comma": _on(_edited(lambda text: text.replace(".", ",")), of="amount"),
    "amounts with a sign": _on(_edited(lambda text: f"€{text}"), of="amount"),
    "amounts of other precision": _on(
        lambda array, rng: array.cast(rng.choice((pa.float32(), pa.float16())), safe=False),
        of="amount",
    ),
    "whole amounts": _on(
        lambda array, rng: pa.array([rng.randrange(2**62) for _ in array], pa.int64()), of="amount"
    ),
    "decimal amounts": _on(_decimals, of="amount"),
    "NaN": _on(lambda array, rng: _with(array, rng, float("nan"), 0.05), of="amount"),
    "infinity": _on(lambda array, rng: _with(array, rng, float("-inf"), 0.05), of="amount"),
    "nulls": _on(lambda array, rng: _with(array, rng, None, 0.05)),
    "only nulls": _on(lambda array, _: pa.nulls(len(array))),
    "nested": _on(_lists),
    "dictionary": _on(_encoded),
    "large text": _on(lambda array, _: _text(array).cast(pa.large_string())),
    "view": _on(lambda array, _: _text(array).cast(pa.string_view())),
    "binary": _on(lambda array, _: _text(array).cast(pa.binary())),
}
"""Changes of columns; two of them may meet in one."""

FILE_DRIFTS: Mapping[str, Mapping[str, FileDrift]] = {
    "csv": {
        "semicolons": lambda data, _: data.replace(b",", b";"),
        "tabs": lambda data, _: data.replace(b",", b"\t"),
        "UTF-16": lambda data, _: data.decode().encode("utf-16"),
        "Latin-1": lambda data, _: (data.decode() + "é,é,é,é\n").encode("latin-1", "replace"),
        "byte order mark": lambda data, _: b"\xef\xbb\xbf" + data,
        "a quote left open": lambda data, rng: _inserted(data, b'"', rng),
        "stray quotes": _strayed,
        "no header": lambda data, _: data.partition(b"\n")[2],
        "all quoted": lambda data, _: _all_quoted(data),
        "line ends of Windows": lambda data, _: data.replace(b"\n", b"\r\n"),
        "one comma more": lambda data, rng: _inserted(data, b",", rng),
        "a NUL": lambda data, rng: _inserted(data, b"\x00", rng),
        "packed": lambda data, _: gzip.compress(data),
        "nothing": lambda _data, _: b"",
        "cut off": lambda data, rng: data[: rng.randrange(len(data))],
    },
    "parquet": {
        "nothing": lambda _data, _: b"",
        "cut off": lambda data, rng: data[: rng.randrange(len(data))],
        "a byte": _flipped,
        "not UTF-8": _not_utf8,
        "a name twice": _repeated_name,
        "text": lambda _data, _: b"user_id,item_id\n1,2\n",
    },
}
"""Changes of the bytes of a file, by its kind."""


def write_drifted(
    file: Path, columns: Columns, drift: FileDrift | None, rng: random.Random
) -> None:
    """Write columns, CSV by Python's own writer, and change the bytes."""
    if file.suffix == ".csv":
        data = _csv(columns)
    else:
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, write_page_checksum=True)
        data = sink.getvalue()
    file.write_bytes(data if drift is None else drift(data, rng))


def _csv(columns: Columns) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    texts = [[_field(one) for one in _values(array)] for array in columns.values()]
    writer.writerows(zip(*texts, strict=True))
    return sink.getvalue().encode()


def _values(array: pa.Array) -> list[object]:
    """Python values; times that no datetime can have as their counts."""
    try:
        return list(array.to_pylist())
    except OverflowError:
        return list(array.cast(pa.int64()).to_pylist())


def _field(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def write_folder(folder: Path, columns: Columns, rng: random.Random) -> str:
    """Write columns as a folder of several files by several writers, and what stands beside them.

    Returns:
        What is unusual of the folder.
    """
    folder.mkdir()
    table = pa.table(columns)
    cuts = sorted(rng.sample(range(table.num_rows + 1), 2))
    bounds = [0, *cuts, table.num_rows]
    suffixes = ("parquet", "PARQUET", "parq", "pq")
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        part = table.slice(start, end - start)
        for at, one in enumerate(part.schema):
            part = part.set_column(at, one.name, _written_otherwise(part.column(at), rng))
        pq.write_table(part, folder / f"{number}.{rng.choice(suffixes)}")
    name = rng.choice(sorted(_BESIDE))
    _BESIDE[name](folder)
    return name


def _written_otherwise(column: pa.ChunkedArray, rng: random.Random) -> pa.ChunkedArray:
    """The same values as another writer, or version of one, has them."""
    if pa.types.is_string(column.type):
        kind = rng.choice((pa.string(), pa.large_string(), pa.string_view(), None))
        return column.dictionary_encode() if kind is None else column.cast(kind)
    if pa.types.is_timestamp(column.type) and column.type.tz:
        zone = rng.choice(("UTC", "Asia/Tokyo", "America/Lima"))
        return column.cast(pa.timestamp(column.type.unit, tz=zone))
    return column


def _linked(folder: Path) -> None:
    """The last file by a link to another folder."""
    other = folder.with_name("elsewhere")
    other.mkdir(exist_ok=True)
    last = max(folder.iterdir())
    last.replace(other / last.name)
    (folder / last.name).symlink_to(other / last.name)


_BESIDE: Mapping[str, Callable[[Path], object]] = {
    "nothing beside": lambda folder: folder,
    "markers beside": lambda folder: [(folder / name).touch() for name in ("_SUCCESS", ".0.crc")],
    "a linked file": _linked,
    "CSV beside": lambda folder: (folder / "more.csv").write_text("user_id\n1\n"),
    "an empty file beside": lambda folder: (folder / "more.parquet").touch(),
    "a table's log beside": lambda folder: (folder / "_delta_log").mkdir(),
    "a backup beside": lambda folder: shutil.copy(max(folder.iterdir()), folder / "0.bak"),
    "a link to a file of it": lambda folder: (folder / "z.parquet").symlink_to(
        min(folder.iterdir())
    ),
}
"""What else may stand in a folder of files."""


def _all_quoted(data: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return sink.getvalue().encode()


def _inserted(data: bytes, what: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + what + data[place:]
