"""LightGBM's trees as arrays, evaluated all at once with the same results as LightGBM's.

No tree is walked down. As in QuickScorer (Lucchese et al. 2015, SIGIR), every split at which a row
goes right rules out the leaves on its left, and the first remaining leaf is the row's. Every split
is evaluated once whatever the row, so that many rows take the same steps in parallel. Splits by
sets of codes become numeric ones: a value a set, 0 for its codes and 1 for all others.

Shapes: N rows, F features, T trees, P splits of all trees, M numeric values of a row that splits
compare, S sets of codes, L values in all: M + S, C codes of a feature, R rows side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys.arrays import Float32Array, Float64Array, Int64Array, UInt32Array
from recsys.compiled import compiled
from recsys.fraud.scoring.tree_text import Split, TreeText, read_tree_text

_MAX_LEAVES = 32
_MAX_CODES = 4096  # of a feature; sets of higher ones are left to LightGBM
_ROWS_AT_ONCE = 64
_ALL_LEAVES = np.uint32(2**32 - 1)
# A number with one bit set, times this, has five bits of its own at the top (a de Bruijn number).
_BIT_NUMBERS, _TOP_BITS = np.uint32(0x077CB531), np.uint32(27)


class Trees(NamedTuple):
    """Fitted trees."""

    first: Int64Array
    """First split of each tree, and the end of the last. Shape (T + 1,)."""
    value: Int64Array
    """Which value of a row a split compares. Shape (P,)."""
    threshold: Float32Array
    """Greater values go right. Shape (P,)."""
    right: UInt32Array
    """The leaves that remain for a row that goes right, one bit for each leaf. Shape (P,)."""
    leaf: Float64Array
    """Values of leaves, the places of which follow from their bits. Shape (T, 32)."""
    feature: Int64Array
    """The feature that each numeric value is. Shape (M,)."""
    nan: Float32Array
    """What stands for NaN in it. Shape (M,)."""
    set_feature: Int64Array
    """The feature whose codes each set has. Shape (S,)."""
    outside: Float32Array
    """Whether each code is outside of each set; the last row stands for all others. (C + 1, S)."""


def read_trees(text: str) -> Trees | None:
    """The trees of LightGBM's text form; None where they use what is not supported here.

    That is more than 32 leaves, linear leaves, missing values that are zeros, codes in the
    thousands, and several classes.
    """
    read = read_tree_text(text)
    if read is None or any(len(tree.leaves) > _MAX_LEAVES for tree in read):
        return None
    splits = [split for tree in read for split in tree.splits]
    numeric = sorted({(one.feature, one.nan_right) for one in splits if one.codes is None})
    sets = sorted({(one.feature, one.codes) for one in splits if one.codes is not None})
    num_codes = max((codes[-1] + 1 for _, codes in sets if codes), default=0)
    if num_codes > _MAX_CODES:
        return None
    outside = np.ones((num_codes + 1, len(sets)), dtype=np.float32)
    for number, (_, codes) in enumerate(sets):
        outside[list(codes), number] = 0
    places: dict[tuple[int, object], int] = {key: place for place, key in enumerate(numeric)}
    places |= {key: len(numeric) + place for place, key in enumerate(sets)}
    return Trees(
        first=np.cumsum([0, *(len(tree.splits) for tree in read)]),
        value=np.array([places[_key(one)] for one in splits], dtype=np.int64),
        threshold=_rounded_down(np.array([one.threshold for one in splits])),
        right=np.array([bits for tree in read for bits in _bits_of_right(tree)], dtype=np.uint32),
        leaf=np.stack([_placed_leaves(tree) for tree in read]),
        feature=np.array([feature for feature, _ in numeric], dtype=np.int64),
        nan=np.array([np.inf if right else -np.inf for _, right in numeric], dtype=np.float32),
        set_feature=np.array([feature for feature, _ in sets], dtype=np.int64),
        outside=outside,
    )


def _key(split: Split) -> tuple[int, object]:
    return split.feature, split.nan_right if split.codes is None else split.codes


def _bits_of_right(tree: TreeText) -> list[int]:
    """For each split all bits but those of the leaves on its left."""
    place_of = {leaf: place for place, leaf in enumerate(_from_left_to_right(tree))}

    def bits(child: int) -> int:
        if child < 0:
            return 1 << place_of[-1 - child]
        return bits(tree.splits[child].left) | bits(tree.splits[child].right)

    return [int(_ALL_LEAVES) & ~bits(split.left) for split in tree.splits]


def _placed_leaves(tree: TreeText) -> Float64Array:
    """Values of the leaves, each where the bit of the leaf leads to. Shape (32,)."""
    placed = np.zeros(_MAX_LEAVES)
    for bit, leaf in enumerate(_from_left_to_right(tree)):
        placed[(int(_BIT_NUMBERS) << bit & int(_ALL_LEAVES)) >> int(_TOP_BITS)] = tree.leaves[leaf]
    return placed


def _from_left_to_right(tree: TreeText) -> list[int]:
    """Numbers of the leaves."""
    found, below = [], [0 if tree.splits else -1]
    while below:
        child = below.pop()
        if child < 0:
            found.append(-1 - child)
        else:
            below += [tree.splits[child].right, tree.splits[child].left]
    return found


def _rounded_down(threshold: Float64Array) -> Float32Array:
    """The largest float32 that is not above each number: the same float32 numbers are above it."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.where(near > threshold, below, near).astype(np.float32)


