"""The real command, killed or asked to stop at random moments; its outputs read after each."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

Result = dict[str, int | float | str]

_OLD, _NEW = "2024-03-29", "2024-03-30"
_GRACE_S = 30


def run(num_trials: int, seed: int) -> Result:
    """Write lists for a second night; every other trial gets SIGTERM in place of SIGKILL."""
    from shop import SMALL_MODEL, UNTRACKED, shop_dataset, write_shop

    rng, began = random.Random(seed), time.perf_counter()  # noqa: S311  not for secrets
    counts: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_shop(folder, shop_dataset("int64"), "parquet", SMALL_MODEL, UNTRACKED)
        _finish(_start("train-recommender", config, _OLD))
        _finish(_start("write-recommendations", config, _OLD))
        root, spare = folder / "runs/recommendations", folder / "spare"
        shutil.copytree(root, spare)
        start = time.perf_counter()
        _finish(_start("write-recommendations", config, _NEW))
        job_s = time.perf_counter() - start
        while counts["trials"] < num_trials:
            shutil.rmtree(root)
            shutil.copytree(spare, root)
            sent = signal.SIGTERM if counts["trials"] % 2 else signal.SIGKILL
            # Half of them come as soon as the job writes, the others at any time.
            on_sight = counts["trials"] % 4 < 2
            delay_s = None if on_sight else rng.uniform(0.1, 1.0) * job_s
            code, published, end_s = _interrupted(config, sent, delay_s)
            if code == 0 and counts["ended before"] < num_trials:
                counts["ended before"] += 1  # the signal came too late: once more
                continue
            counts["trials"] += 1
            counts["killed"] += code == -signal.SIGKILL
            counts["stopped"] += code == 128 + signal.SIGTERM
            counts["other ends"] += code not in {0, -signal.SIGKILL, 128 + signal.SIGTERM}
            slowest = max(slowest, end_s if sent == signal.SIGTERM else 0.0)
            day = _live_day(root)
            counts["torn"] += day is None
            counts["lost"] += published and day != _NEW
            counts["after the commit"] += code != 0 and day == _NEW
            _finish(_start("write-recommendations", config, _NEW, "--force"))
            counts["not recovered by one rerun"] += _live_day(root) != _NEW
    ends = ("trials", "killed", "stopped", "ended before", "after the commit", "other ends")
    names = (*ends, "torn", "lost", "not recovered by one rerun")
    return {name: counts[name] for name in names} | {
        "slowest stop, s": round(slowest, 1),
        "stopped too late": int(slowest > _GRACE_S),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def _start(command: str, config: Path, day: str, *options: str) -> subprocess.Popen[str]:
    recsys = Path(sys.executable).with_name("recsys")
    return subprocess.Popen(
        [recsys, command, config, "--as-of", day, "--quiet", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
    )


def _finish(job: subprocess.Popen[str]) -> None:
    _, errors = job.communicate()
    if job.returncode != 0:
        raise RuntimeError(f"expected a job that ends well, got {job.returncode}: {errors}")


def _interrupted(
    config: Path, sent: signal.Signals, delay_s: float | None
) -> tuple[int, bool, float]:
    """Exit code of a job that got a signal, whether it said PUBLISHED, and how long it took.

    Without a delay the signal comes when the draft of the run is there.
    """
    runs = config.parent / "runs/recommendations/runs"
    job = _start("write-recommendations", config, _NEW)
    if delay_s is None:
        while job.poll() is None and not any(runs.glob("*/*.tmp")):
            time.sleep(0.001)
        job.send_signal(sent)  # does nothing to a job that has ended
    else:
        try:
            job.wait(delay_s)
        except subprocess.TimeoutExpired:
            job.send_signal(sent)
    start = time.perf_counter()
    printed, _ = job.communicate()
    lines = printed.splitlines()
    published = bool(lines) and json.loads(lines[-1]).get("outcome") == "PUBLISHED"
    return job.returncode, published, time.perf_counter() - start


def _live_day(root: Path) -> str | None:
    """The day of the live run, if all of it is there."""
    from recsys.errors import RecsysError
    from recsys.publishing import current_run, verify_run

    try:
        return verify_run(current_run(root)).logical_date
    except RecsysError:
        return None
