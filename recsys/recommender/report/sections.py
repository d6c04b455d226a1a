"""The parts of a report, each from the content that it shows; None where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys.recommender.index.report import IndexReport
from recsys.recommender.model import Selection
from recsys.recommender.report import figures, formats, tables
from recsys.recommender.report.content import ExampleList, ItemMap, ReportContent
from recsys.recommender.report.drawing import Picture
from recsys.recommender.report.map_figure import map_figure, numbered_labels
from recsys.recommender.report.measures import label_of
from recsys.recommender.report.tables import Table
from recsys.training import best_epoch

MAX_LABELS = 15
"""Labels of a segment that are shown at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A picture beside the tables that hold its numbers."""

    title: str = ""
    """A heading below that of the section."""
    text: str = ""
    """What to know about it."""
    picture: Picture | None = None
    """The picture."""
    tables: tuple[Table, ...] = ()
    """The tables."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """A part of the report."""

    anchor: str
    """Its name in links."""
    title: str
    """Its heading."""
    text: tuple[str, ...] = ()
    """Paragraphs before anything else."""
    blocks: tuple[Block, ...] = ()
    """Pictures and tables."""
    examples: Sequence[ExampleList] = ()
    """Lists of users."""


def all_sections(content: ReportContent) -> tuple[Section, ...]:
    """The parts that there is content for, in the order of the report."""
    sections = (
        comparison_section(content),
        segment_section(content),
        example_section(content),
        training_section(content),
        prefix_section(content),
        None if content.index is None else index_section(content.index),
        None if content.item_map is None else map_section(content.item_map),
        run_section(content),
    )
    return tuple(section for section in sections if section is not None)


def comparison_section(content: ReportContent) -> Section:
    """The model beside its baselines."""
    rankers = {"this model": content.model, **content.baselines}
    picture = Picture(
        name="comparison",
        alt=_described("Dots with 95% intervals", rankers_alt(content)),
        figure=figures.comparison_figure(rankers, content.headline),
    )
    num_users = formats.count(content.model.overall.get("num_users", float("nan")))
    text = f"Lists of {content.k} items, measured on {num_users} users with items in the test part."
    comparison = Block(picture=picture, tables=(tables.comparison_table(content),))
    if not content.baselines:
        return Section(anchor="quality", title="Quality", text=(text,), blocks=(comparison,))
    paired = Block(
        title="Differences",
        text="With the 95% interval of each difference: clear of zero, it is no accident of "
        "which users were tested.",
        tables=(tables.paired_table(content),),
    )
    return Section(
        anchor="quality",
        title="Quality against the baselines",
        text=(text,),
        blocks=(comparison, paired),
    )


def rankers_alt(content: ReportContent) -> str:
    """The headline of each ranker in words."""
    rankers = {"this model": content.model, **content.baselines}
    measure = content.headline[0]
    values = [f"{name} {formats.fraction(one.overall[measure])}" for name, one in rankers.items()]
    return f"{label_of(measure)}: {', '.join(values)}"


def segment_section(content: ReportContent) -> Section | None:
    """Quality by segment of users."""
    blocks = [
        _segment_block(content, segment, number)
        for number, segment in enumerate(content.model.by_segment, start=1)
        if content.model.by_segment[segment]
    ]
    if not blocks:
        return None
    return Section(anchor="segments", title="Quality by segment of users", blocks=tuple(blocks))


def _segment_block(content: ReportContent, segment: str, number: int) -> Block:
    measure = content.headline[0]
    by_label = content.model.by_segment[segment]
    labels = _largest(by_label)
    baselines = {
        name: evaluation.by_segment.get(segment, {})
        for name, evaluation in content.baselines.items()
    }
    left_out = len(by_label) - len(labels)
    values = [f"{label} {formats.fraction(by_label[label][measure])}" for label in labels]
    return Block(
        title=f"By {segment}",
        text=f"The {len(labels)} largest groups; {left_out} smaller ones are left out."
        if left_out
        else "",
        picture=Picture(
            name=f"segment_{number}",
            alt=_described(f"{label_of(measure)} by {segment}", ", ".join(values)),
            figure=figures.segment_figure(labels, by_label, baselines, measure),
        ),
        tables=(tables.segment_table(content, segment, labels),),
    )


def _largest(by_label: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Labels of the most users, in the order that they came in."""
    sizes = {label: values.get("num_users", 0.0) for label, values in by_label.items()}
    kept = set(sorted(sizes, key=lambda label: -sizes[label])[:MAX_LABELS])
    return [label for label in by_label if label in kept]


def example_section(content: ReportContent) -> Section | None:
    """Lists that a person can judge."""
    if not content.examples:
        return None
    text = "What some users took last, and what the model recommends to them."
    if any(item.is_hit for one in content.examples for item in one.recommendations):
        text += " A ✓ marks what they really took in the test part."
    return Section(
        anchor="examples", title="Example lists", text=(text,), examples=content.examples
    )