def sum_leaves(trees: Trees, x_NF: Float32Array) -> Float64Array:
    """Sum of the leaves that each row comes to, added in the order of the trees. Shape (N,)."""
    sums_N = np.zeros(len(x_NF))
    _sum_leaves(trees, x_NF, sums_N)
    return sums_N


@compiled
def _sum_leaves(trees: Trees, x_NF: Float32Array, sums_N: Float64Array) -> None:
    """The sums, written in place."""
    num_values = len(trees.feature) + len(trees.set_feature)
    values_LR = np.zeros((num_values, _ROWS_AT_ONCE), dtype=np.float32)
    left_R = np.empty(_ROWS_AT_ONCE, dtype=np.uint32)
    for start in range(0, len(x_NF), _ROWS_AT_ONCE):
        num_rows = min(_ROWS_AT_ONCE, len(x_NF) - start)
        for row in range(num_rows):
            _write_values(trees, x_NF[start + row], values_LR[:, row])
        for tree in range(len(trees.leaf)):
            _leave_over(trees, tree, values_LR, left_R)
            leaf = trees.leaf[tree]
            for row in range(num_rows):
                left = left_R[row]
                bit = np.uint32(left & (~left + np.uint32(1)))
                sums_N[start + row] += leaf[np.uint32(bit * _BIT_NUMBERS) >> _TOP_BITS]


@compiled
def _leave_over(trees: Trees, tree: int, values_LR: Float32Array, left_R: UInt32Array) -> None:
    """Write which leaves of a tree remain for each row."""
    for row in range(_ROWS_AT_ONCE):
        left_R[row] = _ALL_LEAVES
    for split in range(trees.first[tree], trees.first[tree + 1]):
        values_R = values_LR[trees.value[split]]
        threshold, right = trees.threshold[split], trees.right[split]
        for row in range(_ROWS_AT_ONCE):
            left_R[row] &= right if values_R[row] > threshold else _ALL_LEAVES


@compiled
def _write_values(trees: Trees, x_F: Float32Array, values_L: Float32Array) -> None:
    """What splits compare of a row."""
    num_numeric, others = len(trees.feature), len(trees.outside) - 1
    for place in range(num_numeric):
        x = x_F[trees.feature[place]]
        values_L[place] = trees.nan[place] if np.isnan(x) else x
    for place in range(len(trees.set_feature)):
        x = x_F[trees.set_feature[place]]
        is_code = x > -1.0 and x < others  # NaN is none, and what is between -1 and 0 counts as 0
        code = np.int64(x) if is_code else others
        values_L[num_numeric + place] = trees.outside[code, place]
