"""Numbers in the report: every one shown is the one that was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from html_page import Page
from report_example import K, epochs, evaluation, full_content, index_report, least_content

from recsys.recommender.evaluation.comparison import paired_difference
from recsys.recommender.report import ReportContent, quality_sections, render_report
from recsys.recommender.report.figures import (
    comparison_figure,
    index_figure,
    prefix_figure,
    training_figure,
)
from recsys.reporting.drawing import house_style


@pytest.fixture(scope="module")
def content() -> ReportContent:
    """Everything a report can show."""
    return full_content()


@pytest.fixture(scope="module")
def page(content: ReportContent) -> Page:
    """Its page."""
    return Page(render_report(content))


def with_interval(values: Mapping[str, float], key: str) -> str:
    """A measure as the report shows it."""
    return f"{values[key]:.4f} {values[key + '_low']:.4f} to {values[key + '_high']:.4f}"


def test_measures_are_those_of_the_evaluations(page: Page, content: ReportContent) -> None:
    """The comparison shows every measure of every ranker, with its interval and the best marked."""
    table = page.table("The model beside")
    rankers = [content.model, *content.baselines.values()]
    assert table["Measure"] == ["this model", "popular word", "cosine"]
    for label, name in {"Recall": "recall", "NDCG": "ndcg"}.items():
        for k in (3, K):
            values = [ranker.overall[f"{name}@{k}"] for ranker in rankers]
            shown = [with_interval(ranker.overall, f"{name}@{k}") for ranker in rankers]
            assert max(values) == values[0]
            assert table[f"{label}@{k}"] == [f"{shown[0]} best", *shown[1:]]
    forms = {"MRR": ("mrr", "{:.4f}"), "Hit rate": ("hit_rate", "{:.4f}")} | {
        "Coverage": ("coverage", "{:.1%}"),
        "Novelty": ("novelty", "{:.2f}"),
        "Popularity lift": ("popularity_lift", "{:+.1%}"),
        "Diversity": ("diversity", "{:.4f}"),
    }
    for label, (name, form) in forms.items():
        shown = [form.format(ranker.overall[f"{name}@{K}"]) for ranker in rankers]
        best = " best" if name in ("mrr", "hit_rate") else ""
        assert table[f"{label}@{K}"] == [f"{shown[0]}{best}", *shown[1:]]
        assert label in page.text[page.text.index("What the measures mean", 900) :]


def test_the_top_sets_the_model_beside_the_best_baseline(
    page: Page, content: ReportContent
) -> None:
    """Each figure in large print is the model's; below it is the baseline that has the most."""
    for label, name in {"Recall": "recall", "Hit rate": "hit_rate"}.items():
        key = f"{name}@{K}"
        overall = content.model.overall
        values = {rival: one.overall[key] for rival, one in content.baselines.items()}
        rival = max(values, key=values.__getitem__)
        shown = with_interval(overall, key) if f"{key}_low" in overall else f"{overall[key]:.4f}"
        assert len(set(values.values())) == 2
        assert f"{label}@{K} {shown} {rival}: {values[rival]:.4f}" in page.text
    assert "54,321 interactions of 60 users with 40 items, 2013-02-28 to 2013-09-01." in page.text


def test_differences_are_paired(page: Page, content: ReportContent) -> None:
    """Beside each baseline stands the paired difference with its interval."""
    table = page.table("The model less")
    for name, baseline in content.baselines.items():
        differences = [
            paired_difference(content.model.per_user[key], baseline.per_user[key])
            for key in (f"recall@{K}", f"ndcg@{K}")
        ]
        assert table[name] == [f"{d.mean:+.4f} {d.low:+.4f} to {d.high:+.4f}" for d in differences]


def test_segments_are_those_of_the_evaluations(page: Page, content: ReportContent) -> None:
    """Each label shows its users, its measures, and the best baseline that was split likewise."""
    table = page.table("Quality by country word")
    by_label = content.model.by_segment["country word"]
    baseline = content.baselines["popular word"].by_segment["country word"]
    assert list(table) == ["country word", *by_label]
    for label, values in by_label.items():
        assert table[label] == [
            f"{values['num_users']:.0f}",
            *(with_interval(values, key) for key in content.headline),
            f"{baseline[label][f'recall@{K}']:.4f} popular word",
        ]


