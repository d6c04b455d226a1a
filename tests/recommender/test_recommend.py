"""Lists of every kind of index against brute force: filters, fallbacks, popularity, neighbours."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from list_oracle import FINGERPRINT, brute_force, clustered, csr

from recsys.errors import ConfigError, DataError
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.index import IndexConfig, ItemIndex
from recsys.recommender.index.store import VectorStore
from recsys.recommender.lists.filters import Filters, user_item_pairs
from recsys.recommender.lists.recommend import (
    recommend,
    recommend_block,
    similar_items,
)
from recsys.recommender.ranking.by_source import POPULARITY, UserBlock
from recsys.recommender.ranking.ranker import NO_ITEM
from recsys.recommender.ranking.topk import masked_top_k, unit_vectors

NUM_ITEMS = 1500
ITEMS, QUERIES = clustered(NUM_ITEMS, 60, 8, seed=0)
ITEMS[-200:] = ITEMS[:200]  # equal scores


def build(kind: str, items: np.ndarray = ITEMS) -> ItemIndex:
    """A small index, calibrated for lists of 5, 20 and 80."""
    config = IndexConfig(
        kind=kind, recall_k=5, min_recall=0.8, hnsw_m=8, hnsw_ef_construction=40, ivf_lists=48
    )
    return ItemIndex.build(
        items, config=config, model_fingerprint=FINGERPRINT, sample_queries_BD=QUERIES, seed=0
    )


INDEXES = {kind: build(kind) for kind in ("exact", "ivf", "hnsw")}


def best_of(queries: np.ndarray, num_best: int) -> np.ndarray:
    """Flags of the items that a user would get first: what users have seen, mostly."""
    flags = np.zeros((len(queries), NUM_ITEMS), dtype=bool)
    items, _ = masked_top_k(queries, ITEMS, num_best)
    np.put_along_axis(flags, items, values=True, axis=1)
    return flags


@st.composite
def rules(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seen items (the user's best ones), denied items and eligible items, from none to all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = len(QUERIES), NUM_ITEMS
    seen = best_of(QUERIES, draw(st.sampled_from([1, 12, 60, 300, NUM_ITEMS])))
    seen &= rng.random(shape) < draw(st.sampled_from([0, 0.5, 1]))
    denied = rng.random(shape) < draw(st.sampled_from([0, 0.01, 0.5]))
    eligible = rng.random(NUM_ITEMS) < draw(st.sampled_from([0, 0.01, 0.5, 1]))
    return seen, denied, eligible


ALL, NONE = np.ones((len(QUERIES), NUM_ITEMS), bool), np.zeros((len(QUERIES), NUM_ITEMS), bool)


def test_all_kinds_are_in_use() -> None:
    """None of the indexes of these tests fell back to exact search."""
    assert {kind: index.report.kind for kind, index in INDEXES.items()} == {
        kind: kind for kind in INDEXES
    }
    assert INDEXES["ivf"].list_lengths == INDEXES["hnsw"].list_lengths == (5, 20, 80)


@pytest.mark.parametrize("kind", INDEXES)
@given(rules=rules(), k=st.sampled_from([1, 5, 7, 90, NUM_ITEMS + 1]))
@example(rules=(ALL, NONE, ALL[0]), k=5)  # everything seen
@example(rules=(NONE, NONE, NONE[0]), k=5)  # nothing eligible
@example(rules=(NONE, NONE, ALL[0]), k=5)  # no rule at all
def test_lists_are_full_allowed_and_in_order(
    kind: str, rules: tuple[np.ndarray, ...], k: int
) -> None:
    """Each user gets exactly k distinct allowed items, or all that are allowed, best first."""
    seen, denied, eligible = rules
    allowed = ~seen & ~denied & eligible
    filters = Filters(num_items=NUM_ITEMS, seen=csr(seen), denied=csr(denied), eligible=eligible)

    items, scores = recommend_block(
        QUERIES, index=INDEXES[kind], filters=filters, user_numbers=np.arange(60), k=k
    )

    filled = items != NO_ITEM
    np.testing.assert_array_equal(filled.sum(axis=1), np.minimum(k, allowed.sum(axis=1)))
    assert (np.diff(filled.astype(int), axis=1) <= 0).all()
    for row in range(len(QUERIES)):
        listed = items[row, filled[row]]
        assert len(set(listed.tolist())) == len(listed)
        assert allowed[row, listed].all()
        np.testing.assert_allclose(
            scores[row, filled[row]], ITEMS[listed] @ QUERIES[row], rtol=1e-4, atol=1e-6
        )
    assert np.isneginf(scores[~filled]).all()
    later, earlier = scores[:, 1:], scores[:, :-1]
    ties = (later == earlier) & filled[:, 1:]
    assert ((later < earlier) | ties | ~filled[:, 1:]).all()
    assert (items[:, 1:] > items[:, :-1])[ties].all()
    if kind == "exact":
        exact = masked_top_k(QUERIES, ITEMS, k, excluded=csr(seen | denied), eligible=eligible)
        np.testing.assert_array_equal(items, exact[0])


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("num_seen", [0, 15, 75])
def test_recall_holds_behind_the_items_seen(kind: str, num_seen: int) -> None:
    """Users whose best items are all seen get what exact search gives them, for the most part."""
    seen = csr(best_of(QUERIES, num_seen)) if num_seen else None

    with mock.patch.object(ItemIndex, "search_exact", side_effect=AssertionError):
        items, _ = recommend_block(
            QUERIES,
            index=INDEXES[kind],
            filters=Filters(num_items=NUM_ITEMS, seen=seen),
            user_numbers=np.arange(60),
            k=5,
        )

    exact, _ = masked_top_k(QUERIES, ITEMS, 5, excluded=seen)
    hits = [len(np.intersect1d(*rows)) for rows in zip(items, exact, strict=True)]
    assert np.mean(hits) / 5 >= 0.8


def test_an_index_that_finds_nothing_costs_no_item() -> None:
    """Where the approximate search fails altogether, exact search fills every list."""

    def nothing(_: VectorStore, queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, ...]:
        assert effort > 0
        padding = np.full((len(queries), k), NO_ITEM)
        return padding, np.full(padding.shape, -np.inf, np.float32)

    seen = csr(best_of(QUERIES, 7))
    with mock.patch.object(VectorStore, "search", nothing):
        items, scores = recommend_block(
            QUERIES,
            index=INDEXES["ivf"],
            filters=Filters(num_items=NUM_ITEMS, seen=seen),
            user_numbers=np.arange(60),
            k=5,
        )

    expected = masked_top_k(QUERIES, ITEMS, 5, excluded=seen)
    np.testing.assert_array_equal(items, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


@pytest.mark.parametrize("kind", INDEXES)
def test_rows_belong_to_their_users(kind: str) -> None:
    """A list depends on its user alone: not on the block, and without a row nothing is hidden."""
    seen = csr(best_of(QUERIES, 9))
    filters = Filters(num_items=NUM_ITEMS, seen=seen)
    numbers = np.array([3, UNKNOWN, 40, 3])

    items, _ = recommend_block(
        QUERIES[[3, 4, 40, 3]], index=INDEXES[kind], filters=filters, user_numbers=numbers, k=5
    )
    alone, _ = recommend_block(
        QUERIES[[40]], index=INDEXES[kind], filters=filters, user_numbers=numbers[[2]], k=5
    )
    unfiltered, _ = recommend_block(
        QUERIES[[4]],
        index=INDEXES[kind],
        filters=Filters(num_items=NUM_ITEMS),
        user_numbers=np.array([0]),
        k=5,
    )

    np.testing.assert_array_equal(items[0], items[3])
    np.testing.assert_array_equal(items[2], alone[0])
    np.testing.assert_array_equal(items[1], unfiltered[0])


def test_duplicates_in_a_deny_list() -> None:
    """A pair that is denied three times takes one item from one user's list."""
    users, item_ids = Vocabulary(pa.array(["a", "b"])), Vocabulary(pa.array(range(NUM_ITEMS)))
    best, _ = masked_top_k(QUERIES[:2], ITEMS, 6)
    table = pa.table({"user_id": ["a"] * 3, "item_id": [best[0, 0]] * 3})
    denied, _ = user_item_pairs(table, users=users, items=item_ids)

    items, _ = recommend_block(
        QUERIES[:2],
        index=INDEXES["exact"],
        filters=Filters(num_items=NUM_ITEMS, denied=denied),
        user_numbers=np.arange(2),
        k=5,
    )

    np.testing.assert_array_equal(items, [best[0, 1:], best[1, :5]])


