"""Examples in docstrings run, and give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest
from markdown_pages import ROOT

SOURCES = [
    path
    for package in ("recsys", "pipelines")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_of_a_module_run(path) -> None:  # noqa: ANN001
    """Every example prints what its docstring shows; dots stand for what may differ."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    found = doctest.testmod(module, optionflags=flags)

    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples() -> None:
    """The search for examples finds those of both packages."""
    assert len(SOURCES) > 15
