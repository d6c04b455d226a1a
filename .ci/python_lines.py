"""The Python interface of the installed wheel: the first lines of its page, in an empty folder.

They read the samples, here those that come with the wheel.
"""

from __future__ import annotations

import re
from pathlib import Path

import pipelines

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "python.md"

samples = f"{pipelines.__path__[0]}/samples/"
blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
lines = [block.replace("data/sample/", samples) for block in blocks if "data/sample/" in block]
assert len(lines) == 3, "expected a block for each product, and one with polars"
session: dict[str, object] = {}
for block in lines:
    exec(compile(block, PAGE.name, "exec"), session)

recommender = session["recommender"]
recommender.save("saved")  # type: ignore[attr-defined]
assert Path("saved/models/CURRENT").is_file()
