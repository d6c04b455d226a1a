"""Laws of publishing under failing disks, other publishers and readers at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from agreeing_outputs import live_text, writing

from recsys.errors import PublishError, SkippedError
from recsys.publishing import (
    publish,
    published_runs,
    rollback,
)

DAY = "2026-03-01"
NEXT_DAY = "2026-03-02"


def test_one_publisher_at_a_time(tmp_path: Path) -> None:
    """A second publisher is refused while the first one works, and welcome afterwards."""

    def write(folder: Path) -> None:
        for call in [
            lambda: publish(tmp_path, NEXT_DAY, writing("two"), run_id="b"),
            lambda: rollback(tmp_path, "a"),
        ]:
            with pytest.raises(SkippedError, match="only publisher, got another one at work"):
                call()
        writing("one")(folder)

    publish(tmp_path, DAY, write, run_id="a")
    publish(tmp_path, NEXT_DAY, writing("two"), run_id="b")

    assert live_text(tmp_path) == "two"


def test_a_blocking_error_of_the_writer_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    """Only the lock says that another publisher is at work."""

    def write(folder: Path) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable", str(folder / "fifo"))

    with pytest.raises(PublishError, match="fifo: cannot publish: Resource temporarily"):
        publish(tmp_path, DAY, write, run_id="a")


def test_leftovers_of_killed_publishers_are_removed(tmp_path: Path) -> None:
    """Drafts of dead runs and empty dates go with the next publish; whole runs stay."""
    publish(tmp_path, DAY, writing("one"), run_id="a")
    (tmp_path / "runs/2026-02-01/dead.tmp/folder").mkdir(parents=True)
    (tmp_path / "runs/2026-03-01/a.tmp").mkdir()
    (tmp_path / "CURRENT.tmp").touch()

    publish(tmp_path, NEXT_DAY, writing("two"), run_id="b")

    assert not [*tmp_path.rglob("*.tmp")]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {DAY, NEXT_DAY}


@pytest.mark.parametrize("call", ["open", "write", "fsync", "mkdir", "rename", "replace"])
def test_every_failing_call_leaves_a_whole_run_and_can_be_repeated(
    tmp_path: Path, failing_call: Callable[..., AbstractContextManager], call: str
) -> None:
    """Whichever call the disk refuses: a line with the reason, a whole live run, a good rerun."""

    def reported(n: int) -> str:
        try:
            with failing_call(call, n):
                publish(tmp_path, NEXT_DAY, writing(f"new{n}"), run_id=f"new{n}", keep=100)
        except PublishError as error:
            return str(error)
        return ""

    publish(tmp_path, DAY, writing("new0"), run_id="new0")
    num_failures = 0
    while message := reported(num_failures + 1):
        num_failures += 1
        allowed = {f"new{num_failures - 1}"}
        if "the live run is the old one or the new one" in message:
            allowed.add(f"new{num_failures}")
        assert "No space left on device; " in message
        assert "\n" not in message
        assert live_text(tmp_path) in allowed
        again = writing(f"new{num_failures}")
        publish(tmp_path, NEXT_DAY, again, run_id=f"new{num_failures}", keep=100)
        assert live_text(tmp_path) == f"new{num_failures}"

    assert num_failures >= {"rename": 1, "replace": 1}.get(call, 2)
    assert live_text(tmp_path) == f"new{num_failures + 1}"
    assert not [*tmp_path.rglob("*.tmp")]


def test_a_run_that_cannot_be_removed_does_not_fail_the_next(
    tmp_path: Path, failing_call: Callable[..., AbstractContextManager]
) -> None:
    """The new run is live by then; what is left goes with a later publish."""
    publish(tmp_path, DAY, writing("one"), run_id="a", keep=1)
    with failing_call("rmdir", 2):  # the first one is of the sweep
        publish(tmp_path, DAY, writing("two"), run_id="b", keep=1)

    assert live_text(tmp_path) == "two"
    assert [run.manifest.run_id for run in published_runs(tmp_path)] == ["b"]
    assert [*tmp_path.rglob("*.tmp")]
    publish(tmp_path, DAY, writing("three"), run_id="c", keep=1)
    assert not [*tmp_path.rglob("*.tmp")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the file table of Linux")
def test_names_are_given_only_to_what_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are synced before the run gets its name, the name before the pointer, and it last."""
    events = []
    for call in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, call, recording(events, call))

    publish(tmp_path, DAY, writing("one"), run_id="a")

    runs, draft = tmp_path / "runs", tmp_path / "runs" / DAY / "a.tmp"
    named, moved = (
        events.index(("rename", draft)),
        events.index(("replace", tmp_path / "CURRENT.tmp")),
    )
    contents = {"b.txt", "day=1", "day=1/part-0.txt", "_manifest.json"}
    sealed = {path for _, path in events[:named]}
    assert sealed >= {draft, *(draft / name for name in contents)}
    assert {path for _, path in events[named:moved]} >= {runs / DAY, runs, tmp_path}
    assert ("fsync", tmp_path / "CURRENT.tmp") in events[named:moved]
    assert events[moved + 1 :] == [("fsync", tmp_path)]


