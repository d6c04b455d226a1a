"""Lists of a million users out of a million items, seen items left out, on one machine.

    python benchmarks/million.py

Generated vectors as a model has them: items lie around subtopics of topics, whose sizes follow
Zipf's law, and end with the log of their popularity, Zipf too; a user mixes two subtopics and gives
popularity a weight. A user has seen 20 items, half of them of the first subtopic and half drawn by
popularity. Lists are made block by block, as a job makes them, and measured against exact search on
a sample of users. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from recsys.arrays import Float32Array, Float64Array, Int64Array
from recsys.recommender.index import IndexConfig, ItemIndex
from recsys.recommender.lists.filters import Filters
from recsys.recommender.lists.recommend import recommend
from recsys.recommender.ranking.by_source import UserBlock
from recsys.recommender.ranking.topk import masked_top_k, unit_vectors

K, BLOCK, SAMPLE = 20, 16_384, 2_000
NUM_TOPICS, NUM_SUBTOPICS, NUM_SEEN = 200, 4_000, 20
POPULARITY_WEIGHT = 0.2


def main() -> None:
    """Print a row: the index, its recall, speed and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    arguments = parser.parse_args()
    world = World.made(arguments.items, arguments.users, arguments.dim)

    started = time.perf_counter()
    index = ItemIndex.build(
        world.items, config=IndexConfig(), model_fingerprint="0" * 64,
        sample_queries_BD=world.users[:SAMPLE], seed=0,
    )  # fmt: skip
    built = time.perf_counter()
    filters = Filters(num_items=len(world.items), seen=world.seen)
    lists = np.empty((len(world.users), K), dtype=np.int32)
    done = 0
    for block in recommend(world.blocks(), index=index, filters=filters, k=K):
        lists[done : done + len(block.items)] = block.items
        done += len(block.items)
    searched = time.perf_counter()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

    rows = np.random.default_rng(1).choice(len(lists), SAMPLE, replace=False)
    best, _ = masked_top_k(world.users[rows], world.items, K, excluded=world.seen[rows])
    found = [np.isin(true, mine).mean() for true, mine in zip(best, lists[rows], strict=True)]
    print(
        "| items | users | width | index | build s | recall@20 | users/s | peak GB |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| {len(world.items):,} | {len(lists):,} | {world.items.shape[1]} | {index.report.kind} "
        f"| {built - started:.0f} | {np.mean(found):.4f} | {len(lists) / (searched - built):,.0f} "
        f"| {peak_gb:.1f} |"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Vectors of users and items, and what the users have seen."""

    items: Float32Array
    users: Float32Array
    seen: sparse.csr_array

    @classmethod
    def made(cls, num_items: int, num_users: int, dim: int) -> World:
        """Generate it."""
        rng = np.random.default_rng(0)
        topics = rng.standard_normal((NUM_TOPICS, dim))
        subtopics = topics[rng.integers(NUM_TOPICS, size=NUM_SUBTOPICS)]
        subtopics = (subtopics + 0.7 * rng.standard_normal((NUM_SUBTOPICS, dim))).astype(np.float32)
        shares = np.arange(1, NUM_SUBTOPICS + 1) ** -0.8
        shares /= shares.sum()
        item_topic = np.sort(rng.choice(NUM_SUBTOPICS, size=num_items, p=shares))
        first, second = rng.choice(NUM_SUBTOPICS, size=(2, num_users), p=shares)

        popularity = (rng.permutation(num_items) + 1.0) ** -1
        log_share = np.log(popularity / popularity.sum())
        items = unit_vectors(subtopics[item_topic] + 0.6 * _normal(rng, num_items, dim))
        coordinate = (log_share / np.abs(log_share).max()).astype(np.float32)
        users = subtopics[first] + 0.5 * subtopics[second] + 0.6 * _normal(rng, num_users, dim)
        weight = np.full((num_users, 1), POPULARITY_WEIGHT, dtype=np.float32)
        return cls(
            items=np.hstack([items, coordinate[:, None]]),
            users=np.hstack([unit_vectors(users), weight]),
            seen=_seen(rng, first, item_topic, popularity),
        )

    def blocks(self) -> Iterator[UserBlock]:
        """Users as a job embeds them."""
        for start in range(0, len(self.users), BLOCK):
            numbers = np.arange(start, min(start + BLOCK, len(self.users)))
            yield UserBlock(
                user_ids=pa.array(numbers),
                user_numbers=numbers,
                queries=self.users[numbers],
                sources=pa.array(["history"] * len(numbers)),
            )


def _seen(
    rng: np.random.Generator,
    topic: Int64Array,
    item_topic: Int64Array,
    popularity: Float64Array,
) -> sparse.csr_array:
    """What each user has seen: of their topic at random, and of all by popularity."""
    num_users, half = len(topic), NUM_SEEN // 2
    starts = np.searchsorted(item_topic, topic)
    sizes = np.maximum(np.searchsorted(item_topic, topic, side="right") - starts, 1)
    own = starts[:, None] + (rng.random((num_users, half)) * sizes[:, None]).astype(np.int64)
    own = np.minimum(own, len(item_topic) - 1)
    cumulative = np.cumsum(popularity / popularity.sum())
    popular = np.searchsorted(cumulative, rng.random((num_users, half)))
    popular = np.minimum(popular, len(item_topic) - 1)
    columns = np.hstack([own, popular]).astype(np.int32).ravel()
    bounds = np.arange(num_users + 1) * NUM_SEEN
    ones = np.ones(len(columns), dtype=np.float32)
    seen = sparse.csr_array((ones, columns, bounds), shape=(num_users, len(item_topic)))
    seen.sum_duplicates()
    return seen


def _normal(rng: np.random.Generator, rows: int, width: int) -> Float32Array:
    return rng.standard_normal((rows, width), dtype=np.float32)


if __name__ == "__main__":
    main()
