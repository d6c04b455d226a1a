"""Publish again and again, killed with SIGKILL at its first system call, its second, and so on.

Run as a program by `test_kills.py`: it forks, which a process with threads must not do. After each
kill it reads as a consumer would and publishes once more without cleaning up. It prints what it saw
as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from recsys.publishing import current_run, protocol, publish, published_runs, verify_run

CALLS = ["open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir"]
STAGES = [
    "_sweep",
    "_next_sequence",
    "_draft_of",
    "_seal",
    "_audit",
    "_commit",
    "_point",
    "_collect",
]


def write_version(version: str) -> Callable[[Path], None]:
    """Write two files that have to agree."""

    def write(folder: Path) -> None:
        (folder / "part").mkdir()
        for name in ("part/a", "b"):
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, version.encode())
            os.close(descriptor)

    return write


def read_version(root: Path) -> str:
    """The live version, after checking that all of it is there."""
    folder = current_run(root)
    verify_run(folder)
    first, second = (folder / "part/a").read_text(), (folder / "b").read_text()
    if first != second:
        raise AssertionError(f"mixed versions {first} and {second}")
    return first


def die_at(n: int, note: Callable[[str], None]) -> None:
    """Kill this process at its n-th call; a call that writes has done half of its work by then."""
    left = n

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                if name == "write":
                    descriptor, data = args
                    real(descriptor, bytes(data)[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, call)

    def announce(stage: str) -> None:
        real = getattr(protocol, stage)

        def enter(*args: object, **kwargs: object) -> object:
            note(stage)
            return real(*args, **kwargs)

        setattr(protocol, stage, enter)

    for name in CALLS:
        wrap(name)
    for stage in STAGES:
        announce(stage)


def killed_publish(root: Path, n: int) -> tuple[bool, bool, str]:
    """Publish `new` in a process that dies at its n-th call.

    Returns:
        Whether it was killed, whether it had acknowledged, and the stage that it had entered.
    """
    reader, writer = os.pipe()
    write_pipe = os.write
    child = os.fork()
    if child == 0:
        die_at(n, lambda stage: write_pipe(writer, f"{stage} ".encode()))
        publish(root, "2026-03-02", write_version("new"), run_id="new", keep=1)
        write_pipe(writer, b"acknowledged ")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        notes = pipe.read().split()
    _, status = os.waitpid(child, 0)
    stages = [note for note in notes if note in STAGES]
    return os.WIFSIGNALED(status), "acknowledged" in notes, stages[-1] if stages else "lock"


def main(folder: Path) -> None:
    """Kill at call 1, 2, ... until the publisher survives; print the counts."""
    stages: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    publish(folder / "0", "2026-03-01", write_version("old"), run_id="old")
    for n in range(1, 1000):
        root = folder / str(n)
        shutil.copytree(folder / "0", root)
        killed, acknowledged, stage = killed_publish(root, n)
        version = read_version(root)
        if version != "new" and acknowledged:
            raise AssertionError("an acknowledged publish was lost")
        if not killed:
            break
        seen[version] += 1
        stages[stage] += 1
        publish(root, "2026-03-02", write_version("new"), run_id="new", keep=1)
        if read_version(root) != "new" or len(published_runs(root)) != 1:
            raise AssertionError(f"not recovered after a kill in {stage}")
        if left := [*root.rglob("*.tmp")]:
            raise AssertionError(f"left behind after a kill in {stage}: {left}")
    json.dump({"stages": stages, "seen": seen, "survived": not killed}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
