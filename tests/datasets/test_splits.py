"""Splits: every row in exactly one part, and no part sees what comes after it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from recsys.config import parse_config
from recsys.datasets.splits import Split, SplitConfig, SplitKind, split_interactions
from recsys.errors import ConfigError, DataError
from recsys.schema import EVENT_TIME_TYPE

DAY = datetime(2024, 1, 1, tzinfo=UTC)
rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=40)
shares = st.sampled_from([0.0, 0.1, 0.3, 0.45])
kinds = st.sampled_from(["global_time", "leave_last_out", "random"])


def _log(events: list[tuple[int, int]]) -> pa.Table:
    """Events (user, hours) as interactions, with the row number as the item."""
    users, hours = zip(*events, strict=True)
    return pa.table(
        {
            "user_id": pa.array(users, pa.int64()),
            "item_id": pa.array(range(len(events)), pa.int64()),
            "event_time": pa.array(
                [DAY + timedelta(hours=hour) for hour in hours], EVENT_TIME_TYPE
            ),
        }
    )


def _try_split(log: pa.Table, config: SplitConfig, seed: int = 0) -> Split:
    """The split, where the log can be divided so."""
    try:
        return split_interactions(log, config, seed=seed)
    except DataError:
        assume(False)
        raise


def _parts(split: Split) -> list[pa.Table]:
    return [part for part in (split.train, split.valid, split.test) if part is not None]


def _times(part: pa.Table) -> list[datetime]:
    return part["event_time"].to_pylist()


@given(rows, kinds, shares, shares, st.integers(0, 9))
def test_every_row_is_in_exactly_one_part_and_in_order(
    events: list[tuple[int, int]], kind: SplitKind, test: float, valid: float, seed: int
) -> None:
    """Parts are those asked for, none is empty, and together they are the log."""
    log = _log(events)
    split = _try_split(log, SplitConfig(kind=kind, test_share=test, valid_share=valid), seed)

    assert (split.test is not None, split.valid is not None) == (test > 0, valid > 0)
    assert all(part.num_rows > 0 for part in _parts(split))
    assert all(part.schema == log.schema for part in _parts(split))
    numbers = [part["item_id"].to_pylist() for part in _parts(split)]
    assert all(part == sorted(part) for part in numbers)
    assert sorted(row for part in numbers for row in part) == list(range(len(events)))


@given(rows, kinds, st.integers(0, 9))
def test_the_same_seed_gives_the_same_split(
    events: list[tuple[int, int]], kind: SplitKind, seed: int
) -> None:
    """Nothing but the arguments decides."""
    config = SplitConfig(kind=kind)
    first, second = (_try_split(_log(events), config, seed) for _ in range(2))

    assert [part.to_pydict() for part in _parts(first)] == [
        part.to_pydict() for part in _parts(second)
    ]


@given(rows, shares, shares)
def test_a_global_time_split_never_looks_ahead(
    events: list[tuple[int, int]], test: float, valid: float
) -> None:
    """Each part ends strictly before its successor begins, and begins at the stated cut."""
    config = SplitConfig(kind="global_time", test_share=test, valid_share=valid)
    split = _try_split(_log(events), config)

    for earlier, later in zip(_parts(split), _parts(split)[1:], strict=False):
        assert max(_times(earlier)) < min(_times(later))
    for part, cut in ((split.valid, split.valid_from), (split.test, split.test_from)):
        assert cut == (min(_times(part)) if part is not None else None)


@given(rows, shares, shares)
@example([(0, 0), *[(0, 1)] * 20, (0, 2)], 0.1, 0.1)  # the time nearest to both cuts is the same
def test_a_global_time_split_comes_as_near_to_its_shares_as_it_can(
    events: list[tuple[int, int]], test: float, valid: float
) -> None:
    """With a distinct time for each part there is a split, and no other cut gives nearer shares."""
    hours = sorted(hour for _, hour in events)
    cuts = sorted(set(hours))
    assume(len(cuts) > (test > 0) + (valid > 0))
    config = SplitConfig(kind="global_time", test_share=test, valid_share=valid)

    split = split_interactions(_log(events), config, seed=0)

    held_out = 0.0
    for part, share in ((split.test, test), (split.valid, valid)):
        if part is None:
            continue
        held_out += share
        first = 2 if part is split.test and valid > 0 else 1
        sizes = [sum(hour >= cut for hour in hours) for cut in cuts[first:]]
        cut = (min(_times(part)) - DAY) // timedelta(hours=1)
        off = abs(sum(hour >= cut for hour in hours) - held_out * len(hours))
        assert off == pytest.approx(min(abs(size - held_out * len(hours)) for size in sizes))
        cuts = cuts[: cuts.index(cut)]


@given(
    st.permutations(range(30)),
    st.lists(st.tuples(st.integers(0, 4), st.integers()), min_size=30, max_size=30),
)
def test_splits_by_time_do_not_depend_on_the_order_of_rows(
    order: list[int], events: list[tuple[int, int]]
) -> None:
    """Where no two times are equal, a shuffled log is divided alike."""
    log = _log([(user, hour) for hour, (user, _) in enumerate(events)])
    for kind in ("global_time", "leave_last_out"):
        config = SplitConfig(kind=kind)
        plain = _try_split(log, config)
        shuffled = _try_split(log.take(pa.array(order)), config)

        for one, other in zip(_parts(plain), _parts(shuffled), strict=True):
            assert set(one["item_id"].to_pylist()) == set(other["item_id"].to_pylist())


@given(rows, st.booleans(), st.booleans())
def test_leave_last_out_takes_the_last_of_each_user(
    events: list[tuple[int, int]], with_test: bool, with_valid: bool
) -> None:
    """By time, then by row: the last is test, the one before valid, short histories stay whole."""
    config = SplitConfig(
        kind="leave_last_out", test_share=with_test / 10, valid_share=with_valid / 10
    )
    split = _try_split(_log(events), config)

    histories = defaultdict(list)
    for row, (user, hour) in enumerate(events):
        histories[user].append((hour, row))
    expected: dict[str, set[int]] = {"train": set(), "valid": set(), "test": set()}
    names = ["valid"] * with_valid + ["test"] * with_test
    for history in histories.values():
        in_order = [row for _, row in sorted(history)]
        held_out = names if len(history) > len(names) else []
        for name in reversed(held_out):
            expected[name].add(in_order.pop())
        expected["train"].update(in_order)
    for name, numbers in expected.items():
        part = getattr(split, name)
        assert set(part["item_id"].to_pylist() if part is not None else []) == numbers


@given(rows, shares, shares, st.integers(0, 99))
def test_a_random_split_takes_the_share_of_each_user(
    events: list[tuple[int, int]], test: float, valid: float, seed: int
) -> None:
    """Each user's test part is the share rounded up or down, and one row stays to train on."""
    config = SplitConfig(kind="random", test_share=test, valid_share=valid)
    split = _try_split(_log(events).drop_columns("event_time"), config, seed)

    totals = Counter(user for user, _ in events)
    trained = Counter(split.train["user_id"].to_pylist())
    tested = Counter(split.test["user_id"].to_pylist() if split.test is not None else [])
    for user, total in totals.items():
        assert trained[user] >= 1
        assert abs(tested[user] - test * total) < 1 + 1e-9
        assert abs(trained[user] - (1 - test - valid) * total) < 1 + 1e-9