def test_only_the_largest_segments_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many labels those with most users are kept, in their order, and the rest is counted."""
    monkeypatch.setattr(quality_sections, "MAX_LABELS", 4)
    labels = [f"{min(user, 59 - user) % 7:02}" for user in range(60)]
    model = evaluation(0.9, segments={"group": labels})
    sizes = {label: labels.count(label) for label in sorted(set(labels))}
    page = Page(render_report(replace(least_content(), model=model)))
    shown = list(page.table("Quality by group"))[1:]
    assert (len(sizes), len(shown)) == (7, 4)
    assert shown == sorted(shown)
    left_out = sizes.keys() - set(shown)
    assert max(sizes[label] for label in left_out) <= min(sizes[label] for label in shown)
    assert "4 largest groups; 3 smaller ones" in page.text


def test_groups_of_a_few_users_are_not_shown() -> None:
    """Of two or five users nothing can be said: they are counted, and neither drawn nor listed."""
    labels = ["two"] * 2 + ["five"] * 5 + ["six"] * 6 + ["rest"] * 47
    model = evaluation(0.9, segments={"group": labels})
    page = Page(render_report(replace(least_content(), model=model)))
    assert set(page.table("Quality by group")) == {"group", "six", "rest"}
    assert "2 largest groups; 2 smaller ones" in page.text
    alone = evaluation(0.9, segments={"group": [str(user // 2) for user in range(60)]})
    page = Page(render_report(replace(least_content(), model=alone)))
    assert "Quality by segment" not in page.text


def test_prefixes_epochs_and_index_are_those_measured(page: Page, content: ReportContent) -> None:
    """Widths ascend with their measures; every epoch and every operating point has its row."""
    full, half = content.prefixes[32], content.prefixes[8]
    keys = content.headline
    assert page.table("Quality of lists made from") == {
        "Dimensions": [f"Recall@{K}", f"NDCG@{K}", f"NDCG@{K} against full width"],
        "8": [with_interval(half, key) for key in keys] + [f"{half[keys[1]] / full[keys[1]]:.1%}"],
        "32": [with_interval(full, key) for key in keys] + ["100.0%"],
    }
    assert page.table("Epochs while")["4"] == [f"{6.5432 / 4:.4f}", "0.1234", "1.25 s", "12,345"]
    assert list(page.table("Epochs of the final fit")) == ["Epoch", "1", "2", "3", "4"]
    assert "number 4 was the best on validation data, with NDCG@5 0.1234" in page.text
    rows = [
        row for name, rows in page.tables.items() if name == "What was measured" for row in rows
    ]
    assert rows == [
        ["List length", "nprobe", "Recall", "At least", "Queries/s"],
        ["20", "exact", "1.0000", "0.9900", "198"],
        ["20", "4", "0.8765", "0.8665", "2,469"],
        ["20 chosen", "8", "0.9654", "0.9554", "1,234"],
    ]
    assert "IVF search finds 96.5% of what exact search finds" in page.text
    assert "4,321 vectors of 32 dimensions, 7.2 MB, built in 1.50 s. A note on" in page.text


def test_the_facts_of_the_run_are_shown(page: Page) -> None:
    """Data, cuts, choices, settings, versions, times and memory stand there as given."""
    data = page.table("Data")
    assert data["interactions"] == ["54,321"]
    assert data["first event"] == ["2013-02-28 14:38 UTC"]
    assert data["test from"] == ["2013-08-17 00:00 UTC"]
    assert data["rows in part word"] == ["43,210"]
    assert page.table("Chosen on validation data") == {
        "Name": ["Value"],
        "epochs": ["4"],
        "half-life of popularity": ["12.50 days"],
        "half-life in the loss": ["age does not matter"],
        "weight of popularity": ["0.75"],
    }
    assert page.table("Time and memory") == {
        "Name": ["Value"],
        "fit word": ["1 min 23 s"],
        "peak memory": ["812.4 MB"],
    }
    assert page.table("All settings")["model word.dims"] == ["8, 32"]
    assert page.table("Versions")["numpy"] == ["1 word"]


def test_long_tables_are_shown_on_demand() -> None:
    """A table of many epochs is folded, as its picture says it all; a short one stands open."""
    for num_epochs, num_folded in ((16, 0), (17, 1)):
        content = replace(least_content(), epochs=epochs(num_epochs, best=4))
        tags = [tag for tag, _ in Page(render_report(content)).tags]
        assert tags.count("details") == num_folded


def test_the_measured_part_is_named(page: Page) -> None:
    """A comparison on validation data is told to flatter the model, one on test data not."""
    assert f"Lists of {K} items, measured on 60 users with items in the test part." in page.text
    assert "looks better than it is" not in page.text
    flattered = replace(least_content(), part="validation", num_new_items=1234)
    page = Page(render_report(flattered))
    assert "in the validation part. Items that training never saw" in page.text
    assert "can recommend: 1,234. Settings were chosen on it too" in page.text


def test_an_exact_index_is_told_in_words() -> None:
    """Nothing is missed by exact search, so there is no curve to draw."""
    page = Page(render_report(replace(least_content(), index=index_report("exact"))))
    assert not page.pictures
    assert "The search is exact" in page.text
    assert "It answers 198 queries a second." in page.text
    assert "A note on the index." in page.text


def test_training_without_validation_has_no_best_epoch() -> None:
    """A final fit alone shows its loss and claims nothing more."""
    page = Page(render_report(replace(least_content(), refit_epochs=epochs(3, best=None))))
    assert "best on validation" not in page.text
    assert page.table("Epochs of the final fit")["3"][1] == "\N{EN DASH}"


def test_what_is_not_known_is_a_dash() -> None:
    """NaN is never printed, neither for the model nor for a baseline."""
    model = evaluation(0.9, segments={"group": ["a"] * 60})
    nothing = dict.fromkeys(model.overall, math.nan)
    per_user = {name: values * math.nan for name, values in model.per_user.items()}
    segments = {"group": {"a": nothing}}
    unknown = replace(model, overall=nothing, per_user=per_user, by_segment=segments)
    content = ReportContent(
        name="unknown", k=K, model=unknown, baselines={"same": unknown}, prefixes={8: nothing}
    )
    page = Page(render_report(content))
    assert page.table("The model beside")[f"Recall@{K}"] == ["\N{EN DASH}"] * 2
    assert page.table("The model less")["same"] == ["\N{EN DASH}"] * 2
    assert not re.search(r"\bnan\b", " ".join(page.body_texts[1:]), re.IGNORECASE)
    assert content.beats_baselines is None


def test_figures_draw_the_numbers_they_are_given(content: ReportContent) -> None:
    """Curves pass through the measured points, and the best epoch is the one that is marked."""
    measures = content.headline
    with house_style():
        loss, validation = training_figure(content.epochs, content.refit_epochs, measures[1]).axes
        widths = prefix_figure(content.prefixes, measures).axes[0].get_lines()
        index = index_figure(index_report("ivf")).axes[0].get_lines()
        dots = comparison_figure({"model": content.model}, measures).axes
    assert loss.get_lines()[0].get_ydata() == pytest.approx([6.5432 / n for n in range(1, 7)])
    assert len(loss.get_lines()[1].get_ydata()) == len(content.refit_epochs)
    assert validation.get_lines()[0].get_ydata()[3] == 0.1234
    assert list(validation.get_lines()[1].get_xdata()) == [4, 4]
    for line, key in zip(widths, measures, strict=True):
        assert line.get_xdata().tolist() == [8, 32]
        assert line.get_ydata().tolist() == [content.prefixes[w][key] for w in (8, 32)]
    assert [line.get_ydata().tolist() for line in index] == [[0.8765, 0.9654], [1.0], [0.9654]]
    assert index[0].get_xdata().tolist() == [9876 / 4, 9876 / 8]
    for axes, key in zip(dots, measures, strict=True):
        expected = [content.model.overall[key + end] for end in ("", "_low", "_high")]
        drawn = [line.get_xdata().item() for line in axes.get_lines()]
        assert drawn == pytest.approx(expected)
