"""Indexes made to break faiss, with digests that fit: a job that opens one refuses it and lives.

Each trial changes the bytes of a sound index where faiss reads counts, letters and links, writes a
bundle of them with a right manifest, and opens it as a job does. What is accepted is searched, too.
The trials run in processes of their own, whose end by a signal is counted.

    python tests/torture/hostile_index.py 1000 0
"""

from __future__ import annotations

import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.recommender.index import ItemIndex

Result = dict[str, int | float | str]

KINDS = ("exact", "ivf", "hnsw")
MUTATIONS = (
    "header", "shape", "count", "word", "letters", "link", "bit", "truncated", "appended",
    "spliced", "nested", "nan",
)  # fmt: skip
_NUM_ITEMS, _DIM, _FINGERPRINT = 200, 8, "0" * 64
_TRIALS_A_PROCESS = 250
_LETTERS = (
    b"IxFI", b"IxF2", b"IwFl", b"IHNf", b"IxPT", b"IxMp", b"IxM2", b"IwPQ", b"IHNp", b"IxSQ",
    b"IxHe", b"IBwF", b"INSf", b"IwQR", b"ilar", b"ilod", b"il00", b"full", b"sprs", b"\0\0\0\0",
)  # fmt: skip
"""Names of classes and of lists; `ilod` names a file that faiss would map into memory."""
_HEADER_FIELDS = ((0, "4s"), (4, "i"), (8, "q"), (16, "q"), (24, "q"), (32, "B"), (33, "i"))
_NUMBERS = (
    0, 1, -1, 2, 7, 199, 201, 255, 1 << 15, (1 << 31) - 1, -(1 << 31), 1 << 32, 1 << 40,
    (1 << 61) + 1, (1 << 63) - 1, -(1 << 63),
)  # fmt: skip


