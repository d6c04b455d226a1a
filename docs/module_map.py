"""Writes docs/modules.md: every folder and module of both packages with its first sentence.

python docs/module_map.py
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "modules.md"
PACKAGES = ("recsys", "pipelines")
HEAD = """# Every module, in one line

The first sentence of each module, folder by folder. `python docs/module_map.py` writes this page
and a test keeps it true. [Architecture](architecture.md) says how the parts work together.
"""


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, in one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def folder_lines(folder: Path) -> list[str]:
    """The heading, the sentence and the table of one folder."""
    lines = [f"## `{folder.relative_to(ROOT)}/`", "", first_sentence(folder / "__init__.py"), ""]
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    if modules:
        lines += ["| module | |", "|---|---|"]
        lines += [f"| `{path.name}` | {first_sentence(path)} |" for path in modules]
        lines.append("")
    return lines


def page_text() -> str:
    """The whole page."""
    lines = [HEAD]
    for package in PACKAGES:
        top = ROOT / package
        for init in sorted(top.rglob("__init__.py"), key=lambda path: path.parent.parts):
            lines += folder_lines(init.parent)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
