"""Guesses at unknown tables: names, times and feature kinds."""

import pyarrow as pa
import pytest

from recsys.datasets.frames.guessing import guess_column, guess_features, guess_time_unit
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID


@pytest.mark.parametrize(
    ("names", "standard_name", "expected"),
    [
        (["CustomerId", "Customer_ID"], USER_ID, "Customer_ID"),
        (["movieId", "rating"], ITEM_ID, "movieId"),
        (["product", "item_id"], ITEM_ID, "item_id"),
        (["when"], EVENT_TIME, None),
    ],
)
def test_column_names_are_known_in_any_case_and_the_plainest_wins(
    names: list[str], standard_name: str, expected: str | None
) -> None:
    """A name that is spelled in another case is found, and of two the more telling is taken."""
    assert guess_column(names, standard_name) == expected


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (1_000, "ms"), (1_000_000, "us")])
@pytest.mark.parametrize("seconds", [100_000_000, 978_300_760, 4_102_444_800])
def test_the_unit_of_integer_times_follows_from_their_size(
    factor: int, unit: str, seconds: int
) -> None:
    """Times from 1973 to 2100 tell their unit by their number of digits."""
    assert guess_time_unit(pa.chunked_array([[seconds * factor, None]])) == unit


def test_columns_that_are_no_integers_have_no_unit() -> None:
    """Texts, and columns without a value, leave the unit open."""
    assert guess_time_unit(pa.chunked_array([["2020-01-01"]])) is None
    assert guess_time_unit(pa.chunked_array([pa.array([None], pa.int64())])) is None


def test_feature_kinds_follow_from_types_and_distinct_values() -> None:
    """Each kind is found, and ids, titles, prose and nested columns are left out."""
    num_rows = 400
    table = pa.table(
        {
            "item_id": pa.array(range(num_rows)),
            "title": [f"title {row}" for row in range(num_rows)],
            "prose": [f"text {row}" for row in range(num_rows)],
            "brand": ["abc"[row % 3] for row in range(num_rows)],
            "code": pa.array([row % 5 for row in range(num_rows)]),
            "stock": pa.array(range(num_rows)),
            "price": pa.array([row / 7 for row in range(num_rows)]),
            "is_new": pa.array([row % 2 == 0 for row in range(num_rows)]),
            "genres": [["x", "y"][: row % 3] for row in range(num_rows)],
            "image": pa.array([[0.0, 1.0]] * num_rows, pa.list_(pa.float32(), 2)),
            "text_vector": pa.array([[0.0, 1.0, 2.0]] * num_rows, pa.list_(pa.float64())),
            "uneven": pa.array([[0.0] * (row % 2 + 1) for row in range(num_rows)]),
            "nested": [{"a": 1}] * num_rows,
        }
    )
    assert guess_features(table, besides=("item_id", "title")) == {
        "brand": "categorical",
        "code": "categorical",
        "stock": "numeric",
        "price": "numeric",
        "is_new": "categorical",
        "genres": "multi_hot",
        "image": "dense",
        "text_vector": "dense",
    }
