"""Publishers that are killed at any call, disks that refuse any call, and races of publishers.

Each trial is a forked process, as a process with threads must not fork: this module imports nothing
that starts one. After each trial the outputs are read as a consumer would.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "publishing"))

from kill_every_call import CALLS, killed_publish, read_version, write_version

from pipelines.jobs.job_run import DeadlinesConfig, find_done, job_run
from recsys.errors import RecsysError, SkippedError
from recsys.publishing import publish, published_runs

Result = dict[str, int | float | str]

DAY, PROVENANCE = "2026-03-02", {"data": "the same"}
_PUBLISHED, _SKIPPED, _FAILED = 0, 7, 1


def kills(num_trials: int, seed: int) -> Result:
    """Kill publishers at calls drawn at random, as often in each stage; count what readers see."""
    rng, began = random.Random(seed), time.perf_counter()  # noqa: S311  not for secrets
    stages: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publish(folder / "0", "2026-03-01", write_version("old"), run_id="old")
        calls = _calls_by_stage(folder)
        while counts["kills"] < num_trials:
            root = shutil.copytree(folder / "0", folder / "trial")
            wanted = list(calls)[counts["kills"] % len(calls)]
            killed, acknowledged, stage = killed_publish(root, rng.choice(calls[wanted]))
            try:
                version = read_version(root)
            except (AssertionError, RecsysError, OSError):
                counts["torn"] += 1
                version = "none"
            counts["lost"] += acknowledged and version != "new"
            if killed:
                counts["kills"] += 1
                seen[version] += 1
                stages[stage] += 1
            publish(root, DAY, write_version("new"), run_id="new", keep=1)
            counts["not_recovered"] += read_version(root) != "new" or any(root.rglob("*.tmp"))
            shutil.rmtree(root)
    rarest = min(calls, key=lambda one: stages[one])
    return {
        "trials": counts["kills"],
        "torn": counts["torn"],
        "lost": counts["lost"],
        "not recovered by one rerun": counts["not_recovered"],
        "after the commit": seen["new"],
        "stages": len([one for one in stages if stages[one]]),
        "kills of the rarest stage": stages[rarest],
        "by stage": " ".join(f"{one.strip('_')}:{count}" for one, count in sorted(stages.items())),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _calls_by_stage(folder: Path) -> dict[str, list[int]]:
    """Numbers of the calls in each stage that makes any."""
    calls: dict[str, list[int]] = {}
    for n in range(1, 1000):
        root = shutil.copytree(folder / "0", folder / "count")
        killed, _, stage = killed_publish(root, n)
        shutil.rmtree(root)
        if not killed:
            return calls
        calls.setdefault(stage, []).append(n)
    raise AssertionError("expected a publish of fewer than 1000 calls")


_REFUSALS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)


def refusals(num_ways: int, seed: int) -> Result:
    """Let the n-th call of each kind fail, n = 1, 2, ... up to a clean pass, in up to four ways."""
    del seed  # every case is tried
    counts: Counter[str] = Counter()
    began = time.perf_counter()
    for call in (*CALLS, "close"):
        for number in _REFUSALS[:num_ways]:
            for n in range(1, 1000):
                with tempfile.TemporaryDirectory() as name:
                    root = Path(name) / "root"
                    publish(root, "2026-03-01", write_version("old"), run_id="old")
                    outcome = _in_child(partial(_failing, root, call, n, number))
                    if outcome == _PUBLISHED and not (root / "hit").exists():
                        break
                    counts["trials"] += 1
                    _count_refusal(root, outcome, counts)
            else:
                raise AssertionError(f"expected a clean pass of {call}")
    return {
        "trials": counts["trials"],
        "silent": counts["silent"],
        "torn": counts["torn"],
        "told": counts["told"],
        "harmless": counts["harmless"],
        "not recovered by one rerun": counts["not_recovered"],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _count_refusal(root: Path, outcome: int, counts: Counter[str]) -> None:
    """What a refused call led to: an error that was told, or a whole new run all the same."""
    (root / "hit").unlink(missing_ok=True)
    try:
        version = read_version(root)
    except (AssertionError, RecsysError, OSError):
        counts["torn"] += 1
        version = "none"
    if outcome == _PUBLISHED:
        counts["harmless" if version == "new" else "silent"] += 1
    else:
        counts["told" if outcome == _FAILED else "silent"] += 1
    publish(root, DAY, write_version("new"), run_id="again", keep=1)
    counts["not_recovered"] += read_version(root) != "new"


def _failing(root: Path, call: str, n: int, number: int) -> int:
    """Publish while the n-th call fails; the file `hit` says that it came to that."""
    left, make = n, os.open

    def fail(*args: object, **kwargs: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            make(root / "hit", os.O_CREAT | os.O_WRONLY)
            raise OSError(number, os.strerror(number), "a file")
        return real(*args, **kwargs)

    real = getattr(os, call)
    setattr(os, call, fail)
    try:
        publish(root, DAY, write_version("new"), run_id="new", keep=1)
    except RecsysError as error:
        return _FAILED if os.strerror(number) in str(error) else 99
    finally:
        setattr(os, call, real)
    return _PUBLISHED


def races(num_trials: int, seed: int, *, num_racers: int = 4) -> Result:
    """Jobs for the same outputs that start at once, some of them stopped for a while."""
    rng, began = random.Random(seed), time.perf_counter()  # noqa: S311  not for secrets
    counts: Counter[str] = Counter()
    for _ in range(num_trials):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / "root"
            publish(root, "2026-03-01", write_version("old"), run_id="old")
            outcomes = _race(root, num_racers, stop=rng.random() < 0.3)
            counts["trials"] += 1
            counts["one winner"] += outcomes.count(_PUBLISHED) == 1
            counts["others"] += sum(one not in {_PUBLISHED, _SKIPPED} for one in outcomes)
            runs = [run for run in published_runs(root) if run.manifest.logical_date == DAY]
            is_whole = read_version(root) == "new" and len(runs) == 1
            counts["torn or twice"] += not is_whole
            # A run for an earlier day does not move the pointer back.
            publish(root, "2026-02-01", write_version("late"), run_id="late")
            counts["pointer moved back"] += read_version(root) != "new"
    return {**counts, "seconds": round(time.perf_counter() - began, 1)} | {
        name: counts[name] for name in ("others", "torn or twice", "pointer moved back")
    }


def _race(root: Path, num_racers: int, *, stop: bool) -> list[int]:
    start_reader, start_writer = os.pipe()
    children = []
    for number in range(num_racers):
        child = os.fork()
        if child == 0:
            os.close(start_writer)
            os.read(start_reader, 1)
            os._exit(_job(root, f"run-{number}"))
        children.append(child)
    os.close(start_reader)
    os.close(start_writer)  # the end of the pipe is the start of the race
    if stop:
        time.sleep(0.002)
        os.kill(children[0], signal.SIGSTOP)
        time.sleep(0.02)
        os.kill(children[0], signal.SIGCONT)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _job(root: Path, run_id: str) -> int:
    """A job as the commands run one: lock, done already, publish."""
    try:
        with job_run("race", root, DeadlinesConfig()):
            if find_done(root, date.fromisoformat(DAY), PROVENANCE) is not None:
                return _SKIPPED
            publish(root, DAY, write_version("new"), run_id=run_id, provenance=PROVENANCE)
    except SkippedError:
        return _SKIPPED
    except RecsysError:
        return _FAILED
    return _PUBLISHED


def _in_child(work: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
