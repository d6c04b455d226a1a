"""The population stability index, and how large it gets by chance alone.

Shapes: B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.errors import ConfigError

CONFIDENCE = 0.999
"""Chance exceeds its bound once in a thousand columns."""

_PRIOR = 0.5


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What the index is where nothing changed."""

    expected: float
    """Its mean."""
    spread: float
    """Its standard deviation."""
    bound: float
    """What it stays below with probability `CONFIDENCE`."""


def population_stability(reference_B: Int64Array, current_B: Int64Array) -> float:
    """Population stability index of two samples, sum over bins of (p - q) ln(p / q).

    The symmetric divergence of Kullback and Leibler (1951), also Jeffreys' J; as PSI it comes from
    credit scoring (Siddiqi 2006, Credit Risk Scorecards). Shares are (count + 1/2) / (n + B/2), the
    estimate of Krichevsky and Trofimov (1981) under Jeffreys' prior, so that an empty bin gives a
    finite value. Bins that are empty in both samples do not count.

    Args:
        reference_B: Rows of the reference in each bin. Shape (B,).
        current_B: Rows of the current sample in each bin. Shape (B,).

    Raises:
        ConfigError: The shapes differ, or a count is negative.

    Examples:
        >>> round(population_stability(np.array([500, 500]), np.array([700, 300])), 4)
        0.1691
    """
    if reference_B.shape != current_B.shape or min(reference_B.min(), current_B.min()) < 0:
        raise ConfigError(
            f"drift: expected counts of the same bins, none negative, got shapes "
            f"{reference_B.shape} and {current_B.shape}; count both samples in the same bins"
        )
    return float(contributions(reference_B, current_B).sum())


def contributions(reference_B: Int64Array, current_B: Int64Array) -> Float64Array:
    """What each bin adds to the index, never negative. Shape (B,)."""
    occupied_B = (reference_B > 0) | (current_B > 0)
    p_B, q_B = (_shares(counts_B, occupied_B) for counts_B in (reference_B, current_B))
    return np.where(occupied_B, (p_B - q_B) * np.log(p_B / q_B), 0.0)


def chance_of(
    num_bins: int, num_reference: int, num_current: int, *, effect: float = 1, num_tests: int = 1
) -> Chance:
    """The index that two independent samples of one population give.

    To second order it is the sum of (p - q)^2 / p, and p - q has the covariance of a multinomial
    times 1/n + 1/m. So it is (1/n + 1/m) times a chi-square of B - 1 degrees of freedom: mean
    (B - 1)(1/n + 1/m), standard deviation sqrt(2(B - 1)) (1/n + 1/m) (Yurdakul 2018, Statistical
    Properties of Population Stability Index, Western Michigan University). Rows that depend on each
    other make it larger by the `design_effect`.

    Args:
        num_bins: Bins that are occupied in either sample, B.
        num_reference: Rows of the reference, n.
        num_current: Rows of the current sample, m.
        effect: The design effect.
        num_tests: Indices of which the largest is looked at (Bonferroni).

    Examples:
        >>> round(chance_of(11, 1000, 1000).expected, 6)
        0.02
    """
    freedom = max(num_bins - 1, 0)
    scale = effect * (1 / max(num_reference, 1) + 1 / max(num_current, 1))
    level = (1 - CONFIDENCE) / num_tests
    quantile = float(stats.chi2.isf(level, freedom)) if freedom else 0.0
    return Chance(
        expected=freedom * scale, spread=float(np.sqrt(2 * freedom)) * scale, bound=quantile * scale
    )


def design_effect(
    bins_N: Int64Array, is_current_N: BoolArray, groups_N: Int64Array, num_bins: int
) -> float:
    """By how much more shares vary than those of as many independent rows; at least 1.

    Rows of one user or account are not independent: groups are drawn, not rows. The factor is the
    mean generalised design effect of Rao and Scott (1981, Journal of the American Statistical
    Association 76), of the difference between both samples: its variance between groups, over that
    of a multinomial. A group that is in both counts once, with its own difference.

    Args:
        bins_N: Bin of each row. Shape (N,).
        is_current_N: Whether it is of the current sample. Shape (N,).
        groups_N: Group of each row, from 0. Shape (N,).
        num_bins: Number of bins.

    Examples:
        >>> bins_N, is_current_N = np.tile([0, 0, 0, 1, 1, 1], 40), np.arange(240) < 120
        >>> round(design_effect(bins_N, is_current_N, np.arange(240) // 3, 2), 1)
        3.0
    """
    num_current = np.count_nonzero(is_current_N)
    num_reference = len(is_current_N) - num_current
    weights_N = np.where(is_current_N, 1 / num_current, -1 / num_reference)
    current, reference = (
        (
            np.bincount(bins_N[one_N], minlength=num_bins) / len(one_N),
            np.bincount(groups_N[one_N], minlength=int(groups_N.max()) + 1) / len(one_N),
        )
        for one_N in (np.flatnonzero(is_current_N), np.flatnonzero(~is_current_N))
    )
    (q_B, current_G), (p_B, reference_G) = current, reference
    cells, of_row_N = np.unique(groups_N * num_bins + bins_N, return_inverse=True)
    group_C, bin_C = cells // num_bins, cells % num_bins
    found_C = np.bincount(of_row_N, weights=weights_N)
    usual_C = q_B[bin_C] * current_G[group_C] - p_B[bin_C] * reference_G[group_C]
    squares_B = np.bincount(bin_C, weights=found_C**2 - 2 * found_C * usual_C, minlength=num_bins)
    variance_B = squares_B + (
        q_B**2 * (current_G @ current_G)
        - 2 * q_B * p_B * (current_G @ reference_G)
        + p_B**2 * (reference_G @ reference_G)
    )
    occupied_B = p_B + q_B > 0
    freedom = max(int(np.count_nonzero(occupied_B)) - 1, 1)
    num_groups = int(np.count_nonzero(current_G + reference_G))
    scale = (variance_B[occupied_B] / (p_B + q_B)[occupied_B] * 2).sum() / freedom
    scale *= num_groups / max(num_groups - 1, 1)
    return max(float(scale / (1 / num_reference + 1 / num_current)), 1.0)


def num_occupied(reference_B: Int64Array, current_B: Int64Array) -> int:
    """Bins that hold a row of either sample."""
    return int(np.count_nonzero((reference_B > 0) | (current_B > 0)))


def _shares(counts_B: Int64Array, occupied_B: BoolArray) -> Float64Array:
    total = counts_B.sum() + _PRIOR * np.count_nonzero(occupied_B)
    return (counts_B + _PRIOR) / np.where(total > 0, total, 1)
