"""Trees as LightGBM writes them: its text form, version 4, split by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CATEGORICAL, _DEFAULT_LEFT, _ZERO_MISSING, _NAN_MISSING = 1, 2, 4, 8
"""Bits of the type of a decision."""

Fields = Mapping[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Split:
    """An inner node of a tree."""

    feature: int
    """What is looked at."""
    threshold: float
    """Greater values go right. For a set of codes it is 0.5: codes of the set count as 0, all
    others as 1."""
    codes: tuple[int, ...] | None
    """The set of codes, ascending; None where numbers are compared."""
    nan_right: bool
    """Whether NaN goes right."""
    left: int
    """Number of the left child; -1 is the first leaf, -2 the second."""
    right: int
    """Number of the right child."""


@dataclass(frozen=True, kw_only=True)
class TreeText:
    """A tree, the root of which is the first split."""

    splits: tuple[Split, ...]
    """Inner nodes; none where there is only one leaf."""
    leaves: tuple[float, ...]
    """Values of the leaves."""


def read_tree_text(text: str) -> list[TreeText] | None:
    """All trees of a model.

    Returns:
        None for models of several classes, and where leaves are linear or zeros count as missing.
    """
    head, *parts = text.split("end of trees", maxsplit=1)[0].split("\nTree=")
    if not parts or _fields(head)["num_tree_per_iteration"] != ["1"]:
        return None
    all_fields = [_fields(part) for part in parts]
    if any(fields.get("is_linear") != ["0"] or _zeros_are_missing(fields) for fields in all_fields):
        return None
    return [
        TreeText(
            splits=tuple(_split(fields, node) for node in range(len(fields["split_feature"]))),
            leaves=tuple(float(value) for value in fields["leaf_value"]),
        )
        for fields in all_fields
    ]


def _fields(part: str) -> Fields:
    lines = (line.split("=", 1) for line in part.splitlines() if "=" in line)
    return {name: values.split() for name, values in lines}


def _zeros_are_missing(fields: Fields) -> bool:
    return any(int(kind) & _ZERO_MISSING for kind in fields["decision_type"])


def _split(fields: Fields, node: int) -> Split:
    kind, threshold = int(fields["decision_type"][node]), float(fields["threshold"][node])
    is_set = bool(kind & _CATEGORICAL)
    # Trees that saw no NaN in training treat it as 0; for splits by sets it is an unknown code.
    goes_left = bool(kind & _DEFAULT_LEFT) if kind & _NAN_MISSING else threshold >= 0
    return Split(
        feature=int(fields["split_feature"][node]),
        threshold=0.5 if is_set else threshold,
        codes=_codes(fields, int(threshold)) if is_set else None,
        nan_right=is_set or not goes_left,
        left=int(fields["left_child"][node]),
        right=int(fields["right_child"][node]),
    )


def _codes(fields: Fields, number: int) -> tuple[int, ...]:
    """Codes of a set, ascending: the bits of some words of 32."""
    start, end = (int(fields["cat_boundaries"][place]) for place in (number, number + 1))
    words = [int(word) for word in fields["cat_threshold"][start:end]]
    bits = range(32)
    return tuple(
        32 * place + bit for place, word in enumerate(words) for bit in bits if word >> bit & 1
    )
