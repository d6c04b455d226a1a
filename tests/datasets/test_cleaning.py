"""Interactions that must not count: whatever is left out is counted, and nothing else is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from recsys.datasets.checks.cleaning import clean_interactions, default_cap
from recsys.datasets.checks.validation import ValidationConfig
from recsys.datasets.dataset import ColumnsConfig, DataConfig, Dataset, FeaturesConfig
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID

UNTIL = datetime(1970, 1, 3, tzinfo=UTC)
_US_PER_DAY = 86_400_000_000
_US_PER_HOUR = 3_600_000_000

Row = tuple[int, int, int]
ROWS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 4 * 24)), min_size=1, max_size=40
)
CAPS = st.one_of(st.none(), st.integers(1, 6))


def _clean(
    rows: list[Row], *, cap: int | None = None, zone: str | None = None, has_times: bool = True
) -> tuple[list[Row], dict[str, int]]:
    """The rows of user, item and hour that are used, and the counts of the others."""
    users, items, hours = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table({USER_ID: pa.array(users, pa.int64()), ITEM_ID: pa.array(items, pa.int64())})
    if has_times:
        times = pa.array([hour * _US_PER_HOUR for hour in hours], pa.int64())
        table = table.append_column(EVENT_TIME, times.cast(EVENT_TIME_TYPE))
    dataset = Dataset(
        interactions=table, users=None, items=None,
        data=DataConfig(interactions=Path("log.parquet")),
        columns=ColumnsConfig(event_time_zone=zone), features=FeaturesConfig(),
    )  # fmt: skip
    used, counts = clean_interactions(
        dataset, until=UNTIL, limits=ValidationConfig(max_events_per_user=cap)
    )
    hours_used = (
        np.asarray(used[EVENT_TIME].cast(pa.int64())) // _US_PER_HOUR
        if has_times
        else np.zeros(used.num_rows, dtype=np.int64)
    )
    kept = zip(used[USER_ID].to_pylist(), used[ITEM_ID].to_pylist(), hours_used, strict=True)
    return [(u, i, int(h)) for u, i, h in kept], counts


@given(rows=ROWS, cap=CAPS, has_times=st.booleans())
def test_counts_reconcile(rows: list[Row], cap: int | None, has_times: bool) -> None:
    """Rows are those used and those left out, whatever the log; nobody has more than the cap."""
    used, counts = _clean(rows, cap=cap, has_times=has_times)
    assert set(counts) == {"later", "far_before", "duplicate", "capped"}
    assert len(rows) == len(used) + sum(counts.values())
    if has_times:
        assert counts["later"] == sum(hour >= 48 for _, _, hour in rows)
        assert not Counter(used) - Counter(rows)
    if cap is not None:
        assert max(Counter(user for user, _, _ in used).values(), default=0) <= cap


@given(rows=ROWS, cap=CAPS, data=st.data())
def test_rows_told_twice_and_their_order_change_nothing(
    rows: list[Row], cap: int | None, data: st.DataObject
) -> None:
    """With times of day, any rows again in any order leave the used ones as they are."""
    rows = [*rows, (1, 1, 7)]  # an hour that is no midnight
    again = data.draw(st.lists(st.sampled_from(rows), max_size=10))
    shuffled = data.draw(st.permutations(rows + again))
    used, _ = _clean(rows, cap=cap)
    found, counts = _clean(shuffled, cap=cap)

    assert Counter(found) == Counter(used)
    assert counts["duplicate"] == sum(
        n - 1 for (_, _, hour), n in Counter(shuffled).items() if hour < 48
    )


def test_dates_are_no_times_of_day() -> None:
    """Where times are dates, equal rows are two events, in whatever zone the dates were written."""
    assert _clean([(1, 1, 24), (1, 1, 24)])[1]["duplicate"] == 0
    assert _clean([(1, 1, 23), (1, 1, 23)], zone="Europe/Paris")[1]["duplicate"] == 0
    assert _clean([(1, 1, 24), (1, 1, 24)], zone="Europe/Paris")[1]["duplicate"] == 0
    assert _clean([(1, 1, 25), (1, 1, 25)], zone="Europe/Paris")[1]["duplicate"] == 1


def test_the_latest_events_of_a_user_count() -> None:
    """Beyond the cap the oldest go; by default nobody is capped below a thousand events."""
    rows = [(1, 1, hour) for hour in (5, 3, 9, 1)]
    assert _clean(rows, cap=2)[0] == [(1, 1, 5), (1, 1, 9)]
    assert _clean(rows)[1]["capped"] == 0
    many = [(user, 1, 0) for user in range(10, 2010)] + [(9, 1, 0)] * 1500
    used, counts = _clean(many, has_times=False)
    assert (len(used), counts["capped"]) == (3000, 500)
    assert pc.sum(pa.array([user == 9 for user, _, _ in used])).as_py() == 1000


@given(
    seed=st.integers(0, 50),
    num_users=st.integers(40, 3000),
    shape=st.tuples(st.floats(1, 60), st.floats(0, 1.2)),
    bots=st.tuples(st.integers(1, 3), st.integers(100_000, 10**7)),
)
def test_bots_do_not_raise_the_cap_that_catches_them(
    seed: int, num_users: int, shape: tuple[float, float], bots: tuple[int, int]
) -> None:
    """People are below the cap, a few bots above it, and more events of theirs change nothing."""
    rng, (median, spread), (num_bots, bot_events) = np.random.default_rng(seed), shape, bots
    people = np.ceil(median * np.exp(spread * rng.standard_normal(num_users))).astype(np.int64)
    caps = {
        default_cap(np.concatenate([people, np.full(num_bots, events)]))
        for events in (bot_events, 10 * bot_events)
    }
    assert len(caps) == 1
    assert people.max() <= min(caps) < 100_000


def test_two_bots_of_a_small_shop_are_capped() -> None:
    """Two accounts of 5,000 views among 1,198 people are cut to the latest, and counted."""
    rng = np.random.default_rng(0)
    people = rng.geometric(0.05, 1198)
    counts = np.concatenate([people, [5000, 5000]])
    cap = default_cap(counts)
    assert people.max() <= 1000 <= cap < 2500
    assert default_cap(np.empty(0, dtype=np.int64)) == 1000
