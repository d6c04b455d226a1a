"""Validation: counts agree with counting by hand, and each fault has its refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.checks.validation import ValidationConfig, validate_dataset
from recsys.datasets.dataset import (
    ColumnsConfig,
    DataConfig,
    Dataset,
    FeatureConfig,
    FeaturesConfig,
)
from recsys.errors import DataError
from recsys.schema import EVENT_TIME_TYPE

DAY = datetime(2024, 5, 31, tzinfo=UTC)
FEATURES = FeaturesConfig(
    users={"age": FeatureConfig(kind="numeric", column="years")},
    items={
        "genre": FeatureConfig(kind="categorical"),
        "tags": FeatureConfig(kind="multi_hot"),
        "vector": FeatureConfig(kind="dense"),
    },
)
ids = st.none() | st.integers(1, 4)
logs = st.lists(st.tuples(ids, ids, st.integers(0, 2)), max_size=20)


def _log(rows: list[tuple[int | None, int | None, int]]) -> pa.Table:
    users, items, days = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "user_id": pa.array(users, pa.int64()),
            "item_id": pa.array(items, pa.int64()),
            "event_time": pa.array([DAY + timedelta(days=day) for day in days], EVENT_TIME_TYPE),
        }
    )


def _dataset(log: pa.Table | None = None, **changes: object) -> Dataset:
    """A faultless dataset, with some tables replaced."""
    dataset = Dataset(
        interactions=_log([(1, 1, 0), (2, 2, 0)]) if log is None else log,
        users=pa.table({"user_id": [1, 2], "age": pa.array([30, None], pa.float32())}),
        items=pa.table(
            {
                "item_id": [1, 2],
                "genre": ["a", "a"],
                "tags": [["x", "y"], None],
                "vector": pa.array([[1, 2], None], pa.list_(pa.float32(), 2)),
            }
        ),
        data=DataConfig(
            interactions=Path("log.csv"), users=Path("users.csv"), items=Path("items.csv")
        ),
        columns=ColumnsConfig(user_id="who", event_time="at", weight="stars"),
        features=FEATURES,
    )
    return replace(dataset, **changes)


def _refusals(dataset: Dataset, **settings: object) -> list[str]:
    report = validate_dataset(dataset, **settings)  # type: ignore[arg-type]
    messages = [str(refusal) for refusal in report.refusals]
    assert not any("\n" in message for message in messages)
    return messages


@given(logs)
def test_counts_agree_with_counting_by_hand(
    rows: list[tuple[int | None, int | None, int]],
) -> None:
    """Rows, users, items, duplicates, nulls and unknown shares equal a count in plain Python."""
    report = validate_dataset(_dataset(_log(rows)))

    users, items = ([row[column] for row in rows] for column in (0, 1))
    days = [row[2] for row in rows]
    assert report.num_interactions == report.num_rows["interactions"] == len(rows)
    assert report.num_users == len(set(users) - {None})
    assert report.num_items == len(set(items) - {None})
    assert report.num_duplicate_rows == len(rows) - len(set(rows))
    assert report.num_duplicate_pairs == len(rows) - len({row[:2] for row in rows})
    assert report.nulls["interactions"]["user_id"] == users.count(None)
    assert report.unknown_item_share == sum(item in (3, 4) for item in items) / max(len(rows), 1)
    assert report.unknown_user_share == sum(user in (3, 4) for user in users) / max(len(rows), 1)
    assert report.first_event == (DAY + timedelta(days=min(days)) if rows else None)
    assert report.last_event == (DAY + timedelta(days=max(days)) if rows else None)


def test_a_faultless_dataset_is_described_and_not_refused() -> None:
    """Each feature is summarised by its kind; the report is JSON."""
    report = validate_dataset(_dataset(), as_of=DAY, needs_time=True)

    report.raise_if_refused()
    values = json.loads(json.dumps(report.to_dict()))
    assert values["refusals"] == []
    assert values["first_event"] == "2024-05-31T00:00:00Z"
    assert values["features"] == {
        "interactions": {},
        "users": {"age": {"kind": "numeric", "num_terms": None, "null_share": 0.5}},
        "items": {
            "genre": {"kind": "categorical", "num_terms": 1, "null_share": 0.0},
            "tags": {"kind": "multi_hot", "num_terms": 2, "null_share": 0.5},
            "vector": {"kind": "dense", "num_terms": 2, "null_share": 0.5},
        },
    }


def test_without_side_tables_nothing_is_unknown() -> None:
    """Shares of unknown ids exist only beside the tables that know ids."""
    report = validate_dataset(_dataset(users=None, items=None, features=FeaturesConfig()))

    assert (report.unknown_user_share, report.unknown_item_share) == (None, None)
    assert report.refusals == ()


def test_empty_tables_are_refused() -> None:
    """Each empty table is named; an empty log is no error of counting."""
    empty = _dataset(_log([]))

    assert _refusals(replace(empty, items=empty.items and empty.items.slice(0, 0))) == [
        f"{name}.csv: expected at least one row, got an empty table; check the export that wrote it"
        for name in ("log", "items")
    ]


def test_null_ids_and_times_are_refused() -> None:
    """The user's column is named with the number of nulls."""
    log = _log([(1, 1, 0), (None, 2, 0), (2, None, 0)])
    times = pa.array([None, None, DAY], EVENT_TIME_TYPE)

    assert [
        message.split(";")[0]
        for message in _refusals(_dataset(log.set_column(2, "event_time", times)))
    ] == [
        "log.csv: column 'who': expected a value in every row, got 1 nulls in 3 rows",
        "log.csv: column 'item_id': expected a value in every row, got 1 nulls in 3 rows",
        "log.csv: column 'at': expected a value in every row, got 2 nulls in 3 rows",
    ]


