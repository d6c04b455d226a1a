"""Files to Arrow tables: Parquet (file, folder, Hive partitions) and CSV, without guessing.

A CSV file holds text, so all of its columns are strings here; code that knows what a column means
converts it. The same holds for the keys of Hive partitions: `region=01` stays `"01"`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
from pyarrow.fs import LocalFileSystem

from recsys.datasets.origin import Origin, listing
from recsys.errors import DataError

# Parquet readers do not notice flipped bits unless the pages carry checksums and these are read.
_PARQUET = pa_dataset.ParquetFileFormat(
    default_fragment_scan_options=pa_dataset.ParquetFragmentScanOptions(
        page_checksum_verification=True
    )
)
_DISK = LocalFileSystem()
_CSV_END = "\x1fend of file\x1f"  # no text of a real file
_FIELDS = re.compile(r"(?<=columns, got )(\d+):.*", re.DOTALL)  # a row, which may hold ids
_CSV_BLOCK_BYTES = 16 * 2**20  # a row must fit into one block


class TableReader(Protocol):
    """Reads columns of a table as `read_table` does."""

    def __call__(
        self,
        path: Path,
        *,
        columns: Sequence[str] | None = None,
        optional: Sequence[str] = (),
        delimiter: str = ",",
    ) -> pa.Table:
        """The columns of the table that a path names."""


def is_csv(path: Path) -> bool:
    """Whether a path is read as CSV: its name ends in .csv or .csv.gz."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def read_table(
    path: Path | str,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    delimiter: str = ",",
) -> pa.Table:
    """Read a Parquet file, a folder of Parquet files (Hive partitions included) or a CSV file.

    Rows keep the order of the file, files the order of their names. In CSV an empty field is null
    and a quoted empty field the empty string; no other text (NA, null, nan) is special.

    Args:
        path: The file or folder.
        columns: Columns to read; all when None.
        optional: Columns to read as well where they are present.
        delimiter: Separator of a CSV file.

    Raises:
        DataError: No such path, no data files, a file that cannot be read, a column that is
            missing, or files of one folder whose types differ.
    """
    location = Path(path)
    origin = Origin(file=str(path), is_text=is_csv(location))
    if not location.exists():
        raise origin.refusal(
            expected="a Parquet file or folder, or a CSV file",
            got="no such path",
            remedy="check the path",
        )
    if origin.is_text:
        return _read_csv(location, origin, columns, optional, delimiter)
    return _read_parquet(location, origin, columns, optional)


def _read_csv(
    path: Path,
    origin: Origin,
    columns: Sequence[str] | None,
    optional: Sequence[str],
    delimiter: str,
) -> pa.Table:
    reading = pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    parsing = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with _reading(origin, "CSV file in UTF-8, with a header and as many fields in every row"):
        with _opened(path) as file, pa_csv.open_csv(file, reading, parsing) as reader:
            names = reader.schema.names
        wanted = _select(names, columns, optional, origin)
        conversion = pa_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        last_row = "\n" + delimiter.join([_CSV_END] * len(names))
        with _opened(path, then=last_row.encode()) as file:
            table = pa_csv.read_csv(file, reading, parsing, conversion)
    return _without_last_row(table, origin)


def _opened(path: Path, then: bytes = b"") -> pa.TransformInputStream:
    """The uncompressed bytes of a file, followed by the bytes `then`."""
    compression = "gzip" if path.name.lower().endswith(".gz") else None
    rest = iter([then])
    return pa.TransformInputStream(
        pa.input_stream(str(path), compression=compression),
        lambda block: block if len(block) else next(rest, b""),
    )


def _without_last_row(table: pa.Table, origin: Origin) -> pa.Table:
    """The table without the marker row at the end, which an unclosed quote would swallow."""
    num_rows = table.num_rows - 1
    if num_rows < 0 or table.column(0)[num_rows].as_py() != _CSV_END:
        raise origin.refusal(
            expected="a closing quote for every opening one",
            got="a quoted field that runs to the end of the file",
            remedy="write the file again with a CSV writer, quotes in fields doubled",
        )
    return table.slice(0, num_rows)


