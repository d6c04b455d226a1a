"""Tables of a report, as text in cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recsys.recommender.evaluation.comparison import paired_difference
from recsys.recommender.evaluation.evaluate import Evaluation
from recsys.recommender.index.report import IndexReport
from recsys.recommender.report.content import DataFacts, ReportContent
from recsys.recommender.report.measures import MEASURES, label_of, measure_of
from recsys.reporting import formats
from recsys.reporting.tables import Cell, Table, fact_table
from recsys.training import EpochResult

Values = Mapping[str, float]

_MAX_OPEN_ROWS = 16
"""Longer tables of figures that are drawn beside them are shown on demand."""


def comparison_table(content: ReportContent) -> Table:
    """Every measure (rows) of the model and of the baselines (columns)."""
    rankers = {"this model": content.model, **content.baselines}
    return Table(
        caption="The model beside its baselines, on the same users",
        header=("Measure", *rankers),
        rows=tuple(
            (Cell(text=label_of(key)), *_compared(key, list(rankers.values())))
            for key in shown_measures(content.model.overall, content.k)
        ),
    )


def paired_table(content: ReportContent) -> Table:
    """Model less baseline, user by user, with the interval of the difference."""
    return Table(
        caption="The model less each baseline, user by user, with the 95% interval of the "
        "difference: clear of zero, it is no accident of who was tested",
        header=("Baseline", *(label_of(key) for key in content.headline)),
        rows=tuple(
            (Cell(text=name), *(_difference(content.model, one, key) for key in content.headline))
            for name, one in content.baselines.items()
        ),
    )


def segment_table(content: ReportContent, segment: str, labels: Sequence[str]) -> Table:
    """Recall and NDCG of the model in each segment, beside the best baseline there."""
    recall, ndcg = content.headline
    by_label = content.model.by_segment[segment]
    against = {
        name: evaluation.by_segment[segment]
        for name, evaluation in content.baselines.items()
        if segment in evaluation.by_segment
    }
    best = ("Best baseline",) if against else ()
    return Table(
        caption=f"Quality by {segment}"
        + (f", with {label_of(recall)} of the best baseline there" if against else ""),
        header=(segment, "Users", label_of(recall), label_of(ndcg), *best),
        rows=tuple(
            (
                Cell(text=label),
                Cell(text=formats.count(by_label[label].get("num_users", math.nan))),
                value_cell(by_label[label], recall),
                value_cell(by_label[label], ndcg),
                *([_best_baseline(against, label, recall)] if against else []),
            )
            for label in labels
        ),
    )


def prefix_table(prefixes: Mapping[int, Values], measures: Sequence[str]) -> Table:
    """Recall and NDCG of each width, and their share of that of the full width."""
    full = prefixes[max(prefixes)]
    return Table(
        caption="Quality of lists made from the first dimensions alone",
        header=(
            "Dimensions",
            *(label_of(key) for key in measures),
            f"{label_of(measures[-1])} against full width",
        ),
        rows=tuple(
            (
                Cell(text=str(width)),
                *(value_cell(prefixes[width], key) for key in measures),
                Cell(text=formats.percent(_quotient(prefixes[width], full, measures[-1]))),
            )
            for width in sorted(prefixes)
        ),
    )


def index_table(report: IndexReport, effort_name: str) -> Table:
    """Every setting of the index that was measured."""
    return Table(
        caption="What was measured",
        header=("List length", effort_name, "Recall", "At least", "Queries/s"),
        rows=tuple(
            (
                Cell(text=str(point.list_length), note="chosen" * (point in report.chosen)),
                Cell(text=str(point.effort) if point.effort else "exact"),
                Cell(text=formats.fraction(point.recall)),
                Cell(text=formats.fraction(point.recall_low)),
                Cell(text=formats.count(point.queries_per_s)),
            )
            for point in sorted(
                report.operating_points, key=lambda one: (one.list_length, one.effort)
            )
        ),
        is_folded=len(report.operating_points) > _MAX_OPEN_ROWS,
    )


def epoch_table(
    caption: str, epochs: Sequence[EpochResult], measure: str, *, is_folded: bool = False
) -> Table:
    """Each pass over the data."""
    return Table(
        caption=caption,
        header=("Epoch", "Loss", label_of(measure), "Time", "Examples/s"),
        rows=tuple(
            (
                Cell(text=str(one.epoch)),
                Cell(text=formats.fraction(one.loss)),
                Cell(text=formats.NOTHING if one.validation is None else f"{one.validation:.4f}"),
                Cell(text=formats.duration(one.duration_s)),
                Cell(text=formats.count(one.examples_per_s)),
            )
            for one in epochs
        ),
        is_folded=is_folded or len(epochs) > _MAX_OPEN_ROWS,
    )


def data_table(data: DataFacts) -> Table:
    """What the model was trained and tested on."""
    times = {"first event": data.first_event, "last event": data.last_event, **data.cuts}
    return fact_table(
        "Data",
        {
            "source": data.source,
            "interactions": formats.count(data.num_interactions),
            "users": formats.count(data.num_users),
            "items": formats.count(data.num_items),
            **{name: formats.moment(time) for name, time in times.items() if time is not None},
            **{f"rows in {part}": formats.count(rows) for part, rows in data.parts.items()},
        },
    )


def value_cell(values: Values, key: str, *, is_best: bool = False) -> Cell:
    """A measure with its interval, where it has one."""
    measure = measure_of(key)
    value = values.get(key, math.nan)
    low, high = (values.get(f"{key}_{end}", math.nan) for end in ("low", "high"))
    note = "" if math.isnan(low) else f"{measure.show(low)} to {measure.show(high)}"
    return Cell(text=measure.show(value), note=note, is_best=is_best)


def shown_measures(overall: Values, k: int) -> list[str]:
    """Every measure at k, then those of accuracy at the other list lengths."""
    others = sorted(
        int(key.removeprefix("recall@"))
        for key in overall
        if key.startswith("recall@") and key.partition("@")[2].isdigit() and key != f"recall@{k}"
    )
    keys = [f"{name}@{k}" for name in MEASURES]
    keys += [f"{name}@{other}" for other in others for name in ("recall", "ndcg")]
    return [key for key in keys if key in overall]


def _compared(key: str, rankers: Sequence[Evaluation]) -> list[Cell]:
    """A measure of each ranker; the best is marked if a higher value is always better."""
    values = [ranker.overall.get(key, math.nan) for ranker in rankers]
    known = [value for value in values if not math.isnan(value)]
    is_contest = measure_of(key).higher_is_better and len(rankers) > 1
    best = max(known) if known and is_contest else math.inf
    return [
        value_cell(ranker.overall, key, is_best=value == best)
        for ranker, value in zip(rankers, values, strict=True)
    ]


def _difference(model: Evaluation, baseline: Evaluation, key: str) -> Cell:
    difference = paired_difference(model.per_user[key], baseline.per_user[key])
    interval = f"{formats.signed(difference.low)} to {formats.signed(difference.high)}"
    note = "" if math.isnan(difference.low) else interval
    return Cell(text=formats.signed(difference.mean), note=note)


def _best_baseline(against: Mapping[str, Mapping[str, Values]], label: str, key: str) -> Cell:
    values = {
        name: of_label.get(label, {}).get(key, math.nan) for name, of_label in against.items()
    }
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    if not known:
        return Cell(text=formats.NOTHING)
    name = max(known, key=known.__getitem__)
    return Cell(text=formats.fraction(known[name]), note=name)


def _quotient(values: Values, full: Values, key: str) -> float:
    whole = full.get(key, math.nan)
    return values.get(key, math.nan) / whole if whole else math.nan