def test_refusals() -> None:
    """An empty list length and filters of another catalogue are refused."""
    numbers = np.arange(60)
    with pytest.raises(ConfigError, match="at least 1"):
        recommend_block(
            QUERIES,
            index=INDEXES["ivf"],
            filters=Filters(num_items=NUM_ITEMS),
            user_numbers=numbers,
            k=0,
        )
    with pytest.raises(DataError, match="the 1500 items of the index, got 3"):
        recommend_block(
            QUERIES, index=INDEXES["ivf"], filters=Filters(num_items=3), user_numbers=numbers, k=5
        )


def block(sources: list[str]) -> UserBlock:
    """The first users of the tests."""
    count = len(sources)
    return UserBlock(
        user_ids=pa.array(range(100, 100 + count)),
        user_numbers=np.arange(count),
        queries=QUERIES[:count],
        sources=pa.array(sources, type=pa.string()),
    )


def test_users_without_embedding_get_popular_items() -> None:
    """Popularity ranks under the same filters, and only where the source says so."""
    popularity = np.arange(NUM_ITEMS, dtype=np.float32)
    seen = csr(np.arange(NUM_ITEMS)[None] >= np.array([[9999], [1498], [9999]]))
    filters = Filters(num_items=NUM_ITEMS, seen=seen, eligible=popularity != 1496)
    blocks = [block(["history", POPULARITY, "history"]), block([POPULARITY])]

    mixed, popular = recommend(
        blocks, index=INDEXES["exact"], filters=filters, k=3, popularity_C=popularity
    )

    expected = masked_top_k(QUERIES[:3], ITEMS, 3, eligible=filters.eligible)[0]
    np.testing.assert_array_equal(mixed.items[[0, 2]], expected[[0, 2]])
    assert mixed.items[1].tolist() == mixed.scores[1].tolist() == [1497, 1495, 1494]
    assert popular.items.tolist() == [[1499, 1498, 1497]]
    assert popular.owner_ids.to_pylist() == [100]


