"""The benchmark: its measures against plain loops, its use of validation data, its blind spot."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import CONFIG, fitted, small_dataset

from recsys.errors import DataError
from recsys.features.history import user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.benchmark import fit_benchmark, measure_lists, rank_test_users
from recsys.recommender.config import IndexConfig
from recsys.recommender.evaluation.evaluate import evaluate_lists
from recsys.recommender.fitting.select import select_settings
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

K = 4


@st.composite
def listed(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, set[str]], list[str]]:
    """Lists and test items by user, and the catalogue; some test items are not in it."""
    catalogue = [f"{number:02}" for number in range(12)]
    users = [f"u{number}" for number in range(draw(st.integers(1, 6)))]
    some = st.lists(st.sampled_from(catalogue), max_size=K, unique=True)
    any_item = st.sampled_from([*catalogue, "new", "newer"])
    lists = {user: draw(some) for user in users}
    return lists, {user: draw(st.sets(any_item, min_size=1)) for user in users}, catalogue


def lists_as_table(lists: dict[str, list[str]]) -> pa.Table:
    """One row a user and rank."""
    rows = [(user, item, rank) for user in lists for rank, item in enumerate(lists[user], start=1)]
    users, items, ranks = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            USER_ID: pa.array(users, pa.string()),
            ITEM_ID: pa.array(items, pa.string()),
            "rank": pa.array(ranks, pa.int32()),
        }
    )


def wanted_as_table(tests: dict[str, set[str]]) -> pa.Table:
    """One row a user and test item, the first of each user twice."""
    pairs = [(user, item) for user in tests for item in [*sorted(tests[user]), min(tests[user])]]
    return pa.table({USER_ID: [user for user, _ in pairs], ITEM_ID: [item for _, item in pairs]})


def by_loops(
    lists: dict[str, list[str]], tests: dict[str, set[str]], num_items: int, k: int
) -> dict[str, float]:
    """The convention of the published tables, user by user."""
    sums = dict.fromkeys(("recall", "ndcg", "mrr", "hit_rate"), 0.0)
    for user, wanted in tests.items():
        hits = [item in wanted for item in lists[user][:k]]
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(len(wanted), k)))
        gained = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
        sums["recall"] += sum(hits) / len(wanted)
        sums["ndcg"] += gained / ideal
        sums["mrr"] += 1 / (hits.index(True) + 1) if any(hits) else 0
        sums["hit_rate"] += any(hits)
    shown = {item for items in lists.values() for item in items[:k]}
    means = {f"{name}@{k}": total / len(tests) for name, total in sums.items()}
    return {**means, f"coverage@{k}": len(shown) / num_items}


@given(case=listed())
def test_measures_are_those_of_plain_loops(
    case: tuple[dict[str, list[str]], dict[str, set[str]], list[str]],
) -> None:
    """All test items count, also unknown ones; no list is a miss; repeated rows count once."""
    lists, tests, catalogue = case
    items = Vocabulary(pa.array(catalogue))
    for k in (1, K, K + 1):
        found = measure_lists(lists_as_table(lists), wanted_as_table(tests), items=items, k=k)
        assert found == pytest.approx(by_loops(lists, tests, len(catalogue), k))


@given(case=listed())
def test_measures_are_those_of_the_evaluation(
    case: tuple[dict[str, list[str]], dict[str, set[str]], list[str]],
) -> None:
    """The benchmark and the training report mean the same by recall, NDCG, MRR and hit rate."""
    lists, tests, catalogue = case
    items = Vocabulary(pa.array([*catalogue, "new", "newer"]))
    users = Vocabulary(pa.array(sorted(tests)))
    table = wanted_as_table(tests)
    numbers = np.full((len(users), K), -1)
    for row, user in enumerate(users.terms.to_pylist()):
        numbers[row, : len(lists[user])] = items.numbers(pa.array(lists[user], pa.string()))
    relevant = user_item_matrix(table, users=users, items=items)
    overall = evaluate_lists(numbers, relevant, train=relevant * 0, ks=(K,)).overall
    found = measure_lists(lists_as_table(lists), table, items=Vocabulary(pa.array(catalogue)), k=K)
    for name in ("recall", "ndcg", "mrr", "hit_rate"):
        assert found[f"{name}@{K}"] == pytest.approx(overall[f"{name}@{K}"])


def test_lists_of_others_do_not_count() -> None:
    """Users without test items leave the measures as they are, wherever their ids sort."""
    items = Vocabulary(pa.array(["a", "b"]))
    tests = wanted_as_table({"m": {"a"}, "n": {"b"}})
    lists = {"m": ["a"], "n": ["a"]}
    alone = measure_lists(lists_as_table(lists), tests, items=items, k=K)
    among = measure_lists(
        lists_as_table({"a": ["a"], **lists, "z": ["b", "a"]}), tests, items=items, k=K
    )
    assert alone == among
    assert alone[f"recall@{K}"] == 0.5


def in_two(table: pa.Table, every: int) -> tuple[pa.Table, pa.Table]:
    """A table without each n-th row, and these rows."""
    chosen = pa.array(np.arange(table.num_rows) % every == 0)
    return table.filter(pc.invert(chosen)), table.filter(chosen)


def test_the_final_fit_is_on_all_of_the_train_file() -> None:
    """Validation rows are held back from the selection alone, given or cut off the end."""
    train = small_dataset()
    for valid in (None, train.interactions[-150:]):
        fit = fit_benchmark(train, valid, CONFIG, k=K)
        whole = user_item_matrix(train.interactions, users=fit.model.users, items=fit.model.items)
        assert fit.model.histories.nnz == whole.nnz
        assert len(fit.model.users) == pc.count_distinct(train.interactions[USER_ID]).as_py()
        assert fit.model.selection == fit.selection
        assert 1 <= fit.selection.num_epochs <= CONFIG.training.num_epochs
        assert all(epoch.validation is not None for epoch in fit.epochs)
        assert fit.select_s > 0
        assert fit.refit_s > 0


def test_what_is_selected_on_is_not_trained_on() -> None:
    """The selection is that of training on the train file without the pairs of the other one."""
    train = small_dataset()
    valid = train.interactions[-150:]
    frame, held_out = train.interactions.to_pandas(), valid.to_pandas()
    pairs = set(zip(held_out[USER_ID], held_out[ITEM_ID], strict=True))
    kept = [pair not in pairs for pair in zip(frame[USER_ID], frame[ITEM_ID], strict=True)]
    rest = replace(train, interactions=train.interactions.filter(pa.array(kept)))
    selection, _, epochs = select_settings(rest, valid, CONFIG, k=K)
    fit = fit_benchmark(train, valid, CONFIG, k=K)
    assert fit.selection == selection
    assert [epoch.loss for epoch in fit.epochs] == [epoch.loss for epoch in epochs]
    assert 0 < rest.interactions.num_rows < train.interactions.num_rows - 150  # repeated pairs too


def test_a_log_without_times_is_enough() -> None:
    """Without times a random tenth of each user's items selects."""
    train = small_dataset()
    log = train.interactions.drop_columns(EVENT_TIME)
    fit = fit_benchmark(replace(train, interactions=log), None, CONFIG, k=K)
    assert fit.selection.popularity_half_life_days is None
    assert all(epoch.validation is not None for epoch in fit.epochs)


