"""The report as one HTML file that needs nothing else, with its figures beside it as PNG files."""

from __future__ import annotations

from pathlib import Path

from recsys.files import replace
from recsys.publishing.runs import disk_errors
from recsys.recommender.report import quality_sections, run_sections
from recsys.recommender.report.content import ReportContent
from recsys.recommender.report.headline import summary, tiles
from recsys.recommender.report.measures import glossary
from recsys.recommender.report.sections import Section
from recsys.recommender.report.tables import shown_measures
from recsys.reporting.drawing import house_style
from recsys.reporting.templates import page_templates

FIGURES_FOLDER = "figures"
"""Where the PNG files go, beside the report."""

_TEMPLATES = page_templates(Path(__file__).parent)


def write_report(path: Path, content: ReportContent) -> tuple[Path, ...]:
    """Write a report, and each of its figures as `figures/NAME.png` beside it.

    The page makes no network requests and needs no script. The same content gives the same bytes
    with the same versions of matplotlib and Jinja. Files of these names are replaced.

    Args:
        path: The HTML file, in a folder that exists.
        content: What to show.

    Returns:
        The PNG files, in the order of the report.

    Raises:
        PublishError: The files cannot be written.
    """
    folder = path.parent / FIGURES_FOLDER
    with house_style():
        sections = _sections(content)
        page = _render(content, sections)
        pngs = {
            folder / f"{block.picture.name}.png": block.picture.png
            for section in sections
            for block in section.blocks
            if block.picture is not None
        }
    with disk_errors(path, "cannot write the report", remedy="make room or name another folder"):
        folder.mkdir(exist_ok=True)
        for file, png in pngs.items():
            replace(file, png)
        replace(path, page.encode())
    return tuple(pngs)


def render_report(content: ReportContent) -> str:
    """The HTML of a report."""
    with house_style():
        return _render(content, _sections(content))


def _sections(content: ReportContent) -> tuple[Section, ...]:
    """The sections that have content, in the order of the report."""
    sections = (
        quality_sections.comparison_section(content),
        quality_sections.segment_section(content),
        quality_sections.example_section(content),
        run_sections.training_section(content),
        quality_sections.prefix_section(content),
        None if content.index is None else run_sections.index_section(content.index),
        None if content.item_map is None else run_sections.map_section(content.item_map),
        run_sections.run_section(content),
    )
    return tuple(section for section in sections if section is not None)


def _render(content: ReportContent, sections: tuple[Section, ...]) -> str:
    return _TEMPLATES.get_template("report.html.jinja").render(
        content=content,
        tone={True: "good", False: "bad", None: "neutral"}[content.beats_baselines],
        summary=summary(content),
        tiles=tiles(content),
        sections=sections,
        glossary=glossary(shown_measures(content.model.overall, content.k)),
    )
