"""Guesses what the columns of unknown tables are; a person corrects the guess once, in TOML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recsys.datasets.column_names import KNOWN_NAMES, folded
from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.columns.feature_columns import FeatureKind

_MAX_TERMS_SHARE = 0.5
"""Texts of which more than this share are distinct are names or prose, not categories."""
_MAX_CODES = 100
"""Integers with at most this many distinct values are codes; with more they are numbers."""


def guess_column(names: Sequence[str], standard_name: str) -> str | None:
    """The column that a standard name most likely stands for; None where no name is known."""
    lowered = {folded(name): name for name in reversed(names)}
    found = [lowered[known] for known in KNOWN_NAMES[standard_name] if known in lowered]
    return found[0] if found else None


def guess_time_unit(column: pa.ChunkedArray) -> TimeUnit | None:
    """Unit of integers that count from 1970, by their size; None for other columns."""
    if not pt.is_integer(column.type) or len(column) == column.null_count:
        return None
    digits = len(str(abs(pc.max(column).as_py())))
    if digits <= 11:
        return "s"
    if digits <= 14:
        return "ms"
    return "us" if digits <= 17 else "ns"


def guess_features(table: pa.Table, *, besides: Sequence[str]) -> dict[str, FeatureKind]:
    """Kind of each column that looks like a feature; ids, titles and prose are left out.

    Args:
        table: Users or items as they were read.
        besides: Columns that are something else.
    """
    kinds = {name: _kind(table[name]) for name in table.column_names if name not in besides}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _kind(column: pa.ChunkedArray) -> FeatureKind | None:
    kind = column.type
    if pt.is_fixed_size_list(kind) and pt.is_floating(kind.value_type):
        return "dense"
    if pt.is_list(kind) or pt.is_large_list(kind):
        return _kind_of_lists(column)
    if pt.is_floating(kind):
        return "numeric"
    if not (pt.is_integer(kind) or pt.is_boolean(kind) or _is_text(kind)):
        return None
    num_values = len(column) - column.null_count
    num_terms = pc.count_distinct(column).as_py()
    if pt.is_integer(kind):
        return "categorical" if num_terms <= _MAX_CODES else "numeric"
    return "categorical" if num_terms <= max(1, num_values * _MAX_TERMS_SHARE) else None


def _kind_of_lists(column: pa.ChunkedArray) -> FeatureKind | None:
    values = column.type.value_type
    if not pt.is_floating(values):
        return "multi_hot" if pt.is_integer(values) or _is_text(values) else None
    lengths = np.unique(np.asarray(pc.drop_null(pc.list_value_length(column))))
    return "dense" if len(lengths) == 1 else None


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))
