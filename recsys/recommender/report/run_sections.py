"""Sections on the run: training, index, map, facts."""

from __future__ import annotations

from recsys.recommender.index.report import IndexReport
from recsys.recommender.model import Selection
from recsys.recommender.report import figures, tables
from recsys.recommender.report.content import ItemMap, ReportContent
from recsys.recommender.report.map_figure import map_figure, numbered_labels
from recsys.recommender.report.measures import label_of
from recsys.recommender.report.sections import Section
from recsys.reporting import formats
from recsys.reporting.blocks import Block, described
from recsys.reporting.drawing import Picture
from recsys.reporting.tables import Table, fact_table, flattened
from recsys.training import best_epoch


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
        alt=described(facts, text),
        figure=figures.training_figure(epochs, refit, measure),
    )
    shown = []
    if epochs:
        shown.append(tables.epoch_table("Epochs while selecting", epochs, measure))
    if refit:
        shown.append(
            tables.epoch_table("Epochs of the final fit", refit, measure, is_folded=bool(epochs))
        )
    return Section(
        anchor="training",
        title="Training",
        text=(text,) if text else (),
        blocks=(Block(picture=picture, tables=tuple(shown)),),
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
        alt=described("Recall against queries a second for each effort of the search", text),
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
        f"dimensions{colours}. Items close together have similar vectors, so that they are "
        "recommended to similar users; long distances and the axes mean nothing."
    )
    numbers = numbered_labels(item_map)
    key = "; ".join(f"{number}: {title}" for number, title in numbers.items())
    titles = ", ".join(item_map.labels.values())
    picture = Picture(
        name="item_map",
        alt=described(f"Scatter plot of item vectors{colours}", titles and f"Labelled: {titles}"),
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
    settings = dict(flattened(content.settings))
    shown = (
        None if content.data is None else tables.data_table(content.data),
        None if content.selection is None else _selection_table(content.selection),
        fact_table("Time and memory", used),
        fact_table("All settings", settings, is_folded=True),
        fact_table("Versions", content.versions, is_folded=True),
    )
    columns = [[table for table in some if table and table.rows] for some in (shown[:1], shown[1:])]
    blocks = tuple(Block(tables=tuple(column)) for column in columns if column)
    return Section(anchor="run", title="The run", blocks=blocks) if blocks else None


def _selection_table(selection: Selection) -> Table:
    def half_life(days: float | None) -> str:
        return "age does not matter" if days is None else f"{formats.decimal(days)} days"

    return fact_table(
        "Chosen on validation data",
        {
            "epochs": str(selection.num_epochs),
            "half-life of popularity": half_life(selection.popularity_half_life_days),
            "half-life in the loss": half_life(selection.training_half_life_days),
            "weight of popularity": f"{selection.popularity_weight:g}",
        },
    )
