"""Bins that are learnt from a reference: quantiles of numbers, frequent terms, frequencies.

Rows are counted once, by bin or term and by block of days; comparing some blocks with another is
then a sum over that table.

Shapes: N rows, K blocks, T terms, V rows of the table, B bins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import BoolArray, Float64Array, Int64Array

NUM_QUANTILES = 10
MAX_TERMS, COVERED = 50, 0.95
MISSING, OTHER, UNSEEN = "missing", "other", "unseen"
RANKS = (0.2, 0.5, 0.8, 0.95)
"""Shares of the rows that the most frequent terms cover, where bins of frequency end."""
RANK_LABELS = tuple(
    f"rank {low:.0%} to {high:.0%}" for low, high in zip((0, *RANKS), (*RANKS, 1), strict=True)
)
"""What bins of frequency hold, by the share of rows that the terms before them cover."""

_MIN_TERM_ROWS = 20  # so that a quarter as many rows still holds the term five times
_SEED = 0  # of the division of the reference: the same counts give the same index


@dataclass(frozen=True, kw_only=True, eq=False)
class NumericBins:
    """Quantiles of the reference; a bin of its own for each value that many rows share."""

    edges: Float64Array
    """Upper ends of the bins, inclusive; ascending."""
    starts: Float64Array
    """Those among them where a bin begins as well: it holds that value alone. Ascending."""

    @classmethod
    def fit(cls, values_N: Float64Array, num_quantiles: int = NUM_QUANTILES) -> NumericBins:
        """Edges are values of the sample, so that an increasing transform keeps the bins.

        Args:
            values_N: The reference; NaN is missing.
            num_quantiles: Bins, if no value is frequent.
        """
        values_N = np.sort(values_N[~np.isnan(values_N)])
        if not len(values_N):
            return cls(edges=np.empty(0), starts=np.empty(0))
        shares = np.arange(1, num_quantiles) / num_quantiles
        edges = np.unique(np.quantile(values_N, shares, method="inverted_cdf"))
        rows = np.searchsorted(values_N, edges, "right") - np.searchsorted(values_N, edges, "left")
        return cls(edges=edges, starts=edges[rows * num_quantiles >= len(values_N)])

    def __len__(self) -> int:
        return len(self.edges) + len(self.starts) + 2

    def codes(self, values_N: Float64Array) -> Int64Array:
        """Bin of each value, the last one for missing values. Shape (N,)."""
        above_N = np.searchsorted(self.edges, values_N, "left")
        from_N = np.searchsorted(self.starts, values_N, "right")
        return np.where(np.isnan(values_N), len(self) - 1, above_N + from_N).astype(np.int64)

    @property
    def labels(self) -> list[str]:
        """What each bin holds, for people."""
        cuts = sorted([(edge, ">") for edge in self.edges] + [(one, "≥") for one in self.starts],
                      key=lambda cut: (cut[0], cut[1] == ">"))  # fmt: skip
        lows = ["", *(f"{sign} {value:.6g}" for value, sign in cuts)]
        highs = [*(f"{'≤' if sign == '>' else '<'} {value:.6g}" for value, sign in cuts), ""]
        return [_between(low, high) for low, high in zip(lows, highs, strict=True)] + [MISSING]


@dataclass(frozen=True, kw_only=True, eq=False)
class BinnedColumn:
    """A column as codes of values, with a table of its rows by value and block."""

    codes_N: Int64Array  # noqa: N815 - the shape, as everywhere
    """Code of each row's value. Shape (N,)."""
    table_VK: Int64Array  # noqa: N815
    """Rows of each value and block. Shape (V, K)."""
    counted_VK: Int64Array  # noqa: N815
    """Rows that are counted where a block is a part of the reference. Shape (V, K)."""
    bins: Callable[[list[int]], tuple[Int64Array, Int64Array]]
    """From the blocks of a reference to the bin of each value in a row of it, and in a row of what
    is compared with it."""
    labels: Sequence[str]
    """What each bin holds."""

    def counts(self, base: list[int], probe: int) -> tuple[Int64Array, Int64Array]:
        """Rows of some blocks, the reference, and of another one in the same bins. Shape (B,)."""
        of_base_V, of_probe_V = self.bins(base)
        return (
            self._sums(of_base_V, self.counted_VK[:, base].sum(1)),
            self._sums(of_probe_V, self.table_VK[:, probe]),
        )

    def bins_of_rows(self, is_probe_N: BoolArray, base: list[int]) -> Int64Array:
        """Bin of each row, of the reference or of what is compared with it. Shape (N,)."""
        of_base_V, of_probe_V = self.bins(base)
        return np.where(is_probe_N, of_probe_V[self.codes_N], of_base_V[self.codes_N])

    def _sums(self, bins_V: Int64Array, rows_V: Int64Array) -> Int64Array:
        return np.bincount(bins_V, weights=rows_V, minlength=len(self.labels)).astype(np.int64)


