"""Frames of pandas, polars and Arrow: in as Arrow columns, out as the kind that came in.

pandas columns are converted one by one, so that a refusal names its column and a column that is not
needed is not read. All else comes through the Arrow C stream, without a library.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
import pyarrow as pa

from recsys.datasets.column_names import shown_names
from recsys.datasets.columns.ids import plain_column
from recsys.datasets.origin import Origin, listing
from recsys.errors import DataError

Frame: TypeAlias = Any
"""A table of pandas, polars, Arrow, or whatever else offers the Arrow C stream."""
FrameKind = Literal["pandas", "polars", "pyarrow"]
"""What results are given back as."""

_MAX_KINDS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedFrame:
    """A frame that was given as an argument.

    Args:
        name: Name of the argument, for messages.
        frame: The frame as it was given; a table of Arrow for all but pandas.
        names: Its columns; named levels of a pandas index are columns too.
        kind: What it was.
    """

    name: str
    frame: Frame
    names: tuple[str, ...]
    kind: FrameKind

    def origin(self, column: str = "") -> Origin:
        """The argument, or a column of it."""
        return Origin(file=self.name, column=column)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column as Arrow has it.

        Raises:
            DataError: Values that Arrow has no type for, or of several types.
        """
        is_pandas = isinstance(self.frame, pd.DataFrame)
        column: pa.ChunkedArray = self._from_pandas(name) if is_pandas else self.frame[name]
        if isinstance(column.type, pa.BaseExtensionType):
            return column
        try:
            return plain_column(_with_plain_terms(column))
        except pa.ArrowException as error:
            raise self.origin(name).refusal(
                expected="times, numbers or text",
                got=f"categories of another type, {column.type.value_type}",
                remedy="convert the column, e.g. to text with .astype(str)",
            ) from error

    @property
    def num_rows(self) -> int:
        """Rows."""
        return len(self.frame)

    def _from_pandas(self, name: str) -> pa.ChunkedArray:
        frame = self.frame
        if name in frame.columns:
            values = frame[name]
        else:
            values = frame.index.get_level_values(name).to_series()
        try:
            found = _array_of(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise self.origin(name).refusal(
                expected="values of one type that Arrow has",
                got=_types_of(values),
                remedy="convert the column, e.g. to text with .astype(str)",
            ) from error
        if str(getattr(found.type, "extension_name", "")).startswith("pandas."):
            raise self.origin(name).refusal(
                expected="times, numbers or text",
                got=str(values.dtype),
                remedy="convert the column; periods have .dt.to_timestamp()",
            )
        return found


def named_frame(frame: Frame, name: str) -> NamedFrame:
    """A frame under the name of its argument.

    Raises:
        DataError: It is not a frame, has no column, or columns that cannot be distinguished.
    """
    if isinstance(frame, pd.DataFrame):
        levels = [level for level in frame.index.names if level is not None]
        names = [*frame.columns, *(level for level in levels if level not in frame.columns)]
        kind: FrameKind = "pandas"
        found = frame
    else:
        found, kind = _arrow_table(frame, name), _kind_of(frame)
        names = list(found.column_names)
    _check_names(names, name)
    return NamedFrame(name=name, frame=found, names=tuple(names), kind=kind)


def as_kind(table: pa.Table, kind: FrameKind, *, index: pd.Index | None = None) -> Frame:
    """A result as the kind of frame that came in.

    Args:
        table: The result.
        kind: What came in.
        index: The index of the pandas frame whose rows the result has, in their order.
    """
    if kind == "pandas":
        frame = table.to_pandas()
        return frame if index is None else frame.set_axis(index, axis="index")
    if kind == "polars":
        import polars

        return polars.from_arrow(table)
    return table


def is_frame(given: object) -> bool:
    """Whether something is a table, and no single column or list."""
    return hasattr(given, "columns") or hasattr(given, "column_names")


def values_of(values: Frame, name: str) -> pa.ChunkedArray:
    """Ids that were given as a list, an array or a column.

    Raises:
        DataError: They are not ids, or of several types.
    """
    try:
        if isinstance(values, pa.ChunkedArray):
            return values
        if isinstance(values, str | bytes):
            raise TypeError("one id")
        return _array_of(list(values) if isinstance(values, set | frozenset | range) else values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Origin(file=name).refusal(
            expected="a list, an array or a column of ids of one type",
            got=_types_of(pd.Series(list(values), dtype=object))
            if isinstance(values, list | tuple)
            else type(values).__name__,
            remedy="give ids as they are in the log",
        ) from error


def reader_of(frames: Mapping[str, NamedFrame]) -> Reader:
    """A reader of frames by the names of their arguments, in place of `read_table`."""
    return Reader(frames=frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """Reads columns of frames as `recsys.datasets.reading.tables.read_table` does of files."""

    frames: Mapping[str, NamedFrame]
    """Frames by the name of their argument."""

    def __call__(
        self,
        path: Path,
        *,
        columns: Sequence[str] | None = None,
        optional: Sequence[str] = (),
        delimiter: str = ",",  # noqa: ARG002  frames have none
    ) -> pa.Table:
        """The columns of the frame whose argument is called so.

        Raises:
            DataError: A column is missing.
        """
        frame = self.frames[str(path)]
        asked = frame.names if columns is None else columns
        wanted = dict.fromkeys([*asked, *(name for name in optional if name in frame.names)])
        return pa.table({name: _required(frame, name) for name in wanted})


def _array_of(values: Frame) -> pa.ChunkedArray:
    """A column of whatever Arrow can take; missing values of pandas are nulls."""
    if hasattr(values, "__arrow_c_stream__"):  # of a time with a zone pa.array would warn
        return pa.chunked_array(values)
    found = pa.array(values, from_pandas=True)
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _with_plain_terms(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories whose terms are views, as polars has them, with terms that Arrow can take."""
    kind = column.type
    if not pa.types.is_dictionary(kind) or not pa.types.is_string_view(kind.value_type):
        return column
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string()))
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, type=pa.dictionary(kind.index_type, pa.string()))


def _required(frame: NamedFrame, name: str) -> pa.ChunkedArray:
    if name not in frame.names:
        raise frame.origin(name).refusal(
            expected="one column of that name",
            got=f"none among {shown_names(frame.names, [name])}",
            remedy="correct the keyword that names the column, or add it",
        )
    return frame.column(name)


def _arrow_table(frame: Frame, name: str) -> pa.Table:
    if hasattr(frame, "collect") and not hasattr(frame, "__arrow_c_stream__"):
        raise _no_frame(name, type(frame).__name__, "collect it first: frame.collect()")
    if not hasattr(frame, "__arrow_c_stream__"):
        remedy = "make a frame of it, e.g. with pandas.DataFrame(...)"
        raise _no_frame(name, type(frame).__name__, remedy)
    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError, RuntimeError) as error:
        remedy = "convert columns of objects, or leave them out"
        got = f"a {type(frame).__name__} that Arrow cannot take"
        raise _no_frame(name, got, remedy) from error


def _no_frame(name: str, got: str, remedy: str) -> DataError:
    return Origin(file=name).refusal(
        expected="a table of pandas, polars or Arrow", got=got, remedy=remedy
    )


def _kind_of(frame: Frame) -> FrameKind:
    polars = sys.modules.get("polars")
    return "polars" if polars is not None and isinstance(frame, polars.DataFrame) else "pyarrow"


def _check_names(names: Sequence[object], argument: str) -> None:
    """Refuse names that are not text, or that two columns have."""
    origin = Origin(file=argument)
    others = [name for name in names if not isinstance(name, str)]
    if others or not names:
        raise origin.refusal(
            expected="columns whose names are text",
            got=f"{type(others[0]).__name__} {others[0]!r}" if others else "no column",
            remedy="name the columns, e.g. frame.columns = [...]",
        )
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise origin.refusal(
            expected="each name of a column once",
            got=f"{listing(repeated)} several times",
            remedy="rename the columns or drop some",
        )


def _types_of(values: pd.Series) -> str:
    """The Python types among values, for a message that shows no value."""
    kinds = sorted({type(value).__name__ for value in values.dropna()})
    shown = " and ".join([", ".join(kinds[: _MAX_KINDS - 1]), *kinds[_MAX_KINDS - 1 : _MAX_KINDS]])
    return f"values of type {shown}" if kinds else f"{values.dtype}"
