"""Lists for blocks of users or items: search, filters before the cut, exact search for the rest.

Shapes: B users of a block, C items, D width, F fetched items, K list length, R some rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from scipy import sparse

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.errors import DataError
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.index import ItemIndex
from recsys.recommender.lists.filters import Filters, stored_in
from recsys.recommender.lists.list_files import RankedLists
from recsys.recommender.ranking.by_source import UserBlock, lists_by_source, most_popular
from recsys.recommender.ranking.own_items import add_own_terms
from recsys.recommender.ranking.ranker import NO_ITEM, UserItems, check_k, list_length
from recsys.recommender.ranking.topk import Embeddings, masked_top_k, unit_vectors


def recommend_block(
    queries_BD: Embeddings,
    *,
    index: ItemIndex,
    filters: Filters,
    user_numbers: Int64Array,
    k: int,
    own: UserItems | None = None,
) -> tuple[Int64Array, Float32Array]:
    """The k best items of each user that the filters allow.

    An approximate index is asked for additional items, as many as the filters may remove. Users who
    still lack items get exact search, so that a list is short only if fewer than k items are
    eligible for the user.

    Args:
        queries_BD: Query vectors. Shape (B, D).
        index: The item vectors.
        filters: What must not stand in a list.
        user_numbers: Rows of the users in the filters, `UNKNOWN` for none. Shape (B,).
        k: List length, at least 1.
        own: Terms that are added to the scores of items that users had. Shape (B, C).

    Returns:
        Item numbers and scores, each of shape (B, k), by the tie rule of
        `recsys.recommender.ranking.ranker`; an approximate index may cut a tie at the end of a
        list at random. A list of fewer than k items ends with `NO_ITEM` and minus infinity.

    Raises:
        ConfigError: k is below 1.
        DataError: Scores that are not finite, or filters of another catalogue.
    """
    check_k(k)
    _check_catalogue(index, filters)
    excluded = filters.excluded_rows(user_numbers)
    num_allowed_B = _num_allowed(filters, excluded)
    items_BK = np.full((len(queries_BD), k), NO_ITEM, dtype=np.int64)
    scores_BK = np.full((len(queries_BD), k), -np.inf, dtype=np.float32)

    fetch_lengths_B = _fetch_lengths(index, filters, num_allowed_B, k)
    for length in np.unique(fetch_lengths_B[fetch_lengths_B > 0]).tolist():
        rows = np.flatnonzero(fetch_lengths_B == length)
        found = index.search(queries_BD[rows], length)
        items_BK[rows], scores_BK[rows] = _allowed(*found, excluded[rows], filters.eligible, k)

    num_found_B = (items_BK != NO_ITEM).sum(axis=1)
    rows = np.flatnonzero(num_found_B < np.minimum(k, num_allowed_B))
    if len(rows):
        items_BK[rows], scores_BK[rows] = index.search_exact(
            queries_BD[rows], k, excluded=excluded[rows], eligible=filters.eligible
        )
    if own is None:
        return items_BK, scores_BK
    return add_own_terms(
        items_BK, scores_BK, own, queries_BD=index.projected(queries_BD),
        vectors_CD=index.vectors(), excluded=excluded, eligible=filters.eligible,
    )  # fmt: skip


def recommend(
    blocks: Iterable[UserBlock],
    *,
    index: ItemIndex,
    filters: Filters,
    k: int,
    popularity_C: Float32Array | None = None,
) -> Iterator[RankedLists]:
    """Lists of blocks of users, one block at a time.

    Args:
        blocks: Users and their query vectors.
        index: The item vectors.
        filters: What must not stand in a list.
        k: List length; lists are no longer than the catalogue.
        popularity_C: Finite scores of the items for users whose source is `POPULARITY`, under the
            same filters. Shape (C,).

    Yields:
        The lists of each block, of the shape (B, `list_length`).

    Raises:
        DataError: A source is `POPULARITY` and there is no popularity.
    """
    k = list_length(k, filters.num_items)
    for block in blocks:
        items_BK, scores_BK = lists_by_source(
            block.sources,
            k,
            by_vector=partial(_by_vector, block, index=index, filters=filters, k=k),
            by_popularity=partial(_by_popularity, block, popularity_C, filters=filters, k=k),
        )
        yield RankedLists(
            owner_ids=block.user_ids, items=items_BK, scores=scores_BK, sources=block.sources
        )


def _by_vector(
    block: UserBlock, places: Int64Array, *, index: ItemIndex, filters: Filters, k: int
) -> tuple[Int64Array, Float32Array]:
    return recommend_block(
        block.queries[places],
        index=index,
        filters=filters,
        user_numbers=block.user_numbers[places],
        k=k,
        own=None if block.own is None else block.own[places],
    )


def _by_popularity(
    block: UserBlock,
    popularity_C: Float32Array | None,
    places: Int64Array,
    *,
    filters: Filters,
    k: int,
) -> tuple[Int64Array, Float32Array]:
    if popularity_C is None:
        raise DataError(
            file="recommendations",
            column="source",
            expected="popularity scores for users without an embedding",
            got=f"none for {len(places)} users",
            remedy="give the popularity of the items",
        )
    return most_popular(
        popularity_C,
        len(places),
        k,
        excluded=filters.excluded_rows(block.user_numbers[places]),
        eligible=filters.eligible,
        own=None if block.own is None else block.own[places],
    )


def similar_items(
    index: ItemIndex,
    *,
    item_ids: Vocabulary,
    k: int,
    numbers: Int64Array | None = None,
    block_size: int = 4096,
) -> Iterator[RankedLists]:
    """The k nearest other items of each item by cosine, one block at a time.

    Inner products of an index of unit vectors are cosines, so it is searched directly. Other
    vectors are brought to unit length and searched exactly; a zero vector has cosine 0 with all.

    Args:
        index: The item vectors.
        item_ids: Ids of the items.
        k: List length; lists are no longer than the catalogue.
        numbers: Items to make lists of; all by default.
        block_size: Items searched at once.

    Yields:
        The lists of each block, without sources.
    """
    num_items = index.report.num_items
    k = list_length(k, num_items)
    itself = sparse.eye_array(num_items, dtype=np.float32, format="csr")
    filters = Filters(num_items=num_items, denied=itself)
    unit_CD = index.vectors() if index.report.unit_norm else unit_vectors(index.vectors())
    asked = np.arange(num_items) if numbers is None else numbers
    for start in range(0, len(asked), block_size):
        block = asked[start : start + block_size]
        queries_BD = unit_CD[block]
        if index.report.unit_norm:
            items_BK, scores_BK = recommend_block(
                queries_BD, index=index, filters=filters, user_numbers=block, k=k
            )
        else:
            items_BK, scores_BK = masked_top_k(queries_BD, unit_CD, k, excluded=itself[block])
        yield RankedLists(owner_ids=item_ids.lookup(block), items=items_BK, scores=scores_BK)


def _check_catalogue(index: ItemIndex, filters: Filters) -> None:
    if filters.num_items != index.report.num_items:
        raise DataError(
            file="filters",
            expected=f"the {index.report.num_items} items of the index",
            got=str(filters.num_items),
            remedy="build them with the item vocabulary of the model",
        )


def _num_allowed(filters: Filters, excluded: UserItems) -> Int64Array:
    """How many items each user may get. Shape (B,)."""
    if filters.eligible is None:
        return filters.num_eligible - np.diff(excluded.indptr)
    eligible_before = np.concatenate([[0], np.cumsum(filters.eligible[excluded.indices])])
    taken_B = np.diff(eligible_before[excluded.indptr])
    return filters.num_eligible - taken_B


def _fetch_lengths(
    index: ItemIndex, filters: Filters, num_allowed_B: Int64Array, k: int
) -> Int64Array:
    """The calibrated list length that should leave each user k items; 0 if none does.

    Excluded items may be the user's best ones, so all of them are added to k. Items that are not
    eligible are spread over all ranks, so the length grows by their share.
    """
    lengths = np.array([*index.list_lengths, 0])
    if filters.num_eligible == 0:
        return np.zeros(len(num_allowed_B), dtype=np.int64)
    needed_B = k + filters.num_eligible - num_allowed_B
    needed_B = -(-needed_B * filters.num_items // filters.num_eligible)
    return lengths[np.searchsorted(lengths[:-1], needed_B)]


def _allowed(
    items_RF: Int64Array,
    scores_RF: Float32Array,
    excluded: UserItems,
    eligible: BoolArray | None,
    k: int,
) -> tuple[Int64Array, Float32Array]:
    """The first k fetched items of each row that the filters allow, by the tie rule."""
    dropped_RF = (items_RF == NO_ITEM) | stored_in(excluded, items_RF)
    if eligible is not None:
        dropped_RF |= ~eligible[items_RF]
    places_RK = np.argsort(dropped_RF, axis=1, kind="stable")[:, :k]
    gone_RK = np.take_along_axis(dropped_RF, places_RK, axis=1)
    items_RK = np.where(gone_RK, NO_ITEM, np.take_along_axis(items_RF, places_RK, axis=1))
    scores_RK = np.where(gone_RK, -np.inf, np.take_along_axis(scores_RF, places_RK, axis=1))
    order_RK = np.lexsort((items_RK, -scores_RK), axis=1)
    return (
        np.take_along_axis(items_RK, order_RK, axis=1),
        np.take_along_axis(scores_RK, order_RK, axis=1),
    )
