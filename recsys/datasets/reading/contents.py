"""The format of a file by its first bytes, so that messages can name a wrong format."""

from __future__ import annotations

from pathlib import Path

from recsys.datasets.origin import Origin
from recsys.errors import DataError

PARQUET = "Parquet"
_TEXT, _UNKNOWN, _NOTHING = "text", "bytes of no known format", "an empty file"
_GZIP, _UTF16 = "gzip", "text in UTF-16"
_FORMATS = {
    b"PAR1": PARQUET,
    b"PARE": "Parquet with an encrypted footer",
    b"ARROW1": "Arrow IPC (Feather)",
    b"FEA1": "Feather",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"PK\x03\x04": "a ZIP archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": _GZIP,
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x04\x22\x4d\x18": "LZ4",
    b"SQLite format 3": "SQLite",
    b"%PDF": "PDF",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"version https://git-lfs": "the pointer of a file in Git LFS",
}
_HEAD_BYTES = 4096


def is_csv(path: Path) -> bool:
    """Whether a path is read as CSV: its name ends in .csv or .csv.gz."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def content_of(path: Path) -> str:
    """What a file holds, by its first bytes."""
    with path.open("rb") as file:
        return kind_of(file.read(_HEAD_BYTES))


def kind_of(head: bytes) -> str:
    """What a file that begins with these bytes holds.

    Examples:
        >>> kind_of(b"PAR1..."), kind_of(b"user_id,item_id"), kind_of(b"")
        ('Parquet', 'text', 'an empty file')
    """
    if not head:
        return _NOTHING
    for start, name in _FORMATS.items():
        if head.startswith(start):
            return name
    if 0 in head:
        halves = head[0::2].count(0), head[1::2].count(0)
        return _UTF16 if max(halves) > len(head) // 4 else _UNKNOWN
    return _TEXT


def check_is_parquet(path: Path, origin: Origin) -> None:
    """Refuse a file that is read as Parquet but is not Parquet."""
    found = content_of(path)
    if found != PARQUET:
        raise _refusal(origin, "a Parquet file, or a CSV file named *.csv or *.csv.gz", found)


def check_is_csv(path: Path, head: bytes, origin: Origin) -> None:
    """Refuse a file that is named like CSV and holds something else.

    Args:
        path: The file.
        head: Its first bytes, uncompressed if its name ends in .gz.
        origin: Its name for the message.
    """
    found = kind_of(head)
    if found not in (_TEXT, _NOTHING, _UNKNOWN):
        named = ".csv.gz" if path.name.lower().endswith(".gz") else ".csv"
        raise _refusal(origin, f"CSV text in UTF-8, as the name ends in {named}", found)


def _refusal(origin: Origin, expected: str, found: str) -> DataError:
    remedies = {
        _TEXT: "rename a CSV file to *.csv, and set [data.csv] delimiter where its fields are "
        'separated otherwise, e.g. "\\t"',
        _UTF16: "save it as UTF-8",
        _GZIP: "name a compressed CSV file *.csv.gz",
        PARQUET: "rename it to *.parquet",
        _NOTHING: "write it again",
    }
    compressed = ("Zstandard", "bzip2", "xz", "LZ4")
    usual = "unpack it, or compress it with gzip (*.csv.gz)" if found in compressed else ""
    remedy = remedies.get(found) or usual or "write the table as Parquet or CSV"
    return origin.refusal(expected=expected, got=found, remedy=remedy)
