"""The house style: any text can be drawn, and is drawn as it is."""

from __future__ import annotations

from matplotlib.figure import Figure

from recsys.reporting.drawing import drawable, house_style, literal_legend


def test_text_is_made_drawable() -> None:
    """Text becomes one line of bounded length in which nothing is missing from the font."""
    assert drawable("  Two\nlines ") == "Two lines"
    assert drawable("x" * 50, 10) == "xxxxxxxxx…"
    assert drawable("日本 \x07 Amélie") == "□□ □ Amélie"


def test_literal_legends_need_nothing_but_entries() -> None:
    """Labels that the drawing library would read as its own are shown as they are."""
    with house_style():
        axes = Figure().subplots()
        lines = [*axes.plot([0, 1]), *axes.plot([1, 0])]
        literal_legend(
            axes,
            [("_hidden", lines[0]), ("$x$", lines[1])],
            loc="upper center",
            anchor=(0, 0),
            num_columns=1,
        )
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["_hidden", "$x$"]
        assert not any(text.get_parse_math() for text in legend.get_texts())