def test_a_validation_file_that_is_no_part_is_refused() -> None:
    """Pairs that the train file lacks, or nothing left to train on, are told with their number."""
    train = small_dataset()
    rest, valid = in_two(train.interactions, 10)
    others = pa.concat_tables([valid, valid[:3].set_column(0, USER_ID, pa.array([-1, -2, -3]))])
    with pytest.raises(DataError, match="got 3 of 123 user-item pairs that are not in it"):
        fit_benchmark(train, others, CONFIG, k=K)
    with pytest.raises(DataError, match="expected a part of the train file"):
        fit_benchmark(replace(train, interactions=rest[:200]), valid, CONFIG, k=K)
    with pytest.raises(DataError, match="not in it, got none; leave some to train on"):
        fit_benchmark(train, train.interactions, CONFIG, k=K)


def test_lists_leave_out_train_items_and_need_no_history(tmp_path: Path) -> None:
    """Every test user gets a list without their train items, new ones the most popular items."""
    case = fitted("string", features=False)
    model, log = case.model, case.dataset.interactions
    test = pa.table({USER_ID: [*model.users.terms.to_pylist()[:30], "new"], ITEM_ID: ["?"] * 31})
    for index in (IndexConfig(), IndexConfig(prefix_dim=8), IndexConfig(kind="hnsw")):
        path = tmp_path / f"{index.kind}-{index.prefix_dim}.parquet"
        summary = rank_test_users(model, test, path, k=K, index=index, user_table=None, seed=0)
        table = pq.read_table(path)
        assert summary.num_lists == 31
        assert table.num_rows == 31 * K
        assert summary.lists_by_source == {"history": 30, "popularity": 1}
        seen = set(zip(log[USER_ID].to_pylist(), log[ITEM_ID].to_pylist(), strict=True))
        assert not seen & set(
            zip(table[USER_ID].to_pylist(), table[ITEM_ID].to_pylist(), strict=True)
        )