def _read_parquet(
    path: Path, origin: Origin, columns: Sequence[str] | None, optional: Sequence[str]
) -> pa.Table:
    files = [path] if path.is_file() else _parquet_files(path, origin)
    with _reading(origin, "Parquet file or folder of Parquet files"):
        schemas = [_PARQUET.inspect(str(file), filesystem=_DISK) for file in files]
        keys = [key for key in _partition_keys(path, files, origin) if key not in schemas[0].names]
        wanted = _select([*schemas[0].names, *keys], columns, optional, origin)
        fields = [_common_field(name, files, schemas) for name in wanted if name not in keys]
        partition_fields = pa.schema([(key, pa.string()) for key in keys])
        dataset = pa_dataset.dataset(
            [str(file) for file in files],
            filesystem=_DISK,
            schema=pa.schema([*fields, *partition_fields]),
            format=_PARQUET,
            partitioning=pa_dataset.partitioning(partition_fields, flavor="hive"),
            partition_base_dir=str(path),
        )
        return dataset.to_table(columns=wanted)


def _parquet_files(folder: Path, origin: Origin) -> list[Path]:
    """Parquet files below a folder by name; names that start with `_` or `.` are not data."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    visible = [path for path in paths if not _is_hidden(path.relative_to(folder))]
    files = [path for path in visible if path.suffix == ".parquet"]
    if not files:
        raise origin.refusal(
            expected="a folder with files named *.parquet",
            got=f"{len(visible)} files, none of them named so",
            remedy="check the path; a CSV file is named itself, not by its folder",
        )
    return files


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in relative.parts)


def _partition_keys(root: Path, files: list[Path], origin: Origin) -> tuple[str, ...]:
    """Keys of `key=value` folders between the root and the files, the same for each file."""
    found = {_keys_of(file.relative_to(root).parent) for file in files}
    if len(found) > 1:
        raise origin.refusal(
            expected="the same partition keys above every file",
            got=" and ".join(sorted(f"({', '.join(keys)})" for keys in found)[:2]),
            remedy="move the files that do not belong there",
        )
    return next(iter(found))


def _keys_of(relative: Path) -> tuple[str, ...]:
    return tuple(part.partition("=")[0] for part in relative.parts if "=" in part)


def _common_field(name: str, files: list[Path], schemas: list[pa.Schema]) -> pa.Field:
    """The field of that name, of the same type in every file; a file with only nulls may differ."""
    field = pa.field(name, pa.null())
    for file, schema in zip(files, schemas, strict=True):
        origin = Origin(file=str(file), column=name)
        if name not in schema.names:
            raise origin.refusal(
                expected="the column in every file of the folder",
                got=f"columns {listing(schema.names)}",
                remedy="write the file again with the column",
            )
        found = schema.field(name)
        if not pa.types.is_null(field.type) and found.type not in (field.type, pa.null()):
            raise origin.refusal(
                expected=f"{field.type}, as in the files before it",
                got=str(found.type),
                remedy="write every file of the folder with the same type",
            )
        field = found if pa.types.is_null(field.type) else field
    return field


def _select(
    names: list[str], columns: Sequence[str] | None, optional: Sequence[str], origin: Origin
) -> list[str]:
    """The columns to read, each once, all of them present and unambiguous."""
    asked = names if columns is None else columns
    wanted = list(dict.fromkeys([*asked, *(name for name in optional if name in names)]))
    for name in wanted:
        if names.count(name) != 1:
            raise _no_such_column(name, names, origin)
    return wanted


def _no_such_column(name: str, names: list[str], origin: Origin) -> DataError:
    nearest = difflib.get_close_matches(name, [other for other in names if other != name], n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    if origin.is_text and len(names) == 1:
        hint = "set [data.csv] delimiter if the fields are separated otherwise, or "
    return replace(origin, column=name).refusal(
        expected="one column of that name",
        got=f"{names.count(name) or 'none'} among {listing(names)}",
        remedy=f"{hint}write the file's own name of it into the config, under [columns] or "
        "[features]",
    )


@contextmanager
def _reading(origin: Origin, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise origin.refusal(
            expected=f"a readable {kind}",
            got=_FIELDS.sub(r"\1", str(error)),
            remedy="write it again, or check its format and permissions",
        ) from error