def training_section(content: ReportContent) -> Section | None:
    """Loss and validation of each epoch."""
    epochs, refit, measure = content.epochs, content.refit_epochs, content.headline[1]
    if not epochs and not refit:
        return None
    last = (epochs or refit)[-1]
    facts = f"Loss of {last.epoch} epochs, {formats.fraction(last.loss)} at the end"
    text = ""
    if epochs and epochs[-1].validation is not None:
        best = epochs[best_epoch(epochs) - 1]
        text = (
            f"{len(epochs)} epochs were run; number {best.epoch} was the best on validation data, "
            f"with {label_of(measure)} {best.validation:.4f}."
        )
    picture = Picture(
        name="training",
        alt=_described(facts, text),
        figure=figures.training_figure(epochs, refit, measure),
    )
    named = {"Epochs while selecting": epochs, "Epochs of the final fit": refit}
    shown = [tables.epoch_table(name, some, measure) for name, some in named.items() if some]
    return Section(
        anchor="training",
        title="Training",
        blocks=(Block(text=text, picture=picture, tables=tuple(shown)),),
    )


def prefix_section(content: ReportContent) -> Section | None:
    """Quality by Matryoshka prefix."""
    if not content.prefixes:
        return None
    table = tables.prefix_table(content.prefixes, content.headline)
    values = [f"{row[0].text} dimensions {row[1].text}" for row in table.rows]
    picture = Picture(
        name="prefixes",
        alt=_described(f"{label_of(content.headline[0])} by width", ", ".join(values)),
        figure=figures.prefix_figure(content.prefixes, content.headline),
    )
    text = "The first dimensions work alone: a narrower index is smaller and faster."
    return Section(
        anchor="prefixes",
        title="Quality by width of the vectors",
        text=(text,),
        blocks=(Block(picture=picture, tables=(table,)),),
    )


def index_section(report: IndexReport) -> Section:
    """Recall against speed of the item index; in words where the search is exact."""
    size, built = formats.megabytes(report.size_bytes / 1e6), formats.duration(report.build_s)
    made = (
        f"{formats.count(report.num_items)} vectors of {report.dim} dimensions, {size}, built "
        f"in {built}."
    )
    if report.kind == "exact":
        text = "The search is exact: every query is compared with every item, so nothing is missed."
        speeds = [point.queries_per_s for point in report.operating_points if not point.effort]
        speed = f" It answers {formats.count(speeds[0])} queries a second." if speeds else ""
        paragraphs = (text + speed, made, *report.notes)
        return Section(anchor="index", title="Item index", text=paragraphs)
    text = (
        f"{report.kind.upper()} search finds {formats.percent(report.recall)} of what exact search "
        f"finds, for lists of {report.recall_k} and on "
        f"{formats.count(report.num_recall_queries)} queries."
    )
    picture = Picture(
        name="index",
        alt=_described("Recall against queries a second for each effort of the search", text),
        figure=figures.index_figure(report),
    )
    table = tables.index_table(report, figures.EFFORT_NAMES[report.kind])
    return Section(
        anchor="index",
        title="Item index: recall against speed",
        text=(text, made, *report.notes),
        blocks=(Block(picture=picture, tables=(table,)),),
    )


def map_section(item_map: ItemMap) -> Section | None:
    """The item vectors in two dimensions."""
    if not len(item_map.positions):
        return None
    colours = f", coloured by {item_map.feature}" if item_map.feature else ""
    text = (
        f"The vectors of the {formats.count(len(item_map.positions))} most popular items in two "
        f"dimensions{colours}. Items close together are recommended to the same people; long "
        "distances and the axes mean nothing."
    )
    numbers = numbered_labels(item_map)
    key = "; ".join(f"{number}: {title}" for number, title in numbers.items())
    titles = ", ".join(item_map.labels.values())
    picture = Picture(
        name="item_map",
        alt=_described(f"Scatter plot of item vectors{colours}", titles and f"Labelled: {titles}"),
        figure=map_figure(item_map),
    )
    paragraphs = (text, f"Numbers on the map: {key}.") if key else (text,)
    return Section(
        anchor="map", title="Map of the items", text=paragraphs, blocks=(Block(picture=picture),)
    )


def run_section(content: ReportContent) -> Section | None:
    """The facts of the run."""
    used = {name: formats.duration(seconds) for name, seconds in content.durations_s.items()}
    if content.peak_memory_mb is not None:
        used["peak memory"] = formats.megabytes(content.peak_memory_mb)
    settings = dict(tables.flattened(content.settings))
    shown = (
        None if content.data is None else tables.data_table(content.data),
        None if content.selection is None else _selection_table(content.selection),
        tables.fact_table("Time and memory", used) if used else None,
        tables.fact_table("All settings", settings, is_folded=True) if settings else None,
        tables.fact_table("Versions", content.versions, is_folded=True)
        if content.versions
        else None,
    )
    facts = tuple(Block(tables=(table,)) for table in shown if table is not None)
    return Section(anchor="run", title="The run", blocks=facts) if facts else None


def _selection_table(selection: Selection) -> Table:
    def half_life(days: float | None) -> str:
        return "age does not matter" if days is None else f"{formats.decimal(days)} days"

    return tables.fact_table(
        "Chosen on validation data",
        {
            "epochs": str(selection.num_epochs),
            "half-life of popularity": half_life(selection.popularity_half_life_days),
            "half-life in the loss": half_life(selection.training_half_life_days),
            "weight of popularity": f"{selection.popularity_weight:g}",
        },
    )


def _described(*sentences: str) -> str:
    """Sentences of an alternative text."""
    return " ".join(f"{one.rstrip('.')}." for one in sentences if one)
