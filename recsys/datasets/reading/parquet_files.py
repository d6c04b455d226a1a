"""Parquet files, and folders of them, to one Arrow table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from recsys.datasets.column_names import shown_names
from recsys.datasets.columns.common_types import cast_exactly, common_type
from recsys.datasets.columns.wide_times import settled_int96
from recsys.datasets.origin import Origin, reason_without_values
from recsys.datasets.reading.contents import check_is_parquet
from recsys.datasets.reading.folders import Entries, check_no_table_format, parquet_files
from recsys.datasets.reading.selecting import select_columns

# Parquet readers do not notice flipped bits unless the pages carry checksums and these are read.
_CHECKED = pa_dataset.ParquetFragmentScanOptions(page_checksum_verification=True)
# INT96 counts days in 32 bits: as nanoseconds, its default, all but 585 years would wrap around.
_PARQUET = pa_dataset.ParquetFileFormat(
    read_options=pa_dataset.ParquetReadOptions(coerce_int96_timestamp_unit="us"),
    default_fragment_scan_options=_CHECKED,
)
_DISK = LocalFileSystem()
_ARROW_SCHEMA, _NO_SCHEMA = b"ARROW:schema", b"arrow:schema"


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file, and its own name and type of each column that is read, by the name asked for."""

    path: Path
    fields: Mapping[str, pa.Field]

    @property
    def key(self) -> str:
        """The same for files that can be read as one."""
        return str([(name, one.name, one.type) for name, one in self.fields.items()])


def read_parquet(
    path: Path, origin: Origin, columns: Sequence[str] | None, optional: Sequence[str]
) -> tuple[pa.Table, Entries]:
    """The columns of a file or folder, under the requested names.

    Rows keep the order of the file, files the order of their names. Keys of Hive partitions are
    columns of text.

    Raises:
        DataError: A file that is no Parquet, an entry that is no data, a column that is missing, or
            files of one folder that hold a column in types that do not go together.
    """
    with _reading(origin):
        check_no_table_format(path, origin)
        paths, entries = ([path], Entries()) if path.is_file() else parquet_files(path, origin)
        if path.is_file():
            check_is_parquet(path, origin)
        schemas = [_schema(one, replace(origin, file=str(one))) for one in paths]
        keys = [key for key in _partition_keys(path, paths, origin) if key not in schemas[0].names]
        wanted = select_columns([*schemas[0].names, *keys], columns, optional, origin)
        from_files = [name for name, own in wanted.items() if own not in keys]
        files = [
            _described(one, schema, from_files, wanted, origin)
            for one, schema in zip(paths, schemas, strict=True)
        ]
        types = {name: _one_type(name, files, origin) for name in from_files}
        partitions = {name: own for name, own in wanted.items() if own in keys}
        parts = []
        for _, alike in groupby(files, key=lambda file: file.key):
            same = list(alike)
            part = _read_alike(same, path, partitions)
            parts.append(_settled(part, types, same[0].path, origin))
        return pa.concat_tables(parts).select(list(wanted)), entries


def _schema(path: Path, origin: Origin) -> pa.Schema:
    with _reading(origin):
        return _PARQUET.inspect(str(path), filesystem=_DISK)


def _described(
    path: Path, schema: pa.Schema, asked: Sequence[str], wanted: Mapping[str, str], origin: Origin
) -> _File:
    """Which of the requested columns a file of a folder has."""
    here = replace(origin, file=str(path))
    fields = {}
    for name in asked:
        # A column that all files but one name alike is searched for by the requested name.
        found = select_columns(schema.names, [], [name, wanted[name]], here)
        if not found:
            count = schema.names.count(name)
            raise replace(here, column=name).refusal(
                expected="one column of that name in every file of the folder",
                got=f"{count or 'none'} among {shown_names(schema.names, asked)}",
                remedy="write the file again with the column",
            )
        fields[name] = schema.field(next(iter(found.values())))
    return _File(path=path, fields=fields)


def _one_type(name: str, files: Sequence[_File], origin: Origin) -> pa.DataType:
    """The one type of a column in all files; the first that does not go with it is refused."""
    seen: list[pa.DataType] = []
    for file in files:
        found = file.fields[name].type
        if found in seen:
            continue
        if seen and common_type([*seen, found]) is None:
            before = [one for one in seen if not pa.types.is_null(one)]
            raise replace(origin, file=str(file.path), column=name).refusal(
                expected=f"{before[0]}, as in the files before it",
                got=str(found),
                remedy="write every file of the folder with the same type",
            )
        seen.append(found)
    if len(seen) == 1:
        return seen[0]
    together = common_type(seen)
    return seen[0] if together is None else together


