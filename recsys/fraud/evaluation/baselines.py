"""Baseline detectors that users might use instead: amount alone, isolation forest, neighbours.

They use no labels. `BaselineInputs` turns a table into their input matrix; each detector is fitted
on the matrix of the training rows and gives a score a row, higher for more anomalous. Rows are
scored in blocks, so that memory does not grow with their number, and each row by itself.

Shapes: N rows, F columns of the matrix, K neighbours, T terms of a feature and one for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from sklearn import ensemble, neighbors

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.config import config_class
from recsys.datasets.dataset import FeatureConfig
from recsys.errors import ConfigError, DataError
from recsys.features.scaling import RobustScaler
from recsys.features.vocabulary import Vocabulary
from recsys.schema import AMOUNT, EVENT_TIME
from recsys.time_units import US_PER_DAY

AMOUNT_COLUMN = 0
"""Column of the matrix of `BaselineInputs` that has the logarithm of the amount."""
_MAX_ONE_HOT = 32
_BLOCK_ROWS = 1 << 16


class FittedBaseline(Protocol):
    """A detector that can score."""

    def score(self, x_NF: Float32Array) -> Float64Array:
        """How anomalous each row is, higher for more. Shape (N,), finite."""
        ...


class Baseline(Protocol):
    """A detector and its settings."""

    def fit(self, x_NF: Float32Array) -> FittedBaseline:
        """Learn what is usual from training rows, frauds among them.

        Raises:
            DataError: There is no row.
        """
        ...


@dataclass(frozen=True)
class AmountAlone:
    """The higher the amount, the more anomalous."""

    def fit(self, x_NF: Float32Array) -> AmountAlone:
        """Nothing is learned."""
        _check_rows(x_NF)
        return self

    def score(self, x_NF: Float32Array) -> Float64Array:
        """The logarithm of the amount, which orders rows as the amount does. Shape (N,)."""
        return x_NF[:, AMOUNT_COLUMN].astype(np.float64)


@config_class
class IsolationForest:
    """Rows that random splits isolate after few steps (Liu, Ting and Zhou 2008, ICDM)."""

    seed: int = Field(ge=0, lt=1 << 32)
    """Seed of the trees."""
    num_trees: int = Field(default=100, ge=1)
    """Number of trees, each grown on at most 256 rows."""

    def fit(self, x_NF: Float32Array) -> FittedIsolationForest:
        """Grow the trees."""
        _check_rows(x_NF)
        forest = ensemble.IsolationForest(n_estimators=self.num_trees, random_state=self.seed)
        return FittedIsolationForest(forest=forest.fit(x_NF))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedIsolationForest:
    """The trees of an `IsolationForest`."""

    forest: ensemble.IsolationForest
    """What scikit-learn has fitted."""

    def score(self, x_NF: Float32Array) -> Float64Array:
        """Anomaly score of the paper, in (0, 1). Shape (N,)."""
        # scikit-learn has the opposite sign: there, lower is more anomalous.
        return _in_blocks(lambda x_BF: -self.forest.score_samples(x_BF), x_NF)


@config_class
class NearestNeighbours:
    """Distance to the K-th nearest training row (Ramaswamy, Rastogi and Shim 2000, SIGMOD).

    Equal training rows count once: frauds repeat, and K copies of one would make it look usual.
    """

    seed: int = Field(ge=0, lt=1 << 32)
    """Seed of the choice of training rows."""
    num_neighbours: int = Field(default=5, ge=1)
    """K; all rows if there are fewer."""
    max_rows: int = Field(default=20_000, ge=1)
    """Distinct training rows to keep, chosen at random."""

    def fit(self, x_NF: Float32Array) -> FittedNearestNeighbours:
        """Choose the training rows."""
        _check_rows(x_NF)
        kept_NF = _distinct_sample(x_NF, self.max_rows, np.random.default_rng(self.seed))
        index = neighbors.NearestNeighbors(
            n_neighbors=min(self.num_neighbours, len(kept_NF)), algorithm="brute"
        )
        return FittedNearestNeighbours(index=index.fit(kept_NF))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedNearestNeighbours:
    """The training rows of `NearestNeighbours`."""

    index: neighbors.NearestNeighbors
    """What scikit-learn has fitted."""

    def score(self, x_NF: Float32Array) -> Float64Array:
        """Distance to the K-th nearest training row; a row that was kept is its own first. (N,)."""
        return _in_blocks(lambda x_BF: self.index.kneighbors(x_BF)[0][:, -1], x_NF)


@dataclass(frozen=True, kw_only=True, eq=False)
class BaselineInputs:
    """Transactions as the numbers that a plain detector takes, fitted on training rows.

    Columns are the signed logarithm of the amount, the hour of the day (UTC) as sine and cosine,
    each numeric feature scaled robustly, 0 where null, and each categorical feature: one column a
    term where there are at most 32, else one column, the scaled share of the training rows that
    have the term. What is null, rare (below `min_count`) or not known counts as one more term.
    """

    numeric: Mapping[str, RobustScaler]
    """Scale of each numeric feature."""
    one_hot: Mapping[str, Vocabulary]
    """Terms of each feature that gets a column a term."""
    frequency: Mapping[str, TermShares]
    """Terms of each other categorical feature, with their shares."""

    @classmethod
    def fit(cls, table: pa.Table, features: Mapping[str, FeatureConfig]) -> BaselineInputs:
        """Learn terms, shares and scales.

        Args:
            table: Columns amount and event_time, and one a feature; training rows only.
            features: Kind of each feature.

        Raises:
            ConfigError: A feature that is neither categorical nor numeric.
        """
        _check_kinds(features)
        terms = {
            name: Vocabulary.fit(table[name], min_count=feature.min_count)
            for name, feature in features.items()
            if feature.kind == "categorical"
        }
        few = {name: known for name, known in terms.items() if len(known) <= _MAX_ONE_HOT}
        numeric = [name for name, feature in features.items() if feature.kind == "numeric"]
        return cls(
            numeric={name: RobustScaler.fit(_floats(table[name])) for name in numeric},
            one_hot=few,
            frequency={
                name: TermShares.fit(table[name], known)
                for name, known in terms.items()
                if name not in few
            },
        )

    def encode(self, table: pa.Table) -> Float32Array:
        """The matrix of a table, row by row. Shape (N, F), float32, finite.

        Raises:
            DataError: A categorical column has another type than at fitting.
        """
        amounts_N = np.nan_to_num(_floats(table[AMOUNT]), posinf=0.0, neginf=0.0)
        angles_N = _time_of_day(table[EVENT_TIME]) * (2 * np.pi)
        columns = [
            np.sign(amounts_N) * np.log1p(np.abs(amounts_N)),
            np.sin(angles_N),
            np.cos(angles_N),
            *(scaler.scale(_floats(table[name])) for name, scaler in self.numeric.items()),
            *(shares.scale(table[name]) for name, shares in self.frequency.items()),
        ]
        one_hot = [_one_hot(table[name], terms) for name, terms in self.one_hot.items()]
        return np.column_stack([np.stack(columns, axis=1).astype(np.float32), *one_hot])


@dataclass(frozen=True, kw_only=True, eq=False)
class TermShares:
    """How common each term of a feature is."""

    terms: Vocabulary
    """The terms that are not rare."""
    scaled_shares: Float32Array
    """Share of the training rows with each term, the last for all others, scaled. Shape (T,)."""

    @classmethod
    def fit(cls, column: pa.ChunkedArray, terms: Vocabulary) -> TermShares:
        """Count the terms of the training rows."""
        numbers_N = _term_numbers(column, terms)
        counts_T = np.bincount(numbers_N, minlength=len(terms) + 1)
        shares_T = counts_T / max(len(numbers_N), 1)
        scaler = RobustScaler.fit(shares_T[numbers_N])
        return cls(terms=terms, scaled_shares=scaler.scale(shares_T))

    def scale(self, column: pa.ChunkedArray) -> Float32Array:
        """The scaled share of the term of each row. Shape (N,)."""
        return self.scaled_shares[_term_numbers(column, self.terms)]


def _check_kinds(features: Mapping[str, FeatureConfig]) -> None:
    for name, feature in features.items():
        if feature.kind not in ("categorical", "numeric"):
            raise ConfigError(
                f"feature {name!r}: expected categorical or numeric, which is what baselines take, "
                f"got {feature.kind}; change its kind or remove it"
            )


def _check_rows(x_NF: Float32Array) -> None:
    if not len(x_NF):
        raise DataError(
            file="training rows",
            expected="at least one transaction to fit a baseline on",
            got="none",
            remedy="choose a training period that has transactions",
        )


def _in_blocks(score: Callable[[Float32Array], Float64Array], x_NF: Float32Array) -> Float64Array:
    """Scores of all rows, a block at a time."""
    scores_N = np.empty(len(x_NF), dtype=np.float64)
    for start in range(0, len(x_NF), _BLOCK_ROWS):
        scores_N[start : start + _BLOCK_ROWS] = score(x_NF[start : start + _BLOCK_ROWS])
    return scores_N


def _distinct_sample(x_NF: Float32Array, max_rows: int, rng: np.random.Generator) -> Float32Array:
    """At most `max_rows` different rows in random order."""
    # Sorting all rows would be slow: a few times as many leave enough after duplicates are gone.
    candidates_NF = x_NF[rng.permutation(len(x_NF))[: 5 * max_rows]]
    _, first = np.unique(candidates_NF, axis=0, return_index=True)
    return candidates_NF[np.sort(first)[:max_rows]]


def _floats(column: pa.ChunkedArray) -> Float64Array:
    """Values with NaN for null."""
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")))


def _time_of_day(column: pa.ChunkedArray) -> Float64Array:
    """Share of the UTC day that has passed, 0 for null."""
    times_N = np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
    return (times_N % US_PER_DAY) / US_PER_DAY


def _term_numbers(column: pa.ChunkedArray, terms: Vocabulary) -> Int64Array:
    """Number of each term, that of the last for those that the vocabulary does not have."""
    numbers_N = terms.numbers(column)
    return np.where(numbers_N < 0, len(terms), numbers_N)


def _one_hot(column: pa.ChunkedArray, terms: Vocabulary) -> Float32Array:
    """A column a term and one for the others. Shape (N, T)."""
    numbers_N = _term_numbers(column, terms)
    return np.equal(numbers_N[:, None], np.arange(len(terms) + 1)).astype(np.float32)
