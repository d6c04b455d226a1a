"""A reader of HTML pages that sees what the parser of a browser sees."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "link", "br", "base", "input", "source", "embed"}


@dataclass
class Page(HTMLParser):
    """Tags, texts and tables of a page."""

    html: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    body_texts: list[str] = field(default_factory=list)
    styles: str = ""
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _caption: str = ""
    _rows: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and begin a table, a row or a cell."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Check that tags nest, and keep a table that ends."""
        assert self._open.pop() == tag
        if tag == "table":
            texts = [[" ".join(cell.split()) for cell in row] for row in self._rows]
            self.tables[self._caption] = texts

    def handle_data(self, data: str) -> None:
        """Keep text where it belongs."""
        if "style" in self._open:
            self.styles += data
        elif "body" in self._open and data.strip():
            self.body_texts.append(data)
        if "caption" in self._open:
            self._caption += data
        elif self._open and {"th", "td"} & set(self._open):
            self._rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All text of the body, in one line."""
        return " ".join(" ".join(self.body_texts).split())

    @property
    def anchors(self) -> list[str]:
        """Names of the sections."""
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]

    @property
    def pictures(self) -> list[bytes]:
        """The SVG files in the page."""
        sources = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        return [base64.b64decode(source.partition("base64,")[2]) for source in sources]

    def table(self, caption_start: str) -> dict[str, list[str]]:
        """Cells of the table whose caption starts so, by the name of the row; header first."""
        (rows,) = [rows for name, rows in self.tables.items() if name.startswith(caption_start)]
        return {row[0]: row[1:] for row in rows}
