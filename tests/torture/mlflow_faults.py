"""Jobs whose tracking server fails in each of twelve ways, again and again.

    python tests/torture/mlflow_faults.py --repeats 10 --seed 0

A job tells parameters, figures, a table, a text and a model. Then its server comes to life, one
replay delivers what waits, and the store is compared with what the job told. `tracking.max_delay_s`
is 4 s instead of 60 s, and a request may take 2 s instead of 10 s, so that it ends today.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "tracking"))

from fault_server import MODES, Backend, FaultMode, FaultServer, mlflow_backend, wait_until

from recsys.artifacts import Bundle, write_bundle
from recsys.tracking import TrackingConfig, replay_spool, served_recommender, start_run
from recsys.tracking.client import load_mlflow
from recsys.tracking.spool import spool_lock

MAX_DELAY_S, _GRACE_S = 4.0, 30.0
_NUM_METRICS, _MAX_REQUESTS = 5, 40


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What all jobs of a torture share."""

    root: Path
    backend: Backend
    model: Bundle


def run(repeats: int, seed: int) -> dict[str, int | float]:
    """Let jobs meet each fault; what came of it.

    Args:
        repeats: Jobs a fault.
        seed: Seed of the moment at which servers die, and of how slow they are.

    Returns:
        Counts of `jobs`, of `failed_jobs`, whose block raised something, of `lost_runs`, which
        lack something after the replay, of `duplicates`, which are runs, figures, versions or
        stored models beside those that were told, and of `late_jobs`, which took more than
        `max_delay_s` and half a minute, as the machine may be busy (a store is looked at after
        each of two replays); `worst_delay_s`, the longest time from the end of a block to
        the end of telling; the `max_delay_s` that they had; and `wall_s` of all.
    """
    os.environ |= {"NO_PROXY": "127.0.0.1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    rng, counts, began = random.Random(seed), Counter[str](), time.perf_counter()  # noqa: S311
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        uri = f"sqlite:///{root / 'mlflow.db'}"
        load_mlflow().MlflowClient(tracking_uri=uri).search_experiments()  # makes the database
        items = {"items": pa.table({"item_id": ["a"]})}
        model = write_bundle(root / "model", kind="recommender-model", tables=items)
        with mlflow_backend(root / "mlflow.db") as backend:
            place = _Place(root=root, backend=backend, model=model)
            for number in range(repeats):
                for mode in MODES:
                    delay_s = _one_job(place, f"job-{number}-{mode}", mode, rng, counts)
                    worst = max(worst, delay_s)
                    counts["late_jobs"] += delay_s > MAX_DELAY_S + _GRACE_S
    names = ("jobs", "failed_jobs", "lost_runs", "duplicates", "late_jobs")
    return {name: counts[name] for name in names} | {
        "worst_delay_s": round(worst, 3),
        "max_delay_s": MAX_DELAY_S,
        "wall_s": round(time.perf_counter() - began, 1),
    }


def _one_job(
    place: _Place, name: str, mode: FaultMode, rng: random.Random, counts: Counter[str]
) -> float:
    """A job that meets a fault, and the replay after it; seconds that telling added to the job."""
    name, spool = name.replace(" ", "-"), place.root / "spools" / name
    after, delay_s = rng.randrange(_MAX_REQUESTS), rng.uniform(0.1, 1.0)
    counts["jobs"] += 1
    with FaultServer(
        mode, backend=place.backend, after=after, delay_s=delay_s, location="http://127.0.0.2:9"
    ) as server:
        config = TrackingConfig(
            uri=server.uri, experiment=name, registered_model=name, max_delay_s=MAX_DELAY_S
        )
        ended = time.perf_counter()
        try:
            ended = _report(config, spool, place.model)
        except Exception as error:  # noqa: BLE001  it is counted
            counts["failed_jobs"] += 1
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        added_s = time.perf_counter() - ended
    wait_until(lambda: _is_free(spool))
    with FaultServer("slow", backend=place.backend, delay_s=0, port=server.port):
        replay_spool(config, spool, budget_s=60)
        _compare(config, counts)
        replay_spool(config, spool, budget_s=60)
        _compare(config, counts)
    return added_s


def _report(config: TrackingConfig, spool: Path, model: Bundle) -> float:
    """A job; gives the moment at which its block ended."""
    with start_run(config, run_name="night", spool=spool) as tracked:
        tracked.log_params({"model": {"embedding_dim": 64}})
        for step in range(_NUM_METRICS):
            tracked.log_metrics({"loss": 1 / (1 + step)}, step=step)
        tracked.log_dataset("log", digest="ab" * 32, num_rows=1, source="x", context="training")
        tracked.log_text("hello", "notes/today.txt")
        served = served_recommender(
            model=model, index=None, user_id_type=pa.int64(), item_id_type=pa.string(), k=1
        )
        tracked.log_model(served, promote=True, order="2026-01-01/00000001")
        return time.perf_counter()


def _compare(config: TrackingConfig, counts: Counter[str]) -> None:
    """Count what a store lacks and what it has too often."""
    client = load_mlflow().MlflowClient(tracking_uri=config.uri, registry_uri=config.uri)
    experiment = client.get_experiment_by_name(config.experiment)
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id])
    versions = client.search_model_versions(f"name = '{config.registered_model}'")
    whole = len(runs) >= 1 and len(versions) >= 1
    if whole:
        run = runs[0]
        history = client.get_metric_history(run.info.run_id, "loss")
        holder = client.get_model_version_by_alias(config.registered_model, config.alias)
        models = client.search_logged_models([experiment.experiment_id])
        whole = (
            run.info.status == "FINISHED"
            and run.data.params == {"model.embedding_dim": "64"}
            and {metric.step for metric in history} == set(range(_NUM_METRICS))
            and len(run.inputs.dataset_inputs) == 1
            and [file.path for file in client.list_artifacts(run.info.run_id, "notes")] != []
            and holder.run_id == run.info.run_id
            and models[0].status == "READY"
        )
        counts["duplicates"] += max(0, len(history) - _NUM_METRICS) + len(models) - 1
    counts["lost_runs"] += not whole
    counts["duplicates"] += max(0, len(runs) - 1) + max(0, len(versions) - 1)


def _is_free(spool: Path) -> bool:
    with spool_lock(spool) as held:
        return held


def main() -> None:
    """Print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = run(options.repeats, options.seed)
    print(json.dumps(found))  # noqa: T201
    sys.exit(any(found[name] for name in ("failed_jobs", "lost_runs", "duplicates", "late_jobs")))


if __name__ == "__main__":
    main()
