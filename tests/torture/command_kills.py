"""The real command, killed or asked to stop at random moments; its outputs read after each."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
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
        _finish(_start("train-recommender", config, _OLD), config)
        _finish(_start("write-recommendations", config, _OLD), config)
        root, spare = folder / "runs/recommendations", folder / "spare"
        shutil.copytree(root, spare)
        start = time.perf_counter()
        _finish(_start("write-recommendations", config, _NEW), config)
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
            _finish(_start("write-recommendations", config, _NEW, "--force"), config)
            counts["not recovered by one rerun"] += _live_day(root) != _NEW
    ends = ("trials", "killed", "stopped", "ended before", "after the commit", "other ends")
    names = (*ends, "torn", "lost", "not recovered by one rerun")
    return {name: counts[name] for name in names} | {
        "slowest stop, s": round(slowest, 1),
        "stopped too late": int(slowest > _GRACE_S),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def _start(command: str, config: Path, day: str, *options: str) -> int:
    from warm_commands import warm_commands

    return warm_commands().start(
        command, config, "--as-of", day, "--quiet", *options,
        stdout=config.parent / "out", stderr=config.parent / "err",
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip


def _finish(number: int, config: Path) -> None:
    from warm_commands import warm_commands

    code = warm_commands().wait(number)
    if code != 0:
        errors = (config.parent / "err").read_text(encoding="utf-8")
        raise RuntimeError(f"expected a job that ends well, got {code}: {errors}")


def _interrupted(
    config: Path, sent: signal.Signals, delay_s: float | None
) -> tuple[int, bool, float]:
    """Exit code of a job that got a signal, whether it said PUBLISHED, and how long it took.

    Without a delay the signal comes when the draft of the run is there.
    """
    from warm_commands import warm_commands

    runs = config.parent / "runs/recommendations/runs"
    number, start = _start("write-recommendations", config, _NEW), time.perf_counter()
    code = warm_commands().ended(number)
    while code is None:
        late = delay_s is not None and time.perf_counter() - start > delay_s
        if late or (delay_s is None and any(runs.glob("*/*.tmp"))):
            os.kill(number, sent)
            break
        time.sleep(0.001)
        code = warm_commands().ended(number)
    start = time.perf_counter()
    code = warm_commands().wait(number) if code is None else code
    lines = (config.parent / "out").read_text(encoding="utf-8").splitlines()
    published = bool(lines) and json.loads(lines[-1]).get("outcome") == "PUBLISHED"
    return code, published, time.perf_counter() - start


def _live_day(root: Path) -> str | None:
    """The day of the live run, if all of it is there."""
    from recsys.errors import RecsysError
    from recsys.publishing import current_run, verify_run

    try:
        return verify_run(current_run(root)).logical_date
    except RecsysError:
        return None
