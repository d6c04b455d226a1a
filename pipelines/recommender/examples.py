"""Example lists with titles: what some users did last and what is recommended to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.datasets.dataset import Dataset
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.schema import EVENT_TIME, ITEM_ID, RANK, TITLE, USER_ID

_MIN_HISTORY = 5


@dataclass(frozen=True, kw_only=True)
class ExampleList:
    """One user's list."""

    user: str
    """The id."""
    history: tuple[str, ...]
    """Titles of what the user did last, the latest first."""
    recommended: tuple[str, ...]
    """Titles of the list, the best first."""


def example_lists(
    dataset: Dataset, recommendations: pa.Table, *, num_users: int, num_items: int
) -> list[ExampleList]:
    """Lists of users with a history, spread over the table of recommendations.

    Args:
        dataset: Where histories and titles come from; ids stand in for titles that are missing.
        recommendations: user_id, item_id, rank.
        num_users: Examples wanted.
        num_items: Titles shown of a history and of a list.
    """
    listed = recommendations[USER_ID].combine_chunks()
    return [
        ExampleList(
            user=str(user.as_py()),
            history=titles_of(dataset, latest_items(dataset.interactions, user, num_items)),
            recommended=titles_of(dataset, _best(recommendations, user, num_items)),
        )
        for user in active_users(dataset.interactions, num_users=num_users, among=listed)
    ]


def active_users(
    interactions: pa.Table, *, num_users: int, among: pa.Array | None = None
) -> pa.Array:
    """Some users with a history, spread evenly over the ids; the same for the same data."""
    counts = pc.value_counts(interactions[USER_ID].combine_chunks())
    active = counts.field("values").filter(pc.greater_equal(counts.field("counts"), _MIN_HISTORY))
    if among is not None:
        active = active.filter(pc.is_in(active, value_set=among))
    active = active.take(pc.sort_indices(active))
    num_users = min(num_users, len(active))
    places = (np.arange(num_users) + 0.5) * (len(active) / max(num_users, 1))
    return active.take(pa.array(places.astype(np.int64)))


def latest_items(interactions: pa.Table, user: pa.Scalar, num_items: int) -> pa.Array:
    """What a user did last, the latest first."""
    rows = interactions.filter(pc.equal(interactions[USER_ID], user))
    if EVENT_TIME in rows.column_names:
        rows = rows.sort_by([(EVENT_TIME, "descending")])
    return rows[ITEM_ID].slice(0, num_items).combine_chunks()


def _best(recommendations: pa.Table, user: pa.Scalar, num_items: int) -> pa.Array:
    rows = recommendations.filter(pc.equal(recommendations[USER_ID], user))
    return rows.sort_by(RANK)[ITEM_ID].slice(0, num_items).combine_chunks()


def titles_of(dataset: Dataset, item_ids: pa.Array) -> tuple[str, ...]:
    """Title of each item, its id where there is none."""
    ids = [str(item) for item in item_ids.to_pylist()]
    if dataset.items is None or TITLE not in dataset.items.column_names:
        return tuple(ids)
    table = dataset.items
    places = Vocabulary(pa.concat_arrays(table[ITEM_ID].chunks)).numbers(item_ids)
    found = table[TITLE].take(pa.array(np.where(places == UNKNOWN, 0, places))).to_pylist()
    return tuple(
        title if place != UNKNOWN and title else item
        for title, place, item in zip(found, places.tolist(), ids, strict=True)
    )