def test_popularity_is_required_where_a_source_names_it() -> None:
    """A user without an embedding is an error when there is no popularity to fall back on."""
    lists = recommend(
        [block([POPULARITY])], index=INDEXES["exact"], filters=Filters(num_items=NUM_ITEMS), k=3
    )

    with pytest.raises(DataError, match="got none for 1 users"):
        next(lists)


@pytest.mark.parametrize("scale", [1, 3], ids=["unit", "other"])
def test_similar_items_are_nearest_by_cosine(scale: float) -> None:
    """Neighbours are ranked by cosine whatever the lengths, and never hold the item itself."""
    lengths = np.linspace(1, scale, NUM_ITEMS, dtype=np.float32)[:, None]
    index = build("exact", ITEMS * lengths)
    item_ids = Vocabulary(pa.array(range(7, 7 + NUM_ITEMS)))

    blocks = list(similar_items(index, item_ids=item_ids, k=4, block_size=512))

    found = np.concatenate([block.items for block in blocks])
    scores = np.concatenate([block.scores for block in blocks])
    others = ~np.eye(NUM_ITEMS, dtype=bool)
    cosines = unit_vectors(ITEMS)
    _, expected_scores = brute_force(cosines[:100], cosines, 4, others[:100])
    np.testing.assert_allclose(scores[:100], expected_scores, rtol=1e-4)
    assert others[np.arange(NUM_ITEMS)[:, None], found].all()
    assert [len(block.items) for block in blocks] == [512, 512, 476]
    assert pa.chunked_array([block.owner_ids for block in blocks]).to_pylist() == list(
        range(7, 7 + NUM_ITEMS)
    )


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_similar_items_through_the_index(kind: str) -> None:
    """An approximate index gives most of the true neighbours, k of them for each item."""
    item_ids = Vocabulary(pa.array(range(NUM_ITEMS)))

    blocks = list(similar_items(INDEXES[kind], item_ids=item_ids, k=4))

    expected, _ = masked_top_k(ITEMS, ITEMS, 4, excluded=csr(np.eye(NUM_ITEMS)))
    hits = [len(np.intersect1d(*rows)) for rows in zip(blocks[0].items, expected, strict=True)]
    assert np.mean(hits) / 4 >= 0.8
    assert (blocks[0].items != NO_ITEM).all()
    assert (blocks[0].items != np.arange(NUM_ITEMS)[:, None]).all()


def test_a_zero_vector_is_like_nothing() -> None:
    """An item without a direction has cosine 0 with all others, and no NaN appears."""
    items = ITEMS[:10].copy()
    items[3] = 0

    lists = next(
        similar_items(build("exact", items), item_ids=Vocabulary(pa.array(range(10))), k=3)
    )

    assert lists.items[3].tolist() == [0, 1, 2]
    assert lists.scores[3].tolist() == [0, 0, 0]
    assert np.isfinite(lists.scores).all()
