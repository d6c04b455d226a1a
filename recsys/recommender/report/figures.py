"""Figures of a report: comparison, segments, training, prefixes, index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recsys.recommender.evaluation.evaluate import Evaluation
from recsys.recommender.index.report import IndexReport, OperatingPoint
from recsys.recommender.report.measures import label_of
from recsys.reporting.drawing import (
    BASELINE_MARKERS,
    BEST_COLOUR,
    HALF_WIDTH,
    MODEL_COLOUR,
    MUTED,
    PALETTE,
    TEXT_COLOUR,
    drawable,
    literal_legend,
)
from recsys.training import EpochResult, best_epoch

EFFORT_NAMES = {"ivf": "nprobe", "hnsw": "efSearch", "exact": "effort"}
"""What FAISS calls the effort of a search."""

_ROW_INCHES = 0.3


def comparison_figure(evaluations: Mapping[str, Evaluation], measures: Sequence[str]) -> Figure:
    """Dots with 95% intervals of each ranker, the model first; one panel a measure."""
    figure = Figure(
        figsize=(HALF_WIDTH, 1.0 + _ROW_INCHES * len(evaluations)), layout="constrained"
    )
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        for row, evaluation in enumerate(evaluations.values()):
            colour = MODEL_COLOUR if row == 0 else MUTED
            _dot(axes, evaluation.overall, measure, row, colour=colour)
        axes.set_title(label_of(measure))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _start_at_zero(axes)
    _name_rows(panels[0], [drawable(name, 22) for name in evaluations])
    return figure


def segment_figure(
    labels: Sequence[str],
    model: Mapping[str, Mapping[str, float]],
    baselines: Mapping[str, Mapping[str, Mapping[str, float]]],
    measure: str,
) -> Figure:
    """Dots with 95% intervals of the model in each segment, baselines beside them.

    Args:
        labels: Segments from top to bottom.
        model: Measures of the model by label.
        baselines: Measures of the baselines by name and label.
        measure: E.g. `recall@20`.
    """
    figure = Figure(figsize=(HALF_WIDTH, 1.3 + _ROW_INCHES * len(labels)), layout="constrained")
    axes = figure.subplots()
    dots = [
        _dot(axes, model[label], measure, row, colour=MODEL_COLOUR)
        for row, label in enumerate(labels)
    ]
    entries: list[tuple[str, Artist]] = [("this model", dots[0])]
    for (name, by_label), marker in zip(baselines.items(), cycle(BASELINE_MARKERS)):
        values = [by_label.get(label, {}).get(measure, np.nan) for label in labels]
        (line,) = axes.plot(
            values, range(len(labels)), marker,
            color=MUTED, markerfacecolor="white", markersize=5, zorder=3,
        )  # fmt: skip
        entries.append((drawable(name), line))
    axes.set_xlabel(label_of(measure))
    _start_at_zero(axes)
    _name_rows(axes, [drawable(label) for label in labels])
    literal_legend(axes, entries, loc="lower left", anchor=(0, 1), num_columns=2)
    return figure


def training_figure(
    epochs: Sequence[EpochResult], refit_epochs: Sequence[EpochResult], measure: str
) -> Figure:
    """Loss of each epoch, and below it the validation measure where there is one."""
    validated = [epoch for epoch in epochs if epoch.validation is not None]
    figure = Figure(figsize=(HALF_WIDTH, 3.8 if validated else 2.4), layout="constrained")
    panels = figure.subplots(2 if validated else 1, 1, sharex=True, squeeze=False)[:, 0].tolist()
    _line(panels[0], epochs, "loss", label="while selecting", color=MODEL_COLOUR, marker="o")
    _line(panels[0], refit_epochs, "loss", label="final fit", color=MUTED, marker="s")
    panels[0].set_title("Loss")
    if epochs and refit_epochs:
        panels[0].legend(loc="lower left")
    if validated:
        _line(panels[1], validated, "validation", label="", color=MODEL_COLOUR, marker="o")
        panels[1].set_title(f"{label_of(measure)} on validation data")
        _mark_best(panels, best_epoch(epochs), num_epochs=epochs[-1].epoch)
    panels[-1].set_xlabel("Epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def prefix_figure(prefixes: Mapping[int, Mapping[str, float]], measures: Sequence[str]) -> Figure:
    """Quality of lists made from the first dimensions alone."""
    figure = Figure(figsize=(HALF_WIDTH, 2.7), layout="constrained")
    axes = figure.subplots()
    widths = sorted(prefixes)
    for measure, colour, marker in zip(measures, PALETTE, "os", strict=False):
        values = [prefixes[width].get(measure, np.nan) for width in widths]
        axes.plot(widths, values, marker=marker, color=colour, label=label_of(measure))
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, labels=[str(width) for width in widths])
    axes.minorticks_off()
    axes.set_xlabel("Dimensions")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    return figure


def index_figure(report: IndexReport) -> Figure:
    """Recall against speed, a line for each list length; the chosen efforts are ringed."""
    figure = Figure(figsize=(HALF_WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    efforts = {point.list_length: point.effort for point in report.chosen}
    approximate = [point for point in report.operating_points if point.effort]
    lengths = sorted({point.list_length for point in approximate})
    for length, colour, marker in zip(lengths, cycle(PALETTE), cycle("os^Dv"), strict=False):
        points = [point for point in approximate if point.list_length == length]
        chosen = f": {EFFORT_NAMES[report.kind]} {efforts[length]}" if length in efforts else ""
        label = f"lists of {length}{chosen}"
        _curve(axes, points, label=label, color=colour, marker=marker, markersize=5)
    exact = [point for point in report.operating_points if not point.effort]
    _curve(axes, exact, label="exact search", color=TEXT_COLOUR, marker="*", markersize=10,
           linestyle="none")  # fmt: skip
    _curve(axes, report.chosen, label="chosen", color=TEXT_COLOUR, marker="o", markersize=11,
           markerfacecolor="none", linestyle="none")  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.margins(x=0.1, y=0.08)
    axes.set_xlabel("Queries a second (logarithmic)")
    axes.set_ylabel("Recall against exact search")
    axes.legend(loc="lower left")
    return figure


def _mark_best(panels: Sequence[Axes], best: int, *, num_epochs: int) -> None:
    for axes in panels:
        axes.axvline(best, color=BEST_COLOUR, linestyle="--", linewidth=1, zorder=1)
    is_late = best > num_epochs / 2
    panels[-1].annotate(
        f"best: epoch {best}", (best, 0.05), (-4 if is_late else 4, 0), fontsize=8,
        xycoords=("data", "axes fraction"), textcoords="offset points", color=BEST_COLOUR,
        ha="right" if is_late else "left",
    )  # fmt: skip


def _dot(
    axes: Axes,
    values: Mapping[str, float],
    measure: str,
    row: int,
    *,
    colour: str,
) -> Artist:
    """A value with its interval, if it has one, in a row of the axes; what a legend shows of it."""
    value = values.get(measure, np.nan)
    low, high = (values.get(f"{measure}_{end}", np.nan) for end in ("low", "high"))
    drawn = axes.errorbar(
        value, row, xerr=None if np.isnan(low) else [[value - low], [high - value]], fmt="o",
        color=colour, markersize=5.5, capsize=3, zorder=4,
    )  # fmt: skip
    return drawn.lines[0]


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _start_at_zero(axes: Axes) -> None:
    axes.set_xlim(left=0, right=max(axes.get_xlim()[1], 1e-9))


def _line(
    axes: Axes, epochs: Sequence[EpochResult], value: str, *, label: str, color: str, marker: str
) -> None:
    if epochs:
        axes.plot(
            [epoch.epoch for epoch in epochs], [getattr(epoch, value) for epoch in epochs],
            color=color, marker=marker, markersize=4, label=label,
        )  # fmt: skip


def _curve(axes: Axes, points: Sequence[OperatingPoint], **look: object) -> None:
    if points:
        speeds = [point.queries_per_s for point in points]
        axes.plot(speeds, [point.recall for point in points], **look)  # type: ignore[arg-type]
