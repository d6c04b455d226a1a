"""What each user did before: the user-item matrix, and how much an old event still counts.

Shapes: N events, U users, C items.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from recsys.arrays import BoolArray, Float32Array, Int64Array
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID, WEIGHT
from recsys.time_units import US_PER_DAY

UserItemMatrix = sparse.csr_array[np.float32, tuple[int, int]]
"""Stored entries are interactions, whatever their value. Rows are users, columns items."""


def user_item_matrix(
    interactions: pa.Table,
    *,
    users: Vocabulary,
    items: Vocabulary,
    values: Float32Array | None = None,
) -> UserItemMatrix:
    """Matrix of interactions; events of users or items that are not known are left out.

    A pair with several events keeps the largest of their values: an event repeated renews an
    interaction, it does not multiply it.

    Args:
        interactions: Columns user_id and item_id, N rows.
        users: Rows of the matrix.
        items: Columns of the matrix.
        values: Value of each event, greater than 0; 1 by default. Shape (N,).

    Returns:
        Matrix of shape (U, C), columns ascending within a row.
    """
    user_numbers = users.numbers(interactions[USER_ID])
    item_numbers = items.numbers(interactions[ITEM_ID])
    known = (user_numbers != UNKNOWN) & (item_numbers != UNKNOWN)
    values = np.ones(len(known), dtype=np.float32) if values is None else values
    pairs = user_numbers[known] * len(items) + item_numbers[known]
    order = np.lexsort((values[known], pairs))
    pairs, kept_values = pairs[order], values[known][order]
    last = np.append(pairs[1:] != pairs[:-1], True)[: len(pairs)]  # the largest value of its pair
    rows, columns = np.divmod(pairs[last], max(len(items), 1))
    bounds = np.searchsorted(rows, np.arange(len(users) + 1))
    return sparse.csr_array(
        (kept_values[last].astype(np.float32), columns, bounds), shape=(len(users), len(items))
    )


def history_matrix(
    interactions: pa.Table, *, users: Vocabulary, items: Vocabulary, ordered: bool
) -> UserItemMatrix:
    """What each user did before, as a query tower reads it.

    Args:
        interactions: Columns user_id and item_id, and event_time where the data has it.
        users: Rows of the matrix.
        items: Columns of the matrix.
        ordered: Whether values are places in the history (`event_places`) instead of 1.

    Returns:
        Matrix of shape (U, C), columns ascending within a row.
    """
    places = event_places(interactions) if ordered else None
    return user_item_matrix(interactions, users=users, items=items, values=places)


def repeat_matrix(
    interactions: pa.Table,
    *,
    users: Vocabulary,
    items: Vocabulary,
    half_life_days: float | None,
) -> UserItemMatrix:
    """How often each user took each item: log(1 + events), an event counting less with its age.

    Args:
        interactions: Columns user_id and item_id, and what `event_values` reads.
        users: Rows of the matrix.
        items: Columns of the matrix.
        half_life_days: Age, counted back from the last event, at which an event counts half; None:
            age does not matter.

    Returns:
        Matrix of shape (U, C), columns ascending within a row; each pair has an entry, greater than
        0 unless too small for float32.
    """
    matrix = user_item_matrix(interactions, users=users, items=items)
    user_numbers = users.numbers(interactions[USER_ID])
    item_numbers = items.numbers(interactions[ITEM_ID])
    known = (user_numbers != UNKNOWN) & (item_numbers != UNKNOWN)
    values = event_values(interactions, half_life_days=half_life_days)[known]
    keys = user_numbers[known] * len(items) + item_numbers[known]
    rows = np.repeat(np.arange(len(users)), np.diff(matrix.indptr))
    places = np.searchsorted(rows * len(items) + matrix.indices, keys)
    totals = np.bincount(places, weights=values, minlength=matrix.nnz)
    matrix.data[:] = np.log1p(totals)
    return matrix


def last_event(interactions: pa.Table) -> datetime | None:
    """Time of the last event; None without times or events."""
    if EVENT_TIME not in interactions.column_names:
        return None
    found: datetime | None = pc.max(interactions[EVENT_TIME]).as_py()
    return found


def event_places(interactions: pa.Table) -> Float32Array:
    """Place of each event among those of its user, 1 for the earliest.

    Events at one time stay in the order of their rows, and so do all events of a log without
    times.

    Args:
        interactions: Columns user_id and, where the data has it, event_time. N rows.

    Returns:
        Shape (N,); exact up to 16 million events a user.
    """
    numbers = Vocabulary.fit(interactions[USER_ID]).numbers(interactions[USER_ID])
    keys = [numbers]
    if EVENT_TIME in interactions.column_names:
        keys.insert(0, interactions[EVENT_TIME].cast(pa.int64()).to_numpy())
    order = np.lexsort(keys)  # stable, and the last key comes first
    counts = np.bincount(numbers[order]) if len(order) else np.zeros(0, dtype=np.int64)
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    placed = np.empty(len(order), dtype=np.float32)
    placed[order] = places
    return placed


def event_values(
    interactions: pa.Table, *, half_life_days: float | None, as_of: datetime | None = None
) -> Float32Array:
    """How much each event counts: its weight times 0.5 to the power of its age in half-lives.

    Args:
        interactions: With a column event_time where `half_life_days` is given; weight is optional.
        half_life_days: Age at which an event counts half; None when age does not matter.
        as_of: Time that ages are counted to; the last event by default.

    Returns:
        Values greater than 0 unless too small for float32. Shape (N,), float32.
    """
    values = np.ones(interactions.num_rows, dtype=np.float64)
    if WEIGHT in interactions.column_names:
        values *= np.asarray(interactions[WEIGHT], dtype=np.float64)
    if half_life_days is not None and interactions.num_rows:
        times = np.asarray(interactions[EVENT_TIME].cast(pa.int64()))
        last = times.max() if as_of is None else int(as_of.timestamp() * 1e6)
        values *= 0.5 ** (np.maximum(last - times, 0) / US_PER_DAY / half_life_days)
    return np.maximum(values, np.finfo(np.float32).tiny).astype(np.float32)


def rows_or_empty(matrix: UserItemMatrix, rows: Int64Array) -> UserItemMatrix:
    """Rows of a matrix by number, empty ones for `UNKNOWN`. Shape (len(rows), C)."""
    if matrix.shape[0] == 0:
        empty = sparse.csr_array((len(rows), matrix.shape[1]), dtype=np.float32)
        return cast("UserItemMatrix", empty)
    known = rows != UNKNOWN
    found = sparse.csr_array(matrix[np.where(known, rows, 0)])
    return found if known.all() else _without(found, ~known)


def _without(matrix: UserItemMatrix, rows: BoolArray) -> UserItemMatrix:
    """The matrix with some rows emptied."""
    lengths = np.diff(matrix.indptr)
    kept = np.repeat(~rows, lengths)
    bounds = np.concatenate([[0], np.cumsum(np.where(rows, 0, lengths))])
    emptied: UserItemMatrix = sparse.csr_array(
        (matrix.data[kept], matrix.indices[kept], bounds), shape=matrix.shape
    )
    return emptied