def _read_alike(files: Sequence[_File], root: Path, partitions: Mapping[str, str]) -> pa.Table:
    """Files whose columns have the same names and types, as one table."""
    fields = files[0].fields
    keys = pa.schema([(own, pa.string()) for own in partitions.values()])
    own_fields = {one.name: one for one in fields.values()}
    dataset = pa_dataset.dataset(
        [str(file.path) for file in files],
        filesystem=_DISK,
        schema=pa.schema([*own_fields.values(), *keys]),
        format=_PARQUET,
        partitioning=pa_dataset.partitioning(keys, flavor="hive"),
        partition_base_dir=str(root),
    )
    listed = [name for name, one in own_fields.items() if pa.types.is_fixed_size_list(one.type)]
    plain = [name for name in (*own_fields, *partitions.values()) if name not in listed]
    table = dataset.to_table(columns=plain)
    for name in listed:
        table = table.append_column(name, _fixed_lists(dataset, files, name))
    for name, one in own_fields.items():
        if one.type == pa.timestamp("us") and any(_is_int96(file.path, name) for file in files):
            place = table.column_names.index(name)
            times = settled_int96(table[name], _int96_seconds(files, name))
            table = table.set_column(place, name, times)
    named = {**{name: one.name for name, one in fields.items()}, **partitions}
    return pa.table([table[own] for own in named.values()], names=list(named))


def _fixed_lists(dataset: pa_dataset.Dataset, files: Sequence[_File], name: str) -> pa.ChunkedArray:
    """A column of lists of one length; with nulls, which Arrow cannot read so, of any length."""
    try:
        return dataset.to_table(columns=[name])[name]
    except pa.ArrowInvalid:
        return pa.chunked_array(
            [chunk for file in files for chunk in _plain_lists(file.path, name).chunks]
        )


def _plain_lists(path: Path, name: str) -> pa.ChunkedArray:
    """A column of lists by the types of Parquet alone, without those that Arrow noted beside."""
    with pa.OSFile(str(path)) as file:
        file.seek(file.size() - 8)
        end = file.read(8)
        file.seek(file.size() - 8 - int.from_bytes(end[:4], "little"))
        footer = file.read(int.from_bytes(end[:4], "little"))
    footer = b"PAR1" + footer.replace(_ARROW_SCHEMA, _NO_SCHEMA) + end
    metadata = pq.read_metadata(pa.BufferReader(footer))
    with pq.ParquetFile(path, metadata=metadata, page_checksum_verification=True) as file:
        return file.read(columns=[name])[name]


def _is_int96(path: Path, name: str) -> bool:
    """Whether a column holds times in the old type that Spark, Impala and Hive write."""
    schema = pq.read_metadata(path).schema
    columns = [schema.column(at) for at in range(len(schema))]
    return any(one.path == name and one.physical_type == "INT96" for one in columns)


def _int96_seconds(files: Sequence[_File], name: str) -> pa.ChunkedArray:
    """Times of INT96 in whole seconds, which reach as far as its days."""
    found = [
        pq.read_table(file.path, columns=[name], coerce_int96_timestamp_unit="s", partitioning=None)
        for file in files
    ]
    return pa.chunked_array(
        [chunk.cast(pa.timestamp("s")) for table in found for chunk in table[name].chunks],
        pa.timestamp("s"),
    )


def _settled(
    table: pa.Table, types: Mapping[str, pa.DataType], file: Path, origin: Origin
) -> pa.Table:
    """The columns of some files in the types that all files have in common."""
    for name, target in types.items():
        try:
            column = cast_exactly(table[name], target)
        except pa.ArrowInvalid as error:
            raise replace(origin, file=str(file), column=name).refusal(
                expected=f"values that {target}, as the files of the folder have them, can hold",
                got=f"{table[name].type} with others",
                remedy="write every file of the folder with the same type",
            ) from error
        table = table.set_column(table.column_names.index(name), name, column)
    return table


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


@contextmanager
def _reading(origin: Origin) -> Iterator[None]:
    """Turn a reader's errors into one line, without values that they may quote."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise origin.refusal(
            expected="a readable Parquet file or folder of Parquet files",
            got=reason_without_values(error),
            remedy="write it again, or check its format and permissions",
        ) from error