def recording(events: list[tuple[str, Path]], name: str) -> Callable[..., None]:
    """A function of `os` that notes the path that it is called for, and works."""
    real = getattr(os, name)

    def call(target: int | Path, *rest: Path) -> None:
        path = Path(f"/proc/self/fd/{target}").readlink() if name == "fsync" else Path(target)
        events.append((name, path))
        real(target, *rest)

    return call


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    """An error of the writer's own file names that file, and says that nothing changed."""
    publish(tmp_path, DAY, writing("old"), run_id="old")

    def write(folder: Path) -> None:
        (folder / "part").touch()
        raise OSError(28, "No space left on device", str(folder / "part"))

    with pytest.raises(PublishError) as caught:
        publish(tmp_path, NEXT_DAY, write, run_id="new")

    path, reason = str(tmp_path / "runs/2026-03-02/new.tmp/part"), "No space left on device"
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "live before still is" in message
    assert live_text(tmp_path) == "old"


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    """Readers that run all the time see whole runs only, and never an older one than before."""
    publish(tmp_path, DAY, writing("0"), run_id="r0")
    done, seen, errors = threading.Event(), [0], []

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(int(live_text(tmp_path)))
        except Exception as error:  # noqa: BLE001  told by the test's own thread
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 40):
        publish(tmp_path, DAY, writing(str(n)), run_id=f"r{n}", keep=100)
        while n % 10 == 0 and seen[-1] < n and not errors:
            time.sleep(0.001)  # the reader has its turn, however busy the machine is
    done.set()
    reader.join()

    assert not errors
    assert seen == sorted(seen)
    assert {10, 20, 30} <= set(seen)


def test_publishers_that_start_together_leave_one_order(tmp_path: Path) -> None:
    """Of several processes each publishes whole or is told of another; no place is given twice."""
    code = (
        "import sys; from pathlib import Path; from recsys.publishing import publish\n"
        "from recsys.errors import SkippedError\n"
        "root, name = Path(sys.argv[1]), sys.argv[2]\n"
        "write = lambda folder: (folder / 'a').write_text(name)\n"
        "sys.stdin.read()\n"
        "for n in range(10):\n"
        "    try: publish(root, '2026-03-01', write, run_id=f'{name}{n}', keep=100)\n"
        "    except SkippedError: pass\n"
        "    else: print(f'{name}{n}')\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for child in children:
        child.stdin.close()  # the start of the race
    outputs = [child.stdout.read() for child in children]
    for child in children:
        child.wait()

    runs = published_runs(tmp_path)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert {run.manifest.run_id for run in runs} == {n for out in outputs for n in out.split()}
    assert [run.manifest.sequence for run in runs] == list(range(1, len(runs) + 1))
    assert [run.is_current for run in runs] == [False] * (len(runs) - 1) + [True]
