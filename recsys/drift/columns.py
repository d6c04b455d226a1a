"""Columns compared between blocks of days, with a verdict that follows from the data.

Shapes: N rows, K blocks, B bins, D width of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from recsys.arrays import BoolArray, Float64Array, FloatArray, Int64Array
from recsys.drift.bins import BinnedColumn, by_quantile, by_rank, by_term
from recsys.drift.config import DriftConfig
from recsys.drift.stability import (
    Chance,
    chance_of,
    contributions,
    design_effect,
    num_occupied,
    population_stability,
)
from recsys.drift.windows import CURRENT, OUTSIDE

Kind = Literal["numeric", "categorical", "frequency", "embedding"]
Verdict = Literal["stable", "moderate", "major"]

VERDICTS: tuple[Verdict, ...] = ("stable", "moderate", "major")
"""From the least to the worst."""
MAX_DIRECTIONS = 8
"""Principal directions of an embedding that are looked at."""

_MIN_WEEK_SHARE = 0.5  # of the rows of the usual week; smaller weeks are not used


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """What is compared: a value a row, and the block that the row lies in."""

    name: str
    """What it is called in reports."""
    kind: Kind
    """numeric by quantiles, categorical by term, frequency by how often the reference has the
    term, embedding by principal directions."""
    values: pa.Array | FloatArray
    """One a row, null or NaN where missing; shape (N,), of an embedding (N, D) without missing."""
    blocks_N: Int64Array  # noqa: N815 - the shape, as everywhere
    """0 for the current sample, 1 and up for parts of the reference, -1 for neither. Shape (N,)."""
    groups_N: Int64Array | None = None  # noqa: N815
    """Number of the user or account of each row; None where rows stand alone. Shape (N,)."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """The bin that adds most to the index."""

    bin: str
    """What it holds."""
    reference_share: float
    """Share of the reference."""
    current_share: float
    """Share of the current sample."""


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """How far a column is from its reference."""

    name: str
    """The column."""
    kind: Kind
    """How it was compared."""
    psi: float
    """Population stability index; of an embedding, the largest of its directions."""
    mean_psi: float
    """The mean over the directions of an embedding; of other columns the same as `psi`."""
    expected: float
    """What chance alone gives on average."""
    spread: float
    """Standard deviation of that."""
    bound: float
    """What chance alone exceeds once in a thousand times."""
    yardstick: float | None
    """The largest index of a week of the reference against its other weeks; None if too short."""
    num_reference: int
    """Rows of the reference."""
    num_current: int
    """Rows of the current sample."""
    design_effect: float
    """By how much chance is larger because rows of one user or account depend on each other."""
    num_bins: int
    """Occupied bins."""
    shift: Shift
    """Where the difference is."""
    verdict: Verdict
    """What follows."""


def number_terms(values: pa.Array) -> Int64Array:
    """A number for each value, the same for the same ones; for `Column.groups_N`. Shape (N,)."""
    return np.asarray(values.dictionary_encode().indices, dtype=np.int64)


def verdict_of(
    psi: float, *, bound: float, yardstick: float | None, config: DriftConfig
) -> Verdict:
    """Drift is an index above its limit, the bound of chance, and what earlier weeks showed."""
    usual = max(bound, yardstick or 0.0)
    if psi > max(config.major, usual):
        return "major"
    return "moderate" if psi > max(config.moderate, usual) else "stable"


def compare(column: Column, config: DriftConfig) -> ColumnDrift | None:
    """Compare the current sample with the reference; None where one of them has no rows."""
    used_N = column.blocks_N != OUTSIDE
    blocks_N = column.blocks_N[used_N]
    if not (blocks_N == CURRENT).any() or not (blocks_N > CURRENT).any():
        return None
    groups_N = None if column.groups_N is None else column.groups_N[used_N]
    used = replace(
        column, values=_where(column.values, used_N), blocks_N=blocks_N, groups_N=groups_N
    )
    if column.kind != "embedding":
        return _compare(used, config, num_tests=1)
    projected_ND = _projections(np.asarray(used.values, dtype=np.float64), blocks_N > CURRENT)
    found = [
        _compare(
            replace(used, kind="numeric", values=values_N), config, num_tests=len(projected_ND.T)
        )
        for values_N in projected_ND.T
    ]
    yardstick = max((one.yardstick for one in found if one.yardstick is not None), default=None)
    number, largest = max(enumerate(found), key=lambda one: one[1].psi)
    return replace(
        largest,
        kind="embedding",
        mean_psi=float(np.mean([one.psi for one in found])),
        yardstick=yardstick,
        shift=replace(largest.shift, bin=f"direction {number + 1} {largest.shift.bin}"),
        verdict=verdict_of(largest.psi, bound=largest.bound, yardstick=yardstick, config=config),
    )


def _compare(column: Column, config: DriftConfig, *, num_tests: int) -> ColumnDrift:
    """Compare a column that is no embedding; all rows are used, and both samples have some."""
    num_blocks = int(column.blocks_N.max()) + 1
    weeks = list(range(1, num_blocks))
    binned = _binned(column, num_blocks)
    reference_B, current_B = binned.counts(weeks, CURRENT)
    effect = _design_effect(column, binned, weeks)
    chance = _chance(reference_B, current_B, effect, num_tests)
    psi = population_stability(reference_B, current_B)
    yardstick = _yardstick(binned, weeks, np.bincount(column.blocks_N), chance, effect)
    return ColumnDrift(
        name=column.name,
        kind=column.kind,
        psi=psi,
        mean_psi=psi,
        expected=chance.expected,
        spread=chance.spread,
        bound=chance.bound,
        yardstick=yardstick,
        num_reference=int(reference_B.sum()),
        num_current=int(current_B.sum()),
        design_effect=effect,
        num_bins=num_occupied(reference_B, current_B),
        shift=_largest_shift(reference_B, current_B, list(binned.labels)),
        verdict=verdict_of(psi, bound=chance.bound, yardstick=yardstick, config=config),
    )


def _binned(column: Column, num_blocks: int) -> BinnedColumn:
    if column.kind == "numeric":
        return by_quantile(_numbers(column.values), column.blocks_N, num_blocks)
    by = by_rank if column.kind == "frequency" else by_term
    return by(column.values, column.blocks_N, num_blocks)


def _design_effect(column: Column, binned: BinnedColumn, weeks: list[int]) -> float:
    if column.groups_N is None:
        return 1.0
    is_current_N = column.blocks_N == CURRENT
    bins_N = binned.bins_of_rows(is_current_N, weeks)
    return design_effect(bins_N, is_current_N, column.groups_N, len(binned.labels))


def _yardstick(
    binned: BinnedColumn, weeks: list[int], rows_K: Int64Array, chance: Chance, effect: float
) -> float | None:
    """The largest index of a week against the others, scaled to the size of the current sample."""
    present = [week for week in weeks if rows_K[week]]
    usual = float(np.median(rows_K[present]))
    compared = [week for week in present if rows_K[week] >= _MIN_WEEK_SHARE * usual]
    if len(compared) < 2:
        return None
    found = []
    for week in compared:
        others_B, week_B = binned.counts([one for one in present if one != week], week)
        expected = _chance(others_B, week_B, effect, num_tests=1).expected
        found.append(population_stability(others_B, week_B) - expected)
    return max(*found, 0.0) + chance.expected


def _chance(
    reference_B: Int64Array, current_B: Int64Array, effect: float, num_tests: int
) -> Chance:
    return chance_of(
        num_occupied(reference_B, current_B),
        int(reference_B.sum()),
        int(current_B.sum()),
        effect=effect,
        num_tests=num_tests,
    )


def _largest_shift(reference_B: Int64Array, current_B: Int64Array, labels: list[str]) -> Shift:
    place = int(np.argmax(contributions(reference_B, current_B)))
    return Shift(
        bin=labels[place],
        reference_share=float(reference_B[place] / reference_B.sum()),
        current_share=float(current_B[place] / current_B.sum()),
    )


def _projections(vectors_ND: Float64Array, is_reference_N: BoolArray) -> Float64Array:
    """Vectors along the principal directions of the reference, the widest first. Shape (N, D)."""
    centred_ND = vectors_ND - vectors_ND[is_reference_N].mean(0)
    reference_ND = centred_ND[is_reference_N]
    _, directions_DD = np.linalg.eigh(reference_ND.T @ reference_ND)
    return np.asarray(centred_ND @ directions_DD[:, ::-1][:, :MAX_DIRECTIONS])


def _numbers(values: pa.Array | FloatArray) -> Float64Array:
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)
    numbers = values.cast(pa.float64(), safe=False)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _where(values: pa.Array | FloatArray, used_N: BoolArray) -> pa.Array | FloatArray:
    if isinstance(values, np.ndarray):
        return values[used_N]
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return flat if used_N.all() else flat.filter(pa.array(used_N))