def by_quantile(values_N: Float64Array, blocks_N: Int64Array, num_blocks: int) -> BinnedColumn:
    """Numbers by quantiles of the reference, which are blocks 1 and up; NaN is missing."""
    found = NumericBins.fit(values_N[blocks_N > 0])
    codes_N, same_V = found.codes(values_N), np.arange(len(found))
    table_VK = crosstab(codes_N, blocks_N, (len(found), num_blocks))
    return BinnedColumn(
        codes_N=codes_N,
        table_VK=table_VK,
        counted_VK=table_VK,
        bins=lambda _: (same_V, same_V),
        labels=found.labels,
    )


def by_term(values: pa.Array, blocks_N: Int64Array, num_blocks: int) -> BinnedColumn:
    """Terms by themselves if they are frequent in the reference, else `other` or `unseen`.

    A row of the sample is unseen if the reference lacks its term; a row of the reference, if the
    rest of the reference lacks it. So both are unseen equally often (Good 1953, Biometrika 40: the
    share of terms seen once predicts that of terms not seen yet), and a long tail is not taken for
    drift.
    """
    terms, codes_N, table_VK = _coded(values, blocks_N, num_blocks)
    frequent = _frequent(table_VK[:-1, 1:].sum(1))
    own_V = np.full(len(table_VK), -1, dtype=np.int64)
    own_V[frequent] = np.arange(len(frequent))
    other, own_V[-1], unseen = (len(frequent) + place for place in range(3))

    def bins(base: list[int]) -> tuple[Int64Array, Int64Array]:
        rows_V = table_VK[:, base].sum(1)
        of_base_V, of_probe_V = (
            np.where(own_V >= 0, own_V, np.where(rows_V > others, other, unseen))
            for others in (1, 0)
        )
        return of_base_V, of_probe_V

    return BinnedColumn(
        codes_N=codes_N,
        table_VK=table_VK,
        counted_VK=table_VK,
        bins=bins,
        labels=[*(str(terms[int(place)]) for place in frequent), OTHER, MISSING, UNSEEN],
    )


def by_rank(values: pa.Array, blocks_N: Int64Array, num_blocks: int) -> BinnedColumn:
    """Terms by how frequent they are in the reference: `RANK_LABELS`, missing, unseen.

    A random half of the reference ranks the terms, and the other half is counted: with the same
    rows for both, terms that were frequent by chance would seem to decline.
    """
    _, codes_N, table_VK = _coded(values, blocks_N, num_blocks)
    ranking_VK = np.random.default_rng(_SEED).binomial(table_VK, 0.5)
    missing, unseen = len(RANK_LABELS), len(RANK_LABELS) + 1

    def bins(base: list[int]) -> tuple[Int64Array, Int64Array]:
        ranking_T = ranking_VK[:-1, base].sum(1)
        order = np.argsort(-ranking_T, kind="stable")
        before = np.cumsum(ranking_T[order]) - ranking_T[order]
        bins_V = np.full(len(table_VK), missing, dtype=np.int64)
        bins_V[order] = np.searchsorted(RANKS, before / max(ranking_T.sum(), 1), "right")
        bins_V[:-1][ranking_T == 0] = unseen
        return bins_V, bins_V

    return BinnedColumn(
        codes_N=codes_N,
        table_VK=table_VK,
        counted_VK=table_VK - ranking_VK,
        bins=bins,
        labels=[*RANK_LABELS, MISSING, UNSEEN],
    )


def crosstab(codes_N: Int64Array, blocks_N: Int64Array, shape: tuple[int, int]) -> Int64Array:
    """Rows of each code and block. Shape (V, K)."""
    counts = np.bincount(codes_N * shape[1] + blocks_N, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.int64)


def _coded(
    values: pa.Array, blocks_N: Int64Array, num_blocks: int
) -> tuple[pa.Array, Int64Array, Int64Array]:
    """Terms in ascending order, the code of each row, and the rows of each code and block.

    The last code is that of rows without a term.
    """
    encoded = values.dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary), dtype=np.int64)
    places = np.append(np.argsort(order), len(order))
    codes_N = places[np.asarray(encoded.indices.fill_null(len(order)), dtype=np.int64)]
    table_VK = crosstab(codes_N, blocks_N, (len(order) + 1, num_blocks))
    return encoded.dictionary.take(pa.array(order)), codes_N, table_VK


def _frequent(rows_T: Int64Array) -> Int64Array:
    """Places of the terms that have a bin of their own, the most frequent first.

    They cover `COVERED` of the rows, are at most `MAX_TERMS`, and none has very few rows.
    """
    order = np.argsort(-rows_T, kind="stable")
    before = np.cumsum(rows_T[order]) - rows_T[order]
    is_needed = (before < COVERED * rows_T.sum()) & (rows_T[order] >= _MIN_TERM_ROWS)
    return np.asarray(order[is_needed][:MAX_TERMS], dtype=np.int64)


def _between(low: str, high: str) -> str:
    if low.startswith("≥") and low[1:] == high[1:]:
        return f"={low[1:]}"
    return " and ".join(part for part in (low, high) if part) or "any"
