"""The documents as data: their code blocks, code spans, tables, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Path from the project's folder."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The file without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[str]:
        """Fenced blocks in one of the languages."""
        found = _FENCE.finditer(self.text)
        return [match["text"] for match in found if match["language"] in languages]

    @property
    def spans(self) -> list[str]:
        """Code within the prose."""
        return _SPAN.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Targets of links, those to other sites left out."""
        return [link for link in _LINK.findall(self.prose) if "://" not in link]

    @property
    def anchors(self) -> set[str]:
        """Anchors of the headings, as GitHub makes them."""
        return {slug(heading) for heading in _HEADING.findall(self.prose)}

    def section(self, heading: str) -> str:
        """The prose from a heading to the next one."""
        pattern = rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)"
        found = re.search(pattern, self.prose, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{self.name} has no heading {heading!r}"
        return found[1]

    def tables(self, heading: str) -> list[list[list[str]]]:
        """Tables below a heading: rows of cells, the header and its rule left out."""
        runs = re.findall(r"(?:^\|.*\n)+", self.section(heading), re.MULTILINE)
        return [[_cells(line) for line in run.splitlines()[2:]] for run in runs]


def slug(heading: str) -> str:
    """The anchor of a heading: lower case, punctuation dropped, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def all_pages() -> list[Page]:
    """Every document of the project."""
    patterns = ("*.md", "docs/**/*.md", "data/*.md", "mlflow/*.md", "tests/**/*.md")
    return [Page(path) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def shell_lines(page: Page) -> Iterator[str]:
    """Lines of shell blocks, continued ones joined."""
    for block in page.blocks("sh", ""):
        yield from block.replace("\\\n", " ").splitlines()


def tree_paths(block: str) -> list[str]:
    """Paths of a tree that is drawn by indentation, two spaces a level."""
    paths: list[str] = []
    parents: list[str] = []
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        paths.append("/".join(part.rstrip("/") for part in parents))
    return paths


def _cells(line: str) -> list[str]:
    """Cells of a row, without the marks of code."""
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace("`", "") for cell in cells]
