"""Sections on the quality of lists; None where there is no content."""

from __future__ import annotations

import math
from collections.abc import Mapping

from recsys.recommender.evaluation.evaluate import LEAST_USERS
from recsys.recommender.report import figures, tables
from recsys.recommender.report.content import ReportContent
from recsys.recommender.report.measures import label_of
from recsys.recommender.report.sections import Section
from recsys.reporting import formats
from recsys.reporting.blocks import Block, described
from recsys.reporting.drawing import Picture

MAX_LABELS = 15
"""Labels of a segment that are shown at most."""


def comparison_section(content: ReportContent) -> Section:
    """The model beside its baselines."""
    rankers = {"this model": content.model, **content.baselines}
    picture = Picture(
        name="comparison",
        alt=described("Dots with 95% intervals", _in_words(content)),
        figure=figures.comparison_figure(rankers, content.headline),
    )
    measured = Block(tables=(tables.comparison_table(content),))
    if not content.baselines:
        return Section(
            anchor="quality", title="Quality", text=(_measured_on(content),), blocks=(measured,)
        )
    compared = Block(picture=picture, tables=(tables.paired_table(content),))
    return Section(
        anchor="quality",
        title="Quality against the baselines",
        text=(_measured_on(content),),
        blocks=(compared, measured),
    )


def segment_section(content: ReportContent) -> Section | None:
    """Quality by segment of users."""
    blocks = [
        _segment_block(content, segment, number)
        for number, segment in enumerate(content.model.by_segment, start=1)
        if _largest(content.model.by_segment[segment])
    ]
    if not blocks:
        return None
    return Section(anchor="segments", title="Quality by segment of users", blocks=tuple(blocks))


def example_section(content: ReportContent) -> Section | None:
    """Example lists."""
    if not content.examples:
        return None
    text = "What some users took last, and what the model recommends to them."
    if any(item.is_hit for one in content.examples for item in one.recommendations):
        text += " A ✓ marks what they really took in the held-out part."
    return Section(
        anchor="examples", title="Example lists", text=(text,), examples=content.examples
    )


def prefix_section(content: ReportContent) -> Section | None:
    """Quality by Matryoshka prefix."""
    if not content.prefixes:
        return None
    table = tables.prefix_table(content.prefixes, content.headline)
    values = [f"{row[0].text} dimensions {row[1].text}" for row in table.rows]
    picture = Picture(
        name="prefixes",
        alt=described(f"{label_of(content.headline[0])} by width", ", ".join(values)),
        figure=figures.prefix_figure(content.prefixes, content.headline),
    )
    text = "The first dimensions work alone: a narrower index is smaller and faster."
    return Section(
        anchor="prefixes",
        title="Quality by width of the vectors",
        text=(text,),
        blocks=(Block(picture=picture, tables=(table,)),),
    )


def _measured_on(content: ReportContent) -> str:
    num_users = formats.count(content.model.overall.get("num_users", math.nan))
    text = (
        f"Lists of {content.k} items, measured on {num_users} users with items in the "
        f"{content.part} part."
    )
    if content.num_new_items:
        new = formats.count(content.num_new_items)
        text += f" Items that training never saw, and no ranker here can recommend: {new}."
    if content.part == "validation":
        text += " Settings were chosen on it too, so that the model looks better than it is."
    return text


def _in_words(content: ReportContent) -> str:
    """The headline of each ranker in words."""
    rankers = {"this model": content.model, **content.baselines}
    measure = content.headline[0]
    values = [f"{name} {formats.fraction(one.overall[measure])}" for name, one in rankers.items()]
    return f"{label_of(measure)}: {', '.join(values)}"


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
            alt=described(f"{label_of(measure)} by {segment}", ", ".join(values)),
            figure=figures.segment_figure(labels, by_label, baselines, measure),
        ),
        tables=(tables.segment_table(content, segment, labels),),
    )


def _largest(by_label: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Labels of the most users, in the order that they came in; of some users at least."""
    sizes = {
        label: size
        for label, values in by_label.items()
        if (size := values.get("num_users", 0.0)) >= LEAST_USERS
    }
    kept = set(sorted(sizes, key=lambda label: -sizes[label])[:MAX_LABELS])
    return [label for label in by_label if label in kept]
