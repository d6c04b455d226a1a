"""Templates of pages: values are escaped, unknown names are errors, parts are shared."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_templates(folder: Path) -> Environment:
    """The templates of a folder, with the shared `page.css`, `head.html.jinja`, `parts.html.jinja`.

    Args:
        folder: Where the templates of a page lie; a file there hides a shared one of its name.
    """
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,  # titles, ids and column names are not ours
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
