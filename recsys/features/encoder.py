"""From the feature columns of a table to tensors: fitted once, used alike in training and scoring.

Shapes: N rows, F features of a kind, W width of a dense vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from recsys.arrays import Float32Array, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.errors import DataError
from recsys.features.scaling import RobustScaler
from recsys.features.vocabulary import Vocabulary

MISSING, UNSEEN, NUM_RESERVED = 0, 1, 2
"""Codes of a null, of a term that training did not see often enough, and of the first term."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ragged:
    """Lists of codes of different lengths, end to end."""

    codes: Tensor
    """All codes. Shape (number of codes,), int64."""
    offsets: Tensor
    """Where each row starts, and the end of the last. Shape (N + 1,), int64."""

    def take(self, rows: Tensor) -> Ragged:
        """The lists of some rows, in their order."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], lengths)
        positions = torch.arange(len(shift), device=shift.device) + shift
        return Ragged(codes=self.codes[positions], offsets=offsets)

    def to(self, device: torch.device) -> Ragged:
        """The same on another device."""
        return Ragged(codes=self.codes.to(device), offsets=self.offsets.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedTable:
    """Features of N rows as tensors, in the order of the encoder's columns of each kind."""

    categorical: Tensor
    """Codes. Shape (N, F), int64."""
    multi_hot: tuple[Ragged, ...]
    """Lists of codes, one a feature."""
    numeric: Tensor
    """Scaled values, then a flag a feature that is 1 where it is null. Shape (N, 2F), float32."""
    dense: tuple[Tensor, ...]
    """Vectors, one tensor a feature, zeros where null. Shapes (N, W), float32."""

    def __len__(self) -> int:
        return len(self.categorical)

    def take(self, rows: Tensor) -> EncodedTable:
        """Some rows, in their order."""
        return EncodedTable(
            categorical=self.categorical[rows],
            multi_hot=tuple(ragged.take(rows) for ragged in self.multi_hot),
            numeric=self.numeric[rows],
            dense=tuple(vectors[rows] for vectors in self.dense),
        )

    def to(self, device: torch.device) -> EncodedTable:
        """The same on another device."""
        return EncodedTable(
            categorical=self.categorical.to(device),
            multi_hot=tuple(ragged.to(device) for ragged in self.multi_hot),
            numeric=self.numeric.to(device),
            dense=tuple(vectors.to(device) for vectors in self.dense),
        )


