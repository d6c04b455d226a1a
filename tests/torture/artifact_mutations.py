"""Published files that were damaged in any way: readers refuse them, or give what was written.

Each trial damages one file of a run that was published by the real code, opens the run as jobs do,
and puts the file back.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "recommender"))
sys.path.insert(0, str(Path(__file__).parents[1] / "fraud"))

Result = dict[str, int | float | str]

KINDS = ("bit", "byte", "header", "zeros", "truncated", "appended", "swapped", "missing", "extra")


def run(num_trials: int, seed: int) -> Result:
    """Damage the files of a recommender's run, of a fraud model's and of lists."""
    rng, began = random.Random(seed), time.perf_counter()  # noqa: S311  not for secrets
    counts: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        targets = [*_targets(Path(name))]
        for number in range(num_trials):
            folder, read, expected = targets[number % len(targets)]
            kind = rng.choice(KINDS)
            with _damaged(folder, kind, rng) as has_changed:
                if not has_changed:
                    counts["without effect"] += 1
                start = time.perf_counter()
                outcome = _outcome(read, expected)
                slowest = max(slowest, time.perf_counter() - start)
            counts["trials"] += 1
            counts[outcome if has_changed else "without effect, read"] += 1
        counts["not put back"] = sum(_outcome(read, good) != "equal" for _, read, good in targets)
    return {
        "trials": counts["trials"],
        "silently wrong": counts["wrong"],
        "crashes": counts["crashed"],
        "refused": counts["refused"],
        "equal all the same": counts["equal"],
        "not put back": counts["not put back"],
        "slowest answer, s": round(slowest, 2),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _outcome(read: Callable[[], object], expected: object) -> str:
    from recsys.errors import RecsysError

    try:
        found = read()
    except RecsysError:
        return "refused"
    except Exception:  # noqa: BLE001  any other end is a crash
        return "crashed"
    return "equal" if found == expected else "wrong"


@contextmanager
def _damaged(folder: Path, kind: str, rng: random.Random) -> Iterator[bool]:
    """One file damaged for the time of a block; says whether any byte differs."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path, other = rng.sample(files, 2)
    good = path.read_bytes()
    if kind == "extra":
        extra = path.with_name("extra.bin")
        extra.write_bytes(b"x")
        try:
            yield True
        finally:
            extra.unlink()
        return
    data = None if kind == "missing" else _mutated(good, kind, rng, other.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    try:
        yield data != good
    finally:
        path.write_bytes(good)


def _mutated(good: bytes, kind: str, rng: random.Random, other: bytes) -> bytes:
    data = bytearray(good)
    place = rng.randrange(len(data)) if data else 0
    match kind:
        case "bit" if data:
            data[place] ^= 1 << rng.randrange(8)
        case "byte" if data:
            data[place] = rng.randrange(256)
        case "header" if data:
            data[rng.randrange(min(256, len(data)))] = rng.randrange(256)
        case "zeros":
            data[place : place + 4096] = bytes(len(data[place : place + 4096]))
        case "truncated":
            del data[place:]
        case "appended":
            data += bytes(rng.randrange(1, 64))
        case "swapped":
            return other
    return bytes(data)


def _targets(folder: Path) -> Iterator[tuple[Path, Callable[[], object], object]]:
    """Runs, how they are read, and what they give when they are sound."""
    import hashlib

    import numpy as np
    import pyarrow as pa
    from small_fraud import small_fraud
    from small_models import fitted

    from recsys.fraud.serving import load_fraud_scorer
    from recsys.fraud.storage.model_bundle import save_fraud_model
    from recsys.fraud.storage.state_bundle import save_state
    from recsys.publishing import current_run, publish, verify_run
    from recsys.recommender.config import IndexConfig
    from recsys.recommender.model_bundle import save_model
    from recsys.recommender.serving import build_index, load_recommender

    model = fitted("string").model

    def write_model(run: Path) -> None:
        bundle = save_model(model, run / "model", data_digests={})
        index = build_index(model, IndexConfig(), model_fingerprint=bundle.fingerprint, seed=0)
        index.save(run / "index")

    publish(folder / "models", "2026-03-01", write_model, run_id="one")

    def read_model() -> object:
        run = current_run(folder / "models")
        found = load_recommender(run / "model", run / "index")
        table = found.recommend_table(pa.array(found.model.users.terms[:20]), k=5)
        return hashlib.sha256(repr(table.to_pydict()).encode()).hexdigest()

    yield folder / "models/runs/2026-03-01/one", read_model, read_model()

    scored = small_fraud("bare")

    def write_fraud(run: Path) -> None:
        bundle = save_fraud_model(scored.model, run / "model", data_digests={})
        save_state(scored.state, run / "state", model_fingerprint=bundle.fingerprint)

    publish(folder / "fraud", "2026-03-01", write_fraud, run_id="one")

    def read_fraud() -> object:
        run = current_run(folder / "fraud")
        scorer = load_fraud_scorer(run / "model", run / "state")
        scores, _ = scorer.model.score(scored.days[0], scorer.state, num_threads=1)
        return np.asarray(scores.calibrated.anomaly_score).tobytes()

    yield folder / "fraud/runs/2026-03-01/one", read_fraud, read_fraud()

    def write_lists(run: Path) -> None:
        (run / "part-0").write_bytes(bytes(range(256)) * 8)
        (run / "part-1").write_text("scores\n" * 100)

    publish(folder / "lists", "2026-03-01", write_lists, run_id="one")

    def read_lists() -> object:
        run = current_run(folder / "lists")
        verify_run(run)
        return [path.read_bytes() for path in sorted(run.glob("part-*"))]

    yield folder / "lists", read_lists, read_lists()
