"""The report: self-contained, escaped, complete, accessible, and true to its numbers."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from html_page import Page
from report_example import (
    K,
    evaluation,
    full_content,
    item_map_of,
    least_content,
)

from recsys.errors import ConfigError, PublishError
from recsys.recommender.evaluation.comparison import verdict
from recsys.recommender.report import MAP_ITEMS, ReportContent, render_report, write_report

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onerror='x' data-x=\"",
    "end of style": "</style></table><!-- & &amp; {{ 7*7 }} {% raw %}",
}
UNDRAWABLE = "$\\frac{ 日本語 \U0001f600 \x07 -- ]]> $_^{"
FETCHING_TAGS = {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}


@pytest.fixture(scope="module")
def content() -> ReportContent:
    """Everything a report can show."""
    return full_content()


@pytest.fixture(scope="module")
def page(content: ReportContent) -> Page:
    """Its page."""
    return Page(render_report(content))


def test_the_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    """No tag, attribute, style or picture refers to anything outside the file."""
    assert not FETCHING_TAGS & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in {"src", "href", "srcset", "poster", "background", "action"} & attrs.keys():
            allowed = "data:image/svg+xml;base64," if tag == "img" else "#"
            assert attrs[name].startswith(allowed)
    assert not re.search(r"url\(|@import|expression\(", page.styles)
    for svg in page.pictures:
        for element in ET.fromstring(svg).iter():  # noqa: S314  our own file
            links = [value for name, value in element.attrib.items() if name.endswith("href")]
            assert all(link.startswith(("#", "data:image/png")) for link in links)


@pytest.mark.parametrize("skill", [0.9, 0.4])
def test_the_verdict_comes_first(skill: float) -> None:
    """The first words of the body are the verdict of the comparison, coloured as it says."""
    content = full_content(skill=skill)
    expected = verdict(content.model, content.baselines, (f"recall@{K}", f"ndcg@{K}"))
    page = Page(render_report(replace(content, item_map=None, examples=())))
    assert page.body_texts[0] == expected
    assert expected.startswith("The model beats" if skill > 0.5 else "The model does NOT beat")
    (tone,) = [attrs["class"] for _, attrs in page.tags if "verdict" in attrs.get("class", "")]
    assert tone == ("verdict good" if skill > 0.5 else "verdict bad")


def test_without_baselines_the_verdict_says_so() -> None:
    """A model that was compared with nothing is neither praised nor blamed."""
    page = Page(render_report(least_content()))
    assert page.body_texts[0] == "The model was compared with no baseline."
    assert ("p", {"class": "verdict neutral"}) in page.tags


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_user_text_is_text(page: Page, payload: str) -> None:
    """Markup in titles, ids, names and settings changes no tag, and is shown as it is."""
    hostile = Page(render_report(full_content(payload)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in page.tags]
    assert [attrs.keys() for _, attrs in hostile.tags] == [attrs.keys() for _, attrs in page.tags]
    assert hostile.text.count(payload) == page.text.count("word") > 10
    assert payload not in hostile.html


def test_figures_take_any_text() -> None:
    """Mathematics, missing glyphs and control characters draw well-formed figures, silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Page(render_report(full_content(UNDRAWABLE)))
    assert len(page.pictures) == 6
    for svg in page.pictures:
        ET.fromstring(svg)  # noqa: S314  our own file
    assert f"Numbers on the map: 1: Map {UNDRAWABLE} 0; 2: Map" in page.text.replace("  ", " ")


@pytest.mark.parametrize(
    ("part", "anchor"),
    [
        ("examples", "examples"),
        ("epochs", "training"),
        ("refit_epochs", "training"),
        ("prefixes", "prefixes"),
        ("index", "index"),
        ("item_map", "map"),
        ("data", "run"),
        ("selection", "run"),
        ("settings", "run"),
        ("versions", "run"),
        ("durations_s", "run"),
        ("peak_memory_mb", "run"),
    ],
)
def test_each_part_brings_its_section_alone(content: ReportContent, part: str, anchor: str) -> None:
    """A report has the sections that it has content for, and no empty ones."""
    least = least_content()
    assert Page(render_report(least)).anchors == ["quality", "glossary"]
    page = Page(render_report(replace(least, **{part: getattr(content, part)})))
    assert page.anchors == ["quality", anchor, "glossary"]


def test_all_parts_are_linked_in_order(page: Page) -> None:
    """The links at the top lead to every section, and only there."""
    links = [attrs["href"].removeprefix("#") for tag, attrs in page.tags if tag == "a"]
    assert links == page.anchors
    assert links[:4] == ["quality", "segments", "examples", "training"]
    assert links[4:] == ["prefixes", "index", "map", "run", "glossary"]


def test_the_page_is_accessible(page: Page) -> None:
    """Pictures have words, tables captions and scoped headers, headings skip no level."""
    assert page.tags[0] == ("html", {"lang": "en"})
    assert all(len(attrs["alt"]) > 20 for tag, attrs in page.tags if tag == "img")
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") == len(page.tables) > 8
    assert {attrs["scope"] for tag, attrs in page.tags if tag == "th"} == {"row", "col"}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(1) == 1


def test_hits_are_marked_in_words() -> None:
    """What a user really took is told apart without colour; without hits no mark is explained."""
    content = full_content()
    page = Page(render_report(replace(least_content(), examples=content.examples)))
    assert page.text.count("taken in the held-out part") == 2  # one item, in history and list
    assert "A ✓ marks" in page.text
    (example,) = content.examples
    missed = replace(example, history=(), recommendations=example.recommendations[1:])
    page = Page(render_report(replace(least_content(), examples=(missed,))))
    assert "✓" not in page.text
    assert "Recent history None. Recommended" in page.text


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    """Two folders and two tastes in figures give the same files, and the taste stays."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = write_report(tmp_path / "a" / "report.html", full_content())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        second = write_report(tmp_path / "b" / "report.html", full_content())
        assert mpl.rcParams["font.size"] == 30
    assert [path.name for path in first] == [path.name for path in second]
    for a, b in zip(
        [tmp_path / "a" / "report.html", *first],
        [tmp_path / "b" / "report.html", *second],
        strict=True,
    ):
        assert a.read_bytes() == b.read_bytes()


def test_figures_are_written_beside_the_page(tmp_path: Path) -> None:
    """Every picture of the page is a PNG file too, and the largest page stays small."""
    content = replace(full_content(), item_map=item_map_of(MAP_ITEMS))
    path = tmp_path / "report.html"
    path.write_text("an earlier report")
    figures = write_report(path, content)
    names = ["comparison", "segment_1", "training", "prefixes", "index", "item_map"]
    assert figures == tuple(tmp_path / "figures" / f"{name}.png" for name in names)
    assert all(figure.read_bytes().startswith(b"\x89PNG\r\n") for figure in figures)
    assert path.read_text() == render_report(content)
    assert path.stat().st_size < 3_000_000


def test_a_list_length_that_was_not_evaluated_is_refused() -> None:
    """The message names the measure that is missing and whose it is."""
    with pytest.raises(ConfigError, match=r"expected recall@7 in the evaluation of model.*of 7"):
        ReportContent(name="run", k=7, model=evaluation(0.9))


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """What the disk refuses is told as one line."""
    with pytest.raises(PublishError, match="cannot write the report") as caught:
        write_report(tmp_path / "none" / "report.html", least_content())
    assert "\n" not in str(caught.value)