@dataclass(frozen=True, kw_only=True)
class EncodedSizes:
    """What a network must know of an encoder to be built."""

    categorical: tuple[int, ...]
    """Number of codes of each categorical feature, reserved ones included."""
    multi_hot: tuple[int, ...]
    """The same for the multi-hot features."""
    num_numeric: int
    """Number of numeric features."""
    dense: tuple[int, ...]
    """Width of each dense feature."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TableEncoder:
    """Fitted columns by name; a name is in one of the four mappings.

    A null gets the code `MISSING`; a term that training did not see often enough gets `UNSEEN`. An
    empty list has no codes.
    """

    categorical: Mapping[str, Vocabulary]
    """Terms of each categorical column."""
    multi_hot: Mapping[str, Vocabulary]
    """Terms of each list column."""
    numeric: Mapping[str, RobustScaler]
    """Scale of each numeric column."""
    dense: Mapping[str, int]
    """Width of each vector column."""

    @classmethod
    def fit(cls, table: pa.Table, features: Mapping[str, FeatureConfig]) -> TableEncoder:
        """Learn terms, scales and widths.

        Args:
            table: One column a feature, typed by `recsys.datasets.load_dataset`; training rows
                only.
            features: Kind of each column.
        """
        of_kind: dict[str, list[str]] = {
            "categorical": [],
            "multi_hot": [],
            "numeric": [],
            "dense": [],
        }
        for name, feature in features.items():
            of_kind[feature.kind].append(name)
        return cls(
            categorical={
                name: Vocabulary.fit(table[name], min_count=features[name].min_count)
                for name in of_kind["categorical"]
            },
            multi_hot={
                name: Vocabulary.fit(
                    pc.list_flatten(table[name]), min_count=features[name].min_count
                )
                for name in of_kind["multi_hot"]
            },
            numeric={name: RobustScaler.fit(_floats(table[name])) for name in of_kind["numeric"]},
            dense={name: table.schema.field(name).type.list_size for name in of_kind["dense"]},
        )

    @property
    def sizes(self) -> EncodedSizes:
        """What a network must know of this encoder."""
        return EncodedSizes(
            categorical=tuple(len(terms) + NUM_RESERVED for terms in self.categorical.values()),
            multi_hot=tuple(len(terms) + NUM_RESERVED for terms in self.multi_hot.values()),
            num_numeric=len(self.numeric),
            dense=tuple(self.dense.values()),
        )

    def encode(self, table: pa.Table) -> EncodedTable:
        """Features of every row.

        Raises:
            DataError: A column has another type than at fitting.
        """
        for name, expected in self.column_types.items():
            _check_type(name, table.schema.field(name).type, expected)
        codes = [_codes(table[name], terms) for name, terms in self.categorical.items()]
        scaled, nulls = [], []
        for name, scaler in self.numeric.items():
            values = _floats(table[name])
            scaled.append(scaler.scale(values))
            nulls.append(np.isnan(values).astype(np.float32))
        return EncodedTable(
            categorical=_columns(codes, table.num_rows, np.int64),
            multi_hot=tuple(_ragged(table[name], terms) for name, terms in self.multi_hot.items()),
            numeric=_columns(scaled + nulls, table.num_rows, np.float32),
            dense=tuple(_vectors(table[name], width) for name, width in self.dense.items()),
        )

    @property
    def column_types(self) -> dict[str, pa.DataType]:
        """Type of each column that is read."""
        return {
            **{name: terms.terms.type for name, terms in self.categorical.items()},
            **{name: pa.list_(terms.terms.type) for name, terms in self.multi_hot.items()},
            **{name: pa.float32() for name in self.numeric},
            **{name: pa.list_(pa.float32(), width) for name, width in self.dense.items()},
        }


def rows_of(table: pa.Table, id_column: str, ids: pa.Array) -> pa.Table:
    """The row of each id, in the order of `ids`; all null where the table does not have it."""
    positions = pc.index_in(ids, value_set=table[id_column].combine_chunks())
    return table.combine_chunks().take(positions)


def _check_type(name: str, found: pa.DataType, expected: pa.DataType) -> None:
    if found != expected:
        raise DataError(
            file="features",
            column=name,
            expected=f"{expected}, the type it was fitted on",
            got=str(found),
            remedy="bring the feature as it was for training, or train again",
        )


def _codes(column: pa.ChunkedArray, terms: Vocabulary) -> Int64Array:
    """Code of each value."""
    numbers = terms.numbers(column)
    missing = np.asarray(column.is_null().combine_chunks())
    return np.where(missing, MISSING, np.where(numbers < 0, UNSEEN, numbers + NUM_RESERVED))


def _ragged(column: pa.ChunkedArray, terms: Vocabulary) -> Ragged:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0), dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    codes = _codes(pa.chunked_array(pc.list_flatten(column)), terms)
    return Ragged(codes=torch.from_numpy(codes), offsets=torch.from_numpy(offsets))


def _floats(column: pa.ChunkedArray) -> Float32Array:
    """Values with NaN for null."""
    return np.asarray(pc.fill_null(column, float("nan")), dtype=np.float32)


def _vectors(column: pa.ChunkedArray, width: int) -> Tensor:
    """Vectors with zeros for null."""
    vectors = np.zeros((len(column), width), dtype=np.float32)
    present = np.asarray(column.is_valid().combine_chunks())
    values = pc.drop_null(column).combine_chunks()
    flat = pc.list_flatten(values)
    vectors[present] = np.asarray(flat, dtype=np.float32).reshape(-1, width)
    return torch.from_numpy(vectors)


def _columns(
    arrays: Sequence[npt.NDArray[np.generic]], num_rows: int, dtype: type[np.generic]
) -> Tensor:
    """Arrays side by side; no columns give shape (num_rows, 0)."""
    stacked = np.stack(arrays, axis=1) if arrays else np.empty((num_rows, 0))
    return torch.from_numpy(np.ascontiguousarray(stacked, dtype=dtype))
