"""Lists with titles, for people to judge."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from shop import shop_dataset

from pipelines.recommender.examples import active_users, example_lists, latest_items, titles_of
from recsys.schema import EVENT_TIME, ITEM_ID, TITLE, USER_ID


def recommendations() -> pa.Table:
    """Lists of three users, not in the order of their ranks."""
    users = [5, 5, 70, 70, 120, 120]
    ranks = pa.array([2, 1] * 3, pa.int32())
    return pa.table({USER_ID: users, ITEM_ID: [11, 12] * 3, "rank": ranks})


def test_examples_show_titles_in_the_order_of_the_lists() -> None:
    """A user's last items, the latest first, stand beside the best of the list."""
    dataset = shop_dataset("int64")
    found = example_lists(dataset, recommendations(), num_users=3, num_items=2)
    assert [example.user for example in found] == ["5", "70", "120"]
    log = dataset.interactions.to_pandas()
    for example in found:
        assert example.recommended == ("Item 12", "Item 11")
        rows = log[log[USER_ID] == int(example.user)].sort_values(EVENT_TIME)
        latest = rows[ITEM_ID].tolist()[:-3:-1]
        assert example.history == tuple(f"Item {item}" for item in latest)


def test_ids_stand_in_for_titles() -> None:
    """Items without a row, without a title or without a table are shown by their id."""
    dataset = shop_dataset("int64")
    titles = pa.array([None, *dataset.items[TITLE].to_pylist()[1:]], pa.string())
    items = dataset.items.set_column(1, TITLE, titles)
    asked = pa.array([1, 2, 10**9])
    assert titles_of(replace(dataset, items=items), asked) == ("1", "Item 2", str(10**9))
    without = replace(dataset, items=dataset.items.drop_columns(TITLE))
    assert titles_of(without, asked) == titles_of(replace(dataset, items=None), asked)


def test_examples_are_spread_and_repeat() -> None:
    """The same data give the same active users, each once, from all over the ids."""
    log = shop_dataset("string").interactions
    users = active_users(log, num_users=4)
    assert users.equals(active_users(log, num_users=4))
    assert len(users.unique()) == 4
    assert users.to_pylist() == sorted(users.to_pylist())
    assert len(active_users(log[:3], num_users=4)) == 0
    assert len(latest_items(log.drop_columns(EVENT_TIME), users[0], 3)) == 3
