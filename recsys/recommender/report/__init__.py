"""The report of a training run: one HTML file about the quality of the model."""

from recsys.recommender.report.content import (
    DataFacts,
    ExampleItem,
    ExampleList,
    ItemMap,
    ReportContent,
)
from recsys.recommender.report.page import render_report, write_report
from recsys.recommender.report.projection import MAP_ITEMS, item_map, map_catalogue

__all__ = [
    "MAP_ITEMS",
    "DataFacts",
    "ExampleItem",
    "ExampleList",
    "ItemMap",
    "ReportContent",
    "item_map",
    "map_catalogue",
    "render_report",
    "write_report",
]
