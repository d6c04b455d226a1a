"""The map of item vectors as a figure, with labels that do not overlap.

Shapes: C items of the map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from recsys.arrays import BoolArray, Float64Array
from recsys.recommender.report.content import ItemMap
from recsys.reporting.drawing import (
    MODEL_COLOUR,
    PALETTE,
    TEXT_COLOUR,
    drawable,
    is_drawable,
    literal_legend,
)

MAP_WIDTH = 5.2
"""Inches."""

_OTHER, _OTHER_COLOUR = "other or none", "#c4c9d1"
_LABEL_OFFSETS = tuple(
    (distance * x, distance * y)
    for distance in (5, 9, 13)
    for x, y in ((1, 0), (-1, 0), (0.7, 0.9), (-0.7, 0.9), (0.7, -0.9), (-0.7, -0.9))
)
"""Where a label may stand beside its point, in points; the first that is free is taken."""
_RING = 4.0
"""Half the width of a ring, in pixels."""


def map_figure(item_map: ItemMap) -> Figure:
    """Points coloured by the most frequent terms, with the titles of a few of them."""
    figure = Figure(figsize=(MAP_WIDTH, MAP_WIDTH))
    axes = figure.add_axes((0.0, 0.09, 1.0, 0.91))
    entries: list[tuple[str, Artist]] = []
    for label, rows, colour in _groups(item_map):
        x_C, y_C = item_map.positions[rows].T
        dots = axes.scatter(x_C, y_C, s=7, color=colour, alpha=0.75, linewidths=0, rasterized=True)
        entries.append((drawable(label, 22), dots))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=[], yticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    if item_map.feature:
        entries.sort(key=lambda entry: entry[0] == _OTHER)  # last in the legend, drawn first
        literal_legend(
            axes, entries, loc="upper center", anchor=(0.5, 0.0), num_columns=4, marker_scale=2.2
        )
    if item_map.labels:
        _label_points(axes, item_map)
    return figure


def numbered_labels(item_map: ItemMap) -> dict[int, str]:
    """Titles that the font cannot draw, by the number that stands for each on the map."""
    undrawable = [title for title in item_map.labels.values() if not is_drawable(title)]
    return dict(enumerate(undrawable, start=1))


def _groups(item_map: ItemMap) -> Iterable[tuple[str, BoolArray, str]]:
    """Label, rows (a mask of shape (C,)) and colour of each group, the background first."""
    if not item_map.feature:
        yield "", np.ones(len(item_map.positions), dtype=np.bool_), MODEL_COLOUR
        return
    counts = Counter(term for term in item_map.terms if term is not None)
    ranked = sorted(counts, key=lambda term: (-counts[term], term))
    terms = np.array(item_map.terms, dtype=object)
    named = ranked[: len(PALETTE)]
    rest = ~np.isin(terms, named)
    if rest.any():
        yield _OTHER, rest, _OTHER_COLOUR
    for term, colour in zip(named, PALETTE, strict=False):
        yield term, terms == term, colour


def _label_points(axes: Axes, item_map: ItemMap) -> None:
    """Draw rings around the labelled points, and write titles without overlap."""
    numbers = {title: str(number) for number, title in numbered_labels(item_map).items()}
    rings = item_map.positions[list(item_map.labels)]
    x_L, y_L = rings.T
    axes.scatter(x_L, y_L, s=20, facecolors="none", edgecolors=TEXT_COLOUR, linewidths=1.0)
    taken = [Bbox([point - _RING, point + _RING]) for point in axes.transData.transform(rings)]
    for title, place in zip(item_map.labels.values(), rings, strict=True):
        _write_label(axes, numbers.get(title) or drawable(title), place, taken)


def _write_label(axes: Axes, text: str, place: Float64Array, taken: list[Bbox]) -> None:
    """Write a label at the first offset without overlap, and mark its box as taken."""
    for x, y in _LABEL_OFFSETS:
        label = axes.annotate(
            text, (place[0], place[1]), (x, y), textcoords="offset points", fontsize=8,
            ha="left" if x > 0 else "right", va="center", parse_math=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
        box = label.get_window_extent()
        if _is_free(box, axes.bbox, taken):
            taken.append(box)
            return
        label.remove()


def _is_free(box: Bbox, frame: Bbox, taken: Iterable[Bbox]) -> bool:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return inside and not any(box.overlaps(other) for other in taken)
