"""Laws of the guards of lists: a broken night is held by the right rule, an ordinary one passes."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from challengers import BAD, champion, fit, night
from small_logs import clustered_log, without_features

from recsys.features.history import history_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.evaluation.retraining import RetrainingShift
from recsys.recommender.lists.list_files import ListsSummary, RankedLists, write_recommendations
from recsys.recommender.lists.output_checks import check_floor, check_lists, told_apart
from recsys.recommender.model import RecommenderModel
from recsys.recommender.nightly_config import ListChecksConfig
from recsys.recommender.ranking.topk import masked_top_k
from recsys.schema import USER_ID

K = 10
CONFIG = ListChecksConfig()


def write(
    path: Path, users: pa.Array, items: np.ndarray, scores: np.ndarray, catalogue: Vocabulary
) -> Path:
    """A file of lists as the job writes it, in blocks."""
    blocks = [
        RankedLists(
            owner_ids=users[start : start + 100],
            items=items[start : start + 100],
            scores=scores[start : start + 100],
            sources=pa.array(["history"] * len(users[start : start + 100])),
        )
        for start in range(0, len(users), 100)
    ]
    write_recommendations(path, blocks, user_id_type=users.type, item_ids=catalogue)
    return path


def lists_of(model: RecommenderModel, log: pa.Table) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Users of a log, and the lists that a model gives them."""
    users = Vocabulary.fit(log[USER_ID])
    seen = history_matrix(log, users=users, items=model.items, ordered=False)
    queries, _ = model.embed_users(users.terms, histories=seen)
    items, scores = masked_top_k(queries, model.item_vectors(), K, excluded=seen)
    return users.terms, items, scores


@functools.cache
def usual() -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """The lists of an ordinary night."""
    return lists_of(champion(), night(10_000).before.interactions)


def live_file(folder: Path) -> Path:
    """The lists that are live."""
    return write(folder / "live.parquet", *usual(), champion().items)


def rules(
    new: Path, live: Path | None, config: ListChecksConfig = CONFIG, **options: bool
) -> list[str]:
    """The rules that a night breaks."""
    return [fault.rule for fault in check_lists(new, live, config, **options)]


def night_of(folder: Path, model: RecommenderModel) -> list[str]:
    """The rules that a model's lists break beside those that are live."""
    log = night(10_000).before.interactions
    new = write(folder / "new.parquet", *lists_of(model, log), model.items)
    return rules(new, live_file(folder))


def test_the_same_lists_pass(tmp_path: Path) -> None:
    """Nothing is held of a night that is like the one before, nor of a first night."""
    live = live_file(tmp_path)
    assert rules(live, live) == []
    assert rules(live, None) == []


@pytest.mark.parametrize("retrained", [False, True])
def test_an_ordinary_next_night_passes(tmp_path: Path, *, retrained: bool) -> None:
    """Five in a hundred events more move lists, with the model of before or a new one."""
    later = night(10_500).before
    model = fit(later, seed=5) if retrained else champion()
    new = write(tmp_path / "new.parquet", *lists_of(model, later.interactions), model.items)
    assert rules(new, live_file(tmp_path)) == []


def test_constant_scores_are_held(tmp_path: Path) -> None:
    """Scores that tell nothing apart are held on the first night already."""
    users, items, scores = usual()
    flat = np.full_like(scores, 0.5)
    new = write(tmp_path / "new.parquet", users, items, flat, champion().items)
    assert rules(new, None) == ["score spread"]
    assert rules(new, live_file(tmp_path)) == ["score spread"]
    some = np.where(np.arange(len(users))[:, None] % 5 < 2, 0.5, scores)
    new = write(tmp_path / "some.parquet", users, items, some, champion().items)
    assert rules(new, None) == []


@pytest.mark.parametrize("kind", ["shuffled_vectors", "random_towers", "negated"])
def test_lists_of_a_broken_model_keep_nothing(tmp_path: Path, kind: str) -> None:
    """Vectors that were shuffled, drawn or negated give lists unlike those of the night before."""
    assert "overlap" in night_of(tmp_path, BAD[kind](3))