def test_a_random_split_leaves_every_user_something_to_train_on() -> None:
    """However large the shares and short the histories, no user goes untrained."""
    log = _log([(row // 2, 0) for row in range(301)])
    for test, valid in ((0.9, 0.0), (0.0, 0.9), (0.3, 0.3)):
        config = SplitConfig(kind="random", test_share=test, valid_share=valid)

        train = split_interactions(log, config, seed=0).train

        assert set(train["user_id"].to_pylist()) == set(range(151))


def test_another_seed_gives_another_random_split() -> None:
    """The seed is not ignored."""
    log = _log([(row % 3, 0) for row in range(60)])
    first, second = (
        split_interactions(log, SplitConfig(kind="random"), seed=seed) for seed in (0, 1)
    )

    assert first.train.to_pydict() != second.train.to_pydict()


def test_a_random_split_holds_its_shares_over_many_short_histories() -> None:
    """Users with three rows each, whose tenth is no whole row, still give a tenth in sum."""
    log = _log([(row // 3, 0) for row in range(30_000)])
    split = split_interactions(log, SplitConfig(kind="random"), seed=0)

    assert split.test is not None
    assert split.valid is not None
    assert split.test.num_rows / 30_000 == pytest.approx(0.1, rel=0.05)
    assert split.valid.num_rows / 30_000 == pytest.approx(0.1, rel=0.05)


@given(st.lists(st.sampled_from(["train", "valid", "test"])))
def test_a_split_that_the_data_brings_is_obeyed(names: list[str]) -> None:
    """Parts are what the column says, whatever the shares; a part that does not occur is None."""
    names = ["train", *names]
    log = _log([(1, 0)] * len(names)).append_column("split", pa.array(names))
    split = split_interactions(log, SplitConfig(kind="brought"), seed=0)

    for name in ("train", "valid", "test"):
        part = getattr(split, name)
        found = part["item_id"].to_pylist() if part is not None else []
        assert found == [row for row, own in enumerate(names) if own == name]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("global_time", {"event_time": None}, "column 'event_time': expected the column, which"),
        ("leave_last_out", {"event_time": None}, "column 'event_time': expected the column, which"),
        ("global_time", {"event_time": [None] * 3}, "expected a value in every row, got 3 nulls"),
        ("global_time", {"event_time": [DAY] * 3}, "at least 3 distinct times, one a part, got 1"),
        ("random", {"user_id": [None, 1, 1]}, "expected a value in every row, got 1 nulls"),
        ("random", {"user_id": [1, 2, 3]}, "expected at least one row for the valid part, got non"),
        ("leave_last_out", {"user_id": [1, 1, 2]}, "at least one row for the valid part, got none"),
        ("brought", {}, "column 'split': expected the column, which this split needs"),
        (
            "brought",
            {"split": ["train", "dev", "?"]},
            "test in every row, got other text in 2 rows, the first in row 2",
        ),
        ("brought", {"split": ["test"] * 3}, "expected at least one row for the train part"),
    ],
)
def test_a_log_that_cannot_be_divided_is_refused(
    kind: SplitKind, changes: dict[str, list[object] | None], message: str
) -> None:
    """Missing columns, nulls, too few times and unknown part names say what to do."""
    log = _log([(1, 0), (1, 1), (1, 2)])
    types = {"user_id": pa.int64(), "event_time": EVENT_TIME_TYPE, "split": pa.string()}
    for name, values in changes.items():
        log = log.drop_columns(name) if name in log.column_names else log
        log = log.append_column(name, pa.array(values, types[name])) if values else log

    with pytest.raises(DataError) as caught:
        split_interactions(log, SplitConfig(kind=kind), seed=0)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_log_is_refused() -> None:
    """No rows cannot be divided, by any rule."""
    log = _log([(1, 0)]).slice(0, 0).append_column("split", pa.array([], pa.string()))
    for kind in ("global_time", "leave_last_out", "random", "brought"):
        with pytest.raises(DataError):
            split_interactions(log, SplitConfig(kind=kind), seed=0)


def test_shares_must_leave_something_to_train_on() -> None:
    """Shares that add up to the whole are a fault of the config."""
    with pytest.raises(ConfigError, match="below 1, got nothing left to train on"):
        parse_config(SplitConfig, {"test_share": 0.5, "valid_share": 0.5}, source="c.toml")
    assert [SplitConfig(kind=kind).needs_time for kind in ("global_time", "random")] == [
        True,
        False,
    ]