def test_a_log_without_times_is_refused_only_where_times_are_needed() -> None:
    """The same log passes for a job that does not look at times."""
    dataset = _dataset(_log([(1, 1, 0)]).drop_columns("event_time"))

    assert _refusals(dataset, as_of=DAY) == []
    assert "column 'at': expected the time of every event" in _refusals(dataset, needs_time=True)[0]


def test_events_in_the_future_are_refused_beyond_the_tolerance() -> None:
    """An event at the tolerance passes, one microsecond later does not."""
    limits = ValidationConfig(max_future_s=3600)
    for excess, is_refused in ((0, False), (1, True)):
        at = DAY + timedelta(hours=1, microseconds=excess)
        log = _log([(1, 1, 0)]).set_column(2, "event_time", pa.array([at], EVENT_TIME_TYPE))

        assert bool(_refusals(_dataset(log), as_of=DAY, limits=limits)) is is_refused
        assert _refusals(_dataset(log), as_of=None, limits=limits) == []


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, None], "1 nulls in 2 rows"),
        ([1.0, float("nan")], "1 NaN and 0 infinite values among 2"),
        ([1.0, -float("inf")], "0 NaN and 1 infinite values among 2"),
        ([1.0, -0.5], "1 negative ones, the first in row 2"),
    ],
)
def test_weights_must_be_finite_and_not_negative(weights: list[float], message: str) -> None:
    """Each kind of bad weight is counted under the user's name of the column."""
    log = _dataset().interactions.append_column("weight", pa.array(weights, pa.float32()))

    first = _refusals(_dataset(log))[0]

    assert first.startswith("log.csv: column 'stars': expected ")
    assert message in first


def test_features_must_be_finite() -> None:
    """NaN and infinite numbers are refused in numeric features and vectors, gaps in vectors too."""
    users = pa.table({"user_id": [1, 2], "age": pa.array([float("nan"), None], pa.float32())})
    items = _dataset().items
    assert items is not None
    vectors = pa.array([[1, None], [float("inf"), 2]], pa.list_(pa.float32(), 2))

    finite = "expected finite numbers that fit in 32-bit floats"

    messages = _refusals(_dataset(users=users, items=items.set_column(3, "vector", vectors)))

    assert [message.split(";")[0] for message in messages] == [
        f"users.csv: column 'years': {finite}, got 1 NaN and 0 infinite values among 2",
        "items.csv: column 'vector': expected a value in every row, got 1 nulls in 4 rows",
        f"items.csv: column 'vector': {finite}, got 0 NaN and 1 infinite values among 4",
    ]


@pytest.mark.parametrize(("limit", "is_refused"), [(0.5, False), (0.49, True)])
def test_unknown_ids_are_refused_beyond_the_stated_share(limit: float, is_refused: bool) -> None:
    """A share at the limit passes; beyond it the share, the ids and the setting are named."""
    log = _log([(1, 1, 0), (1, 7, 0), (3, 1, 0), (4, 1, 0), (1, 7, 0), (1, 8, 0)])
    limits = ValidationConfig(max_unknown_item_share=limit, max_unknown_user_share=1)

    message = (
        "log.csv: column 'item_id': expected at most 49.00% of interactions with ids absent "
        "from items.csv, got 50.00%: 2 ids, the first in row 2; add them to the items table or "
        "raise [validation] max_unknown_item_share"
    )

    assert _refusals(_dataset(log), limits=limits) == ([message] if is_refused else [])
    assert len(_refusals(_dataset(log))) == 2


def test_all_faults_are_collected_and_the_first_is_raised() -> None:
    """A report with several refusals raises the most basic one."""
    report = validate_dataset(_dataset(_log([(None, 9, 0)])), as_of=DAY - timedelta(days=9))

    assert len(report.refusals) == 3
    with pytest.raises(DataError, match="column 'who'"):
        report.raise_if_refused()
