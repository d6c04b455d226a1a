"""A publisher that is killed at any point harms neither its readers nor its successor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("kill_every_call.py")


def test_a_kill_at_any_call_leaves_the_old_run_or_the_new_one(tmp_path: Path) -> None:
    """Whichever system call SIGKILL falls on, readers see one whole run and a rerun recovers."""
    result = subprocess.run(
        [sys.executable, PROGRAM, tmp_path], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    stages, seen = report["stages"], report["seen"]
    # Kills that all come too early would prove nothing: each stage has its own, on both sides of
    # the moment at which the pointer moves.
    assert report["survived"]
    assert set(stages) >= {"lock", "_sweep", "_draft_of", "_seal", "_audit", "_commit", "_point"}
    assert stages["_collect"] > 0
    assert sum(stages.values()) >= 40
    assert min(seen["old"], seen["new"]) >= 5
