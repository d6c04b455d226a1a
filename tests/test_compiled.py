"""What is kept of compiled functions is not used once any of their sources changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CALLED = """
from recsys.compiled import compiled

@compiled
def inner(x):
    return x + {added}
"""
CALLING = """
from inner_part import inner
from recsys.compiled import compiled

@compiled
def outer(x):
    return inner(x)
"""
ASK = "from outer_part import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"


def asked(folder: Path) -> list[str]:
    """What a new process gets from the function, and how often it came from the disk."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "kept")}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_change_in_another_file_is_compiled_anew(tmp_path: Path) -> None:
    """A function is taken from the disk only as long as those that it calls are the same."""
    (tmp_path / "outer_part.py").write_text(CALLING)
    (tmp_path / "inner_part.py").write_text(CALLED.format(added=10))
    assert asked(tmp_path) == ["11", "0"]
    assert asked(tmp_path) == ["11", "1"]
    (tmp_path / "inner_part.py").write_text(CALLED.format(added=20))
    assert asked(tmp_path) == ["21", "0"]
