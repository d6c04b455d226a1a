"""One style for all figures, and how they are written to files.

Nothing here touches pyplot. Text that comes from users is never read as mathematics: a title may
hold dollar signs.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

MODEL_COLOUR = "#0072B2"
BEST_COLOUR = "#b34e00"
TEXT_COLOUR = "#1f2933"
MUTED = "#6b7280"
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Colours that colour-blind readers can tell apart: Okabe and Ito 2008, "Color universal
design"."""
BASELINE_MARKERS = ("s", "^", "D", "v", "P", "X")

HALF_WIDTH = 4.6
"""Inches; fits beside a table on a desktop, and the width of a phone."""

_PNG_DPI = 200
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": TEXT_COLOUR,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#d9dde3",
    "grid.linewidth": 0.6,
    "text.color": TEXT_COLOUR,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT_COLOUR,
    "ytick.labelcolor": TEXT_COLOUR,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "recsys",  # names in the file do not change from run to run
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A figure with its name and its alternative text."""

    name: str
    """Name of its file, without the ending."""
    alt: str
    """What it shows, for readers who cannot see it."""
    figure: Figure
    """The drawing."""

    @property
    def data_uri(self) -> str:
        """The figure as SVG within an address, for the `src` of an image."""
        encoded = base64.b64encode(self._bytes("svg", Date=None)).decode()
        return f"data:image/svg+xml;base64,{encoded}"

    @property
    def png(self) -> bytes:
        """The figure as a PNG file of about twice the resolution of a screen."""
        return self._bytes("png")

    def _bytes(self, kind: str, **metadata: str | None) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata=metadata)
        return buffer.getvalue()


def house_style() -> AbstractContextManager[None]:
    """The settings to draw and save figures with, which override the user's own."""
    return matplotlib.style.context(["default", _STYLE])


def drawable(text: str, max_chars: int = 34) -> str:
    """Text as the font can draw it: one line, shortened, a box for what the font lacks."""
    line = " ".join(text.split())
    short = line if len(line) <= max_chars else line[: max_chars - 1].rstrip() + "…"
    return "".join(one if ord(one) in _font_characters() else "□" for one in short)


def is_drawable(text: str) -> bool:
    """Whether the font has all characters of a text."""
    return _font_characters().issuperset(map(ord, " ".join(text.split())))


def literal_legend(
    axes: Axes,
    entries: Sequence[tuple[str, Artist]],
    *,
    loc: Literal["lower left", "upper center"],
    anchor: tuple[float, float],
    num_columns: int,
    marker_scale: float = 1.0,
) -> None:
    """A legend whose labels may hold anything, mathematics or an underscore at the start too.

    Args:
        axes: Where it goes.
        entries: Labels, and what is drawn beside each.
        loc: The corner of the legend that is put at the anchor.
        anchor: A place in units of the axes.
        num_columns: Columns of the legend.
        marker_scale: Size of its markers, relative to those of the axes.
    """
    handles, blanks = [handle for _, handle in entries], ["" for _ in entries]
    legend = axes.legend(
        handles, blanks, loc=loc, bbox_to_anchor=anchor, ncols=num_columns,
        markerscale=marker_scale, borderaxespad=0.2, columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip
    for text, (label, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(label)


@functools.cache
def _font_characters() -> frozenset[int]:
    file = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return frozenset(FT2Font(str(file)).get_charmap())
