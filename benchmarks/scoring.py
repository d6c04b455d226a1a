"""Lists a second: exact search with seen items left out, beside its plain twin and its peers.

    python benchmarks/scoring.py --data data/raw

Vectors around centres, as many users and items as Gowalla has; the seen items are Gowalla's where
the folder has it, else drawn by popularity. Writes a Markdown table. `implicit` is measured where
it is installed, with its own filter; FAISS has none, and searches without.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import torch
from scipy import sparse

from recsys.arrays import Float32Array, Float64Array
from recsys.recommender.ranking.quick_topk import quick_top_k
from recsys.recommender.ranking.topk import _search, _tensor

NUM_USERS, NUM_ITEMS, NUM_CENTRES, K = 29_858, 40_981, 300, 20
ROUNDS = 3


def main() -> None:
    """Print a row a method and width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/raw"))
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256])
    arguments = parser.parse_args()
    seen = _seen(arguments.data / "gowalla" / "train.parquet")
    print("| width | method | users/s | of the bfloat16 product alone |\n|---|---|---|---|")
    for width in arguments.widths:
        queries, items = _vectors(width)
        speeds = {name: _speed(run) for name, run in _methods(queries, items, seen)}
        for name, speed in speeds.items():
            share = speed / speeds["bfloat16 product alone"]
            print(f"| {width} | {name} | {speed:,.0f} | {share:.0%} |", flush=True)


def _methods(
    queries: Float32Array, items: Float32Array, seen: sparse.csr_array
) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "two steps, seen left out", lambda: quick_top_k(queries, items, K, seen)
    yield (
        "plain, seen left out",
        lambda: _search(_tensor(queries), _tensor(items), K, seen),
    )
    flat = faiss.IndexFlatIP(items.shape[1])
    flat.add(items)
    yield "FAISS flat, nothing left out", lambda: flat.search(queries, K)
    try:
        from implicit.cpu.topk import topk
    except ImportError:
        print("skipped implicit: pip install implicit", file=sys.stderr)
    else:
        mask = sparse.csr_matrix(seen)
        yield (
            "implicit, seen left out",
            lambda: topk(items, queries, K, filter_query_items=mask, num_threads=0),
        )
    for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
        yield f"{name} product alone", _product(queries, items, dtype)


def _product(
    queries: Float32Array, items: Float32Array, dtype: torch.dtype
) -> Callable[[], object]:
    left, right = torch.from_numpy(queries).to(dtype), torch.from_numpy(items).to(dtype)
    scores = torch.empty(400, len(items), dtype=dtype)

    def run() -> None:
        for block in left.split(400):
            torch.mm(block, right.T, out=scores[: len(block)])

    return run


def _speed(run: Callable[[], object]) -> float:
    """Users a second, the median of some rounds after one to warm up."""
    run()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return NUM_USERS / statistics.median(seconds)


def _vectors(width: int) -> tuple[Float32Array, Float32Array]:
    """Unit queries and somewhat longer items, around the same centres."""
    rng = np.random.default_rng(0)
    centres = 0.6 * rng.normal(size=(NUM_CENTRES, width))

    def around(number: int, noise: float) -> Float64Array:
        made = centres[rng.integers(NUM_CENTRES, size=number)]
        made = made + noise * rng.normal(size=(number, width))
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    items = around(NUM_ITEMS, 1.0) * rng.uniform(1, 1.6, size=(NUM_ITEMS, 1))
    return around(NUM_USERS, 0.7).astype(np.float32), items.astype(np.float32)


def _seen(file: Path) -> sparse.csr_array:
    if file.is_file():
        log = pq.read_table(file)
        rows, columns = np.asarray(log["user_id"]), np.asarray(log["item_id"])
    else:
        print(f"no {file}: seen items are drawn by popularity", file=sys.stderr)
        rng = np.random.default_rng(0)
        rows = np.repeat(np.arange(NUM_USERS), 27)
        columns = (NUM_ITEMS * rng.random(len(rows)) ** 3).astype(np.int64)
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_array((ones, (rows, columns)), shape=(NUM_USERS, NUM_ITEMS))


if __name__ == "__main__":
    main()