def test_a_collapsed_index_is_held(tmp_path: Path) -> None:
    """Everybody with the same items: little of the catalogue is left, and each is everywhere."""
    users, items, scores = usual()
    same = np.tile(items[0], (len(users), 1))
    new = write(tmp_path / "new.parquet", users, same, scores, champion().items)
    assert {"coverage", "exposure"} <= set(rules(new, live_file(tmp_path)))


@pytest.mark.parametrize(("share", "expected"), [(0.5, ["exposure"]), (0.15, [])])
def test_an_item_that_is_suddenly_everywhere_is_held(
    tmp_path: Path, share: float, expected: list[str]
) -> None:
    """One item at the end of half of the lists is held; of a seventh of them it passes."""
    users, items, scores = usual()
    catalogue = Vocabulary(pa.concat_arrays([champion().items.terms, pa.array([10**6])]))
    pushed = items.copy()
    pushed[: int(share * len(users)), -1] = len(catalogue) - 1
    new = write(tmp_path / "new.parquet", users, pushed, scores, catalogue)
    faults = check_lists(new, live_file(tmp_path), CONFIG)
    assert [fault.rule for fault in faults] == expected
    assert all("1000000" in fault.observed for fault in faults)


def test_missing_users_and_short_lists_are_held(tmp_path: Path) -> None:
    """Half of the users, or lists cut to half, are not what was live."""
    users, items, scores = usual()
    live = live_file(tmp_path)
    half = len(users) // 2
    few = write(
        tmp_path / "few.parquet", users[:half], items[:half], scores[:half], champion().items
    )
    assert rules(few, live) == ["users"]
    for name, cut in (("some", np.arange(len(users)) % 2 == 0), ("all", np.full(len(users), True))):
        short = items.copy()
        short[cut, K // 2 :] = -1
        new = write(tmp_path / f"{name}.parquet", users, short, scores, champion().items)
        assert "short lists" in rules(new, live)


def test_no_list_at_all_is_held(tmp_path: Path) -> None:
    """A file without a row lacks every user."""
    users, items, scores = usual()
    none = write(tmp_path / "none.parquet", users[:0], items[:0], scores[:0], champion().items)
    assert "users" in rules(none, live_file(tmp_path))


def test_few_users_are_not_judged(tmp_path: Path) -> None:
    """Of forty users few shares say anything: any lists pass, but not those of a fourth of them."""
    users, items, scores = (one[:40] for one in usual())
    live = write(tmp_path / "live.parquet", users, items, scores, champion().items)
    other = np.tile(items[0][::-1], (20, 1))
    new = write(tmp_path / "new.parquet", users[:20], other, scores[:20] * 0, champion().items)
    assert rules(new, live) == []
    ten = write(tmp_path / "ten.parquet", users[:10], items[:10], scores[:10], champion().items)
    assert rules(ten, live) == ["users"]


def test_a_change_of_settings_switches_no_guard_off_but_that_of_overlap(tmp_path: Path) -> None:
    """Other lists for each user pass; lists that collapse, lack users or hold nothing do not."""
    users, items, scores = usual()
    live = live_file(tmp_path)
    turned = write(tmp_path / "turned.parquet", users, items[::-1], scores, champion().items)
    assert rules(turned, live, same_rules=False) == []
    assert "overlap" in rules(turned, live)
    same = np.tile(items[0], (len(users), 1))
    new = write(tmp_path / "new.parquet", users, same, scores, champion().items)
    assert {"coverage", "exposure"} == set(rules(new, live, same_rules=False))
    five = write(tmp_path / "five.parquet", users, same[:, :5], scores[:, :5], champion().items)
    assert "coverage" in rules(five, live, same_rules=False)
    assert rules(new, live, replace(CONFIG, enabled=False)) == []
    few = write(tmp_path / "few.parquet", users[:9], items[:9], scores[:9], champion().items)
    assert "users" in rules(few, live, same_rules=False)


def test_shorter_lists_by_a_setting_are_compared_as_far_as_they_go(tmp_path: Path) -> None:
    """Half of each live list, as another k gives it, is no fault in either direction."""
    users, items, scores = usual()
    half = write(tmp_path / "half.parquet", users, items[:, :5], scores[:, :5], champion().items)
    live = live_file(tmp_path)
    assert rules(half, live, same_rules=False) == []
    assert rules(live, half, same_rules=False) == []
    assert "short lists" in rules(half, live)


@pytest.mark.parametrize(("num_empty", "is_held"), [(0, False), (5, False), (6, True), (10, True)])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_an_output_with_nothing_in_it_is_held(
    num_empty: int, is_held: bool, is_enabled: bool
) -> None:
    """More than half of ten lists empty, with nothing to compare with; all of them in any case."""
    summary = ListsSummary(
        num_lists=10,
        num_rows=(10 - num_empty) * 3,
        num_short_lists=num_empty,
        num_empty_lists=num_empty,
        duration_s=1.0,
    )
    found = check_floor(summary, Path("lists"), replace(CONFIG, enabled=is_enabled))
    assert bool(found) == (is_held and (is_enabled or num_empty == 10))
    if found:
        assert f"{num_empty} of 10 lists without an item" in str(found[0])


def test_ids_of_another_type_are_not_compared(tmp_path: Path) -> None:
    """After a change of the id type there is nothing in common to look for."""
    users, items, scores = usual()
    catalogue = Vocabulary(champion().items.terms.cast(pa.string()))
    new = write(tmp_path / "new.parquet", users.cast(pa.string()), items, scores, catalogue)
    assert rules(new, live_file(tmp_path)) == []


def test_a_small_catalogue_is_judged_beyond_chance(tmp_path: Path) -> None:
    """Where lists of ten share half of twenty items anyway, random lists are held all the same."""
    log = clustered_log(num_users=300, num_items=20, num_interactions=1500, num_clusters=4)
    model = fit(without_features(log.dataset), seed=0)
    users = Vocabulary.fit(log.dataset.interactions[USER_ID]).terms
    queries, _ = model.embed_users(users)
    items, scores = masked_top_k(queries, model.item_vectors(), K)
    live = write(tmp_path / "live.parquet", users, items, scores, model.items)
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.permutation(len(model.items))[:K] for _ in users])
    new = write(tmp_path / "new.parquet", users, drawn, scores, model.items)
    assert "overlap" in rules(new, live)
    assert rules(live, live) == []


