"""The torture of `make torture`, a hundredth of it: no count that must be 0 is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "torture"))

from all_parts import PARTS
from torture_part import Part, faults_of

TORTURE = Path(__file__).parent / "torture"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_short_torture_finds_nothing(part: Part) -> None:
    """Each part as its own process, as some fork and some change the environment."""
    done = subprocess.run(
        [sys.executable, TORTURE, "--short", "--only", part.name],
        capture_output=True, text=True, check=False, timeout=1800,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| {part.name} | " in done.stdout


def test_thin_coverage_is_a_fault() -> None:
    """A part fails that finds something, and one whose faults did not reach far enough."""
    part = Part(
        name="x", run=lambda _trials, _seed: {}, trials=100, short=1,
        zeros=("torn",), least={"after": 0.5}, equal=("winners",),
    )  # fmt: skip
    assert faults_of(part, {"torn": 0, "after": 50, "winners": 100}, 100) == []
    assert len(faults_of(part, {"torn": 1, "after": 49, "winners": 99}, 100)) == 3
