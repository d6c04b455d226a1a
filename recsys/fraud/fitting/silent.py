"""Columns that say nothing: one value in every row. They are dropped, and named.

What a model makes of such a column is the noise of its own rounding, and a calibration would
stretch that to surprise: all times at midnight would make an unusual hour.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recsys.features.encoder import EncodedTable, TableEncoder
from recsys.fraud.embedding.inputs import HOUR
from recsys.fraud.scoring.tails import Tail

_UNREACHED = 1e30  # what no evidence exceeds


def silent_columns(encoder: TableEncoder, rows: EncodedTable) -> tuple[str, ...]:
    """Columns with one value in all rows, in the order of the encoder.

    Args:
        encoder: Of the columns.
        rows: Transactions, encoded.
    """
    numeric = rows.numeric.numpy()  # values, then what is null
    values = {
        **dict(zip(encoder.categorical, rows.categorical.numpy().T[:, None], strict=True)),
        **dict(zip(encoder.numeric, zip(*np.split(numeric.T, 2), strict=True), strict=True)),
    }
    return tuple(name for name, parts in values.items() if all(map(_is_constant, parts)))


def _is_constant(values_N: npt.NDArray[np.generic]) -> bool:
    return len(values_N) > 0 and bool(np.all(values_N == values_N[0]))


def silenced(
    tails: Sequence[Tail], kinds: Sequence[str], silent: Sequence[str]
) -> tuple[Tail, ...]:
    """Calibrations by which the evidence of silent columns is never unusual.

    Args:
        tails: One a kind of evidence.
        kinds: Their names.
        silent: Names of the columns.
    """
    quiet = {f"reconstruction_{name}" for name in silent} | ({"hour"} if HOUR in silent else set())
    return tuple(
        replace(tail, quantiles=np.full_like(tail.quantiles, _UNREACHED), rate=0.0)
        if kind in quiet
        else tail
        for tail, kind in zip(tails, kinds, strict=True)
    )