@pytest.mark.parametrize(("measured", "expected"), [(0.05, ["exposure"]), (0.3, [])])
def test_what_a_retraining_was_measured_to_shift_is_let_pass(
    tmp_path: Path, measured: float, expected: list[str]
) -> None:
    """A gain of two fifths is held beside models that hardly differ, not beside those that do."""
    users, items, scores = usual()
    catalogue = Vocabulary(pa.concat_arrays([champion().items.terms, pa.array([10**6])]))
    pushed = items.copy()
    pushed[: int(0.4 * len(users)), -1] = len(catalogue) - 1
    new = write(tmp_path / "new.parquet", users, pushed, scores, catalogue)
    shift = RetrainingShift(exposure_gain=measured, coverage_kept=1.0)
    assert rules(new, live_file(tmp_path), retraining=shift) == expected


def test_a_collapse_is_held_however_much_a_retraining_shifts(tmp_path: Path) -> None:
    """Everybody with the same items stays beyond what any measured shift lets pass."""
    users, items, scores = usual()
    same = np.tile(items[0], (len(users), 1))
    new = write(tmp_path / "new.parquet", users, same, scores, champion().items)
    shift = RetrainingShift(exposure_gain=0.6, coverage_kept=0.7)
    assert {"coverage"} <= set(rules(new, live_file(tmp_path), retraining=shift))


def test_figures_beside_a_limit_are_told_apart() -> None:
    """A figure just beyond its limit is never printed like the limit."""
    for value, limit in ((0.2004, 0.2), (0.20001, 0.2), (0.5, 0.2)):
        assert told_apart(value, limit) != told_apart(limit, value)
    assert told_apart(0.5, 0.2) == "50.0%"
