"""Recall, speed, size and build time of each kind of item index, on vectors with clusters.

    OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=2 python benchmarks/index_recall.py --items 200000

Writes a Markdown table. Item vectors lie around subtopics of topics, whose sizes follow Zipf's law;
a query mixes two subtopics. All have unit length. Recall is measured on queries that had no part in
the choice of the effort, with the first and with the next 20 items after as many as were seen.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from scipy import sparse

from recsys.recommender.index import IndexConfig, ItemIndex
from recsys.recommender.index.calibration import recall_of_last_ranks
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.recommend import recommend_block
from recsys.recommender.ranking.topk import Embeddings, masked_top_k, unit_vectors

K = 20
NUM_SEEN = (0, 60, 300)
HEADER = (
    "| kind | build s | calibration s | size MB | seen | effort | recall@20 | users/s |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def main() -> None:
    """Build each kind of index and write a row for each number of items seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--kinds", nargs="+", default=["exact", "ivf", "hnsw"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    items, queries = topical_vectors(options.items, 2 * options.queries, options.dim, options.seed)
    sample, queries = queries[: options.queries], queries[options.queries :]
    best, exact_scores = masked_top_k(queries, items, K + max(NUM_SEEN))
    sys.stdout.write(HEADER)
    for kind in options.kinds:
        started = time.perf_counter()
        index = ItemIndex.build(
            items,
            config=IndexConfig(kind=kind),
            model_fingerprint="0" * 64,
            sample_queries_BD=sample,
            seed=options.seed,
        )
        calibration_s = time.perf_counter() - started - index.report.build_s
        for num_seen in NUM_SEEN:
            row = measure(index, queries, best, exact_scores, num_seen)
            costs = (
                f"{index.report.build_s:.1f} | {calibration_s:.1f}"
                f" | {index.report.size_bytes / 1e6:.0f}"
            )
            sys.stdout.write(f"| {kind} | {costs} | {row} |\n")
            sys.stdout.flush()
        for note in index.report.notes:
            sys.stdout.write(f"\n{note}\n")


def measure(
    index: ItemIndex, queries: Embeddings, best: np.ndarray, exact_scores: np.ndarray, num_seen: int
) -> str:
    """Cells of one row: what users get who have seen their best items."""
    num_users, num_items = len(queries), index.report.num_items
    pairs = np.repeat(np.arange(num_users), num_seen), best[:, :num_seen].ravel()
    ones = np.ones(len(pairs[0]), dtype=np.float32)
    seen = sparse.csr_array((ones, pairs), shape=(num_users, num_items))
    filters = Filters(num_items=num_items, seen=seen)
    started = time.perf_counter()
    _, scores = recommend_block(
        queries, index=index, filters=filters, user_numbers=np.arange(num_users), k=K
    )
    users_per_s = num_users / (time.perf_counter() - started)
    recall = recall_of_last_ranks(scores, exact_scores[:, num_seen : num_seen + K], K).mean()
    efforts = [point.effort for point in index.report.chosen if point.list_length >= num_seen + K]
    effort = efforts[0] if efforts else "exact"
    return f"{num_seen} | {effort} | {recall:.3f} | {users_per_s:,.0f}"


def topical_vectors(
    num_items: int, num_queries: int, dim: int, seed: int
) -> tuple[Embeddings, Embeddings]:
    """Item vectors around subtopics of topics, and queries that mix two subtopics."""
    rng = np.random.default_rng(seed)
    num_topics, num_subtopics = 200, 4000
    topics = rng.standard_normal((num_topics, dim))
    subtopics = topics[rng.integers(num_topics, size=num_subtopics)]
    subtopics = subtopics + 0.7 * rng.standard_normal((num_subtopics, dim))
    shares = np.arange(1, num_subtopics + 1) ** -0.8

    def draw(count: int) -> np.ndarray:
        return subtopics[rng.choice(num_subtopics, size=count, p=shares / shares.sum())]

    items = draw(num_items) + 0.6 * rng.standard_normal((num_items, dim))
    queries = draw(num_queries) + 0.5 * draw(num_queries)
    queries = queries + 0.6 * rng.standard_normal((num_queries, dim))
    return unit_vectors(items.astype(np.float32)), unit_vectors(queries.astype(np.float32))


if __name__ == "__main__":
    main()
