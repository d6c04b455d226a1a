"""The page about Python is run: its blocks in their order, and what they print is what it shows."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from markdown_pages import ROOT, Page

PAGE = Page(ROOT / "docs" / "guide" / "python.md")
BLOCKS = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)


def test_the_page_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of the page works in one session, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    # What reads the whole samples takes its time: .ci/wheel runs it, as an installed package does.
    blocks = [one for one in BLOCKS.findall(PAGE.text) if "data/sample/" not in one[0]]
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), session)  # noqa: S102  a page of ours
        assert printed.getvalue() == shown, code

    assert len(blocks) > 8