def run(num_trials: int, seed: int) -> Result:
    """Open that many hostile indexes; `parents died` and `other errors` must be 0."""
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    peaks = {
        "growth of the parent, MB": 0.0,
        "growth of a child, MB": 0.0,
        "slowest answer, s": 0.0,
    }
    for first in range(0, num_trials, _TRIALS_A_PROCESS):
        last = min(first + _TRIALS_A_PROCESS, num_trials)
        done = subprocess.run(
            [sys.executable, __file__, "--from", str(first), str(last), str(seed)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            counts["parents died"] += 1
            sys.stderr.write(done.stderr[-2000:])
            continue
        found = json.loads(done.stdout)
        counts.update(found["counts"])
        peaks = {name: max(peak, found["peaks"][name]) for name, peak in peaks.items()}
    names = ("refused by the parent", "refused by the child", "killed the child", "accepted")
    return {
        "trials": counts["trials"],
        "parents died": counts["parents died"],
        "other errors": counts["other errors"],
        **{name: counts[name] for name in names},
        "kinds and mutations": len([name for name in counts if "/" in name]),
        **{name: round(peak, 2) for name, peak in peaks.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def _trials(first: int, last: int, seed: int) -> dict[str, object]:
    counts: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        open_hostile(Path(name) / "warm", random.Random(0), "exact", "bit")  # noqa: S311
        own, child = _peak_mb(resource.RUSAGE_SELF), _peak_mb(resource.RUSAGE_CHILDREN)
        for number in range(first, last):
            kind, mutation = KINDS[number % 3], MUTATIONS[number // 3 % len(MUTATIONS)]
            rng = random.Random(f"{seed}/{number}")  # noqa: S311  not for secrets
            start = time.perf_counter()
            counts[open_hostile(Path(name) / str(number), rng, kind, mutation)] += 1
            slowest = max(slowest, time.perf_counter() - start)
            counts["trials"] += 1
            counts[f"{kind}/{mutation}"] += 1
    peaks = {
        "growth of the parent, MB": _peak_mb(resource.RUSAGE_SELF) - own,
        "growth of a child, MB": _peak_mb(resource.RUSAGE_CHILDREN) - child,
        "slowest answer, s": slowest,
    }
    return {"counts": counts, "peaks": peaks}


def open_hostile(folder: Path, rng: random.Random, kind: str, mutation: str) -> str:
    """Open one hostile index as a job does, search it if it opens, and say how that ended."""
    import numpy as np

    from recsys.artifacts import write_bundle
    from recsys.config import config_to_dict
    from recsys.errors import ArtifactError
    from recsys.recommender.index import BUNDLE_KIND, ItemIndex

    index = sound_index(kind)
    data, shape = mutated(kind, mutation, rng)
    report = replace(index.report, num_items=shape[0], dim=shape[1], embedding_dim=shape[1])
    write_bundle(
        folder,
        kind=BUNDLE_KIND,
        config=config_to_dict(index.config),
        documents={"report": report.to_dict()},
        blobs={"index": data},
        parents={"model": _FINGERPRINT},
    )
    try:
        opened = ItemIndex.load(folder, model_fingerprint=_FINGERPRINT, in_child=True)
        queries = np.eye(opened.report.dim, dtype=np.float32)
        for k in (1, 20, opened.report.num_items):
            opened.search(queries, k)
        np.isfinite(opened.vectors()).all()
    except ArtifactError as error:
        text = str(error)
        if "ended its process" in text or "took more than" in text:
            return "killed the child"
        is_parent = "of shape" in text or "bytes" in text.partition("got: ")[2][:12]
        return "refused by the parent" if is_parent else "refused by the child"
    except Exception as error:  # noqa: BLE001  any other error is the finding
        sys.stderr.write(f"{kind}/{mutation}: {error!r}\n")
        return "other errors"
    return "accepted"


@cache
def sound_index(kind: str) -> ItemIndex:
    """A small index of a kind, the one that is broken."""
    import numpy as np

    from recsys.recommender.index import IndexConfig, ItemIndex

    items = np.random.default_rng(0).standard_normal((_NUM_ITEMS, _DIM)).astype(np.float32)
    config = IndexConfig(kind=kind, recall_k=5, hnsw_m=4, ivf_lists=6, min_recall=0.5)
    return ItemIndex.build(
        items, config=config, model_fingerprint=_FINGERPRINT, sample_queries_BD=items, seed=0
    )


def mutated(kind: str, mutation: str, rng: random.Random) -> tuple[bytes, tuple[int, int]]:
    """Hostile bytes, and the shape that the report is to claim for them."""
    data, shape = bytearray(sound_index(kind).store.to_bytes()), (_NUM_ITEMS, _DIM)
    if mutation == "shape":  # the report agrees, so that the child sees it
        shape = rng.choice(((400, 4), (100, 16), (199, 8), (200, 7), (1600, 1), (1, 1600)))
        _put(data, 4, "i", shape[1])
        _put(data, 8, "q", shape[0])
    elif mutation in {"truncated", "appended", "spliced", "nested"}:
        return _of_other_length(bytes(data), mutation, rng), shape
    else:
        _change_field(data, mutation, rng)
    return bytes(data), shape


def _change_field(data: bytearray, mutation: str, rng: random.Random) -> None:
    end = len(data) - 4 * _NUM_ITEMS * _DIM  # where the structure ends and mostly vectors follow
    place, number = rng.randrange(33, max(end, 50)), rng.choice(_NUMBERS)
    match mutation:
        case "header":
            offset, field = rng.choice(_HEADER_FIELDS)
            _put(data, offset, field, rng.choice(_LETTERS) if field == "4s" else number)
        case "count":
            _put(data, place, "q", number)
        case "word":
            _put(data, place, "i", number)
        case "letters":
            places = [at for letters in _LETTERS[:-1] if (at := data.find(letters)) >= 0]
            _put(data, rng.choice(places), "4s", rng.choice(_LETTERS))
        case "link":
            for _ in range(rng.randrange(1, 40)):
                _put(data, rng.randrange(33, max(end, 50) - 8), "i", rng.randrange(-2, 300))
        case "bit":
            data[place] ^= 1 << rng.randrange(8)
        case "nan":
            _put(data, len(data) - 4 * rng.randrange(1, _NUM_ITEMS * _DIM), "f", float("nan"))


def _of_other_length(data: bytes, mutation: str, rng: random.Random) -> bytes:
    if mutation == "truncated":
        return data[: rng.randrange(len(data))]
    if mutation == "appended":
        return data + rng.randbytes(rng.randrange(1, 64))
    if mutation == "nested":  # lists whose centres are lists, and so on, deeper than any stack
        lists = bytes(sound_index("ivf").store.to_bytes())
        return lists[:53] * rng.choice((2, 100, 300_000)) + lists[53:]
    other = bytes(sound_index(rng.choice(KINDS)).store.to_bytes())
    return data[: rng.randrange(33, len(data))] + other[rng.randrange(len(other)) :]


def _put(data: bytearray, offset: int, field: str, value: bytes | float) -> None:
    size = struct.calcsize(f"<{field}")
    if isinstance(value, int):
        value = value & ((1 << 8 * size) - 1)
        data[offset : offset + size] = value.to_bytes(size, "little")
    else:
        struct.pack_into(f"<{field}", data, offset, value)


def _peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.argv[1] == "--from":
        json.dump(_trials(*map(int, sys.argv[2:5])), sys.stdout)
    else:
        json.dump(run(int(sys.argv[1]), int(sys.argv[2])), sys.stdout, indent=1)
