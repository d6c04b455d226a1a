"""The top of a report: the most important figures, and what they were measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recsys.recommender.report.content import ReportContent
from recsys.recommender.report.measures import label_of, measure_of
from recsys.recommender.report.tables import value_cell
from recsys.reporting import formats

_TILES = ("recall", "ndcg", "hit_rate", "coverage")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure in large print."""

    label: str
    """What it is."""
    value: str
    """The figure."""
    interval: str
    """Its interval, if it has one."""
    against: str
    """What the best baseline has."""


def tiles(content: ReportContent) -> tuple[Tile, ...]:
    """The most important measures, each beside the best baseline."""
    keys = [f"{name}@{content.k}" for name in _TILES]
    return tuple(_tile(content, key) for key in keys if key in content.model.overall)


def summary(content: ReportContent) -> str:
    """One sentence about the data; empty without."""
    data = content.data
    if data is None:
        return ""
    sizes = (
        f"{formats.count(data.num_interactions)} interactions of "
        f"{formats.count(data.num_users)} users with {formats.count(data.num_items)} items"
    )
    if data.first_event is None or data.last_event is None:
        return f"{data.source}: {sizes}."
    days = f"{data.first_event:%Y-%m-%d} to {data.last_event:%Y-%m-%d}"
    return f"{data.source}: {sizes}, {days}."


def _tile(content: ReportContent, key: str) -> Tile:
    cell, measure = value_cell(content.model.overall, key), measure_of(key)
    values = {name: one.overall.get(key, math.nan) for name, one in content.baselines.items()}
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    against = ""
    if known:
        name = max(known, key=known.__getitem__)
        against = f"{name}: {measure.show(known[name])}"
    return Tile(label=label_of(key), value=cell.text, interval=cell.note, against=against)
