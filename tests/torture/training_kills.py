"""Training jobs that are killed with SIGKILL at random moments, again and again, until they end.

    python tests/torture/training_kills.py --num-kills 100 --seed 0

Each job is a process of its own that selects settings, compares and fits a small recommender, with
a checkpoint after every epoch. It is started anew after each kill, and what it ends with is
compared, bit for bit, with a job that was left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

_TIMEOUT_S = 300
_STARTED = "started"
_USED = [
    "recsys.checkpoints",
    "recsys.datasets.synthetic.interactions",
    "recsys.recommender.fitting.experiment",
    "torch._dynamo",
]
"""Modules that are imported once for all jobs: that takes longer than training."""


def run(num_kills: int, seed: int) -> dict[str, int | float]:
    """Kill training jobs; what came of it.

    Args:
        num_kills: Kills in all; the job that is at work by then is left to end.
        seed: Seed of the moments.

    Returns:
        Counts of `kills`, of those `kills_after_a_checkpoint` was there, of those
        `kills_while_writing` one, of `completed_runs`, and of `unequal_runs`, whose result is
        not that of a job that was left alone; `job_s` of the latter, and `wall_s` of all.

    Raises:
        RuntimeError: A job ended with an error of its own, or not at all.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # jobs may share their processors
    rng, counts, began = random.Random(seed), Counter[str](), time.perf_counter()  # noqa: S311
    expected, job_s = _ended(None, delay_s=None)
    while counts["kills"] < num_kills:
        with tempfile.TemporaryDirectory() as folder:
            digest = _until_it_ends(Path(folder) / "work", rng, job_s, counts, num_kills)
        counts["completed_runs"] += 1
        counts["unequal_runs"] += digest != expected
    names = ("kills", "kills_after_a_checkpoint", "kills_while_writing", "completed_runs")
    return {name: counts[name] for name in (*names, "unequal_runs")} | {
        "job_s": round(job_s, 3),
        "wall_s": round(time.perf_counter() - began, 1),
    }


def _until_it_ends(
    root: Path, rng: random.Random, job_s: float, counts: Counter[str], num_kills: int
) -> str:
    """Start a job again and again until it comes to its end; the digest of what it made."""
    while True:
        is_killed = counts["kills"] < num_kills
        # A job that goes on has less and less to do.
        delay_s = rng.uniform(0, job_s / 2) if is_killed else None
        digest, _ = _ended(root, delay_s=delay_s)
        if digest is not None:
            return digest
        counts["kills"] += 1
        counts["kills_after_a_checkpoint"] += any(root.glob("fit-*/" + "[0-9]" * 6))
        counts["kills_while_writing"] += any(root.glob("fit-*/*.tmp"))


def _ended(root: Path | None, *, delay_s: float | None) -> tuple[str | None, float]:
    """Digest of what a job made, None if it was killed, `delay_s` from its start; its seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_USED)
    receiver, sender = context.Pipe(duplex=False)
    job = context.Process(target=_job, args=(root, sender))
    job.start()
    sender.close()
    if not receiver.poll(_TIMEOUT_S) or receiver.recv() != _STARTED:
        raise RuntimeError("expected a job that starts, got none in time")
    started = time.perf_counter()
    job.join(_TIMEOUT_S if delay_s is None else delay_s)
    seconds = time.perf_counter() - started
    job.kill()  # does nothing to a job that has ended
    job.join()
    if job.exitcode == 0:
        return str(receiver.recv()), seconds
    if job.exitcode == -signal.SIGKILL and delay_s is not None:
        return None, seconds
    raise RuntimeError(f"expected a job that ends, got exit code {job.exitcode}")


def _job(root: Path | None, sender: Connection) -> None:
    """Train, and send the digest of the weights and of the settings that were selected."""
    from recsys.checkpoints import Checkpoints
    from recsys.datasets.splits import SplitConfig, split_interactions
    from recsys.datasets.synthetic.interactions import generate_interactions
    from recsys.recommender.config import EvaluationConfig, RecommenderConfig, TwoTowerConfig
    from recsys.recommender.fitting.experiment import run_experiment
    from recsys.recommender.fitting.train import TrainingCallbacks
    from recsys.training import TrainingConfig

    log = generate_interactions(
        num_users=200, num_items=80, num_interactions=2500, num_clusters=6, seed=1
    ).dataset
    config = RecommenderConfig(
        model=TwoTowerConfig(
            embedding_dim=16, num_heads=2, hidden_dims=(16,), prefix_dims=(8,), dropout=0.2,
            temperature=0.15, history_dropout=0.3, user_embedding=True,
        ),
        training=TrainingConfig(num_epochs=6, batch_size=10, precision="float32", device="cpu"),
    )  # fmt: skip
    sender.send(_STARTED)
    found = run_experiment(
        log,
        split_interactions(log.interactions, SplitConfig(), seed=0),
        config,
        EvaluationConfig(k=10),
        callbacks=TrainingCallbacks(
            checkpoints=None if root is None else Checkpoints(root, min_interval_s=0)
        ),
    )
    digest = hashlib.sha256(repr(found.selection).encode())
    for name, tensor in found.model.towers.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    sender.send(digest.hexdigest())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="kill training jobs and compare what they make")
    parser.add_argument("--num-kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(run(options.num_kills, options.seed), indent=1) + "\n")


if __name__ == "__main__":
    main()
