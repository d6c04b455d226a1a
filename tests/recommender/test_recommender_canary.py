"""Laws of the frozen users: their histories, their answers, and what broken models make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from challengers import BAD, K, champion, honest, night
from test_champion import KINDS, model_of

from recsys.errors import DataError
from recsys.features.history import event_places
from recsys.recommender.evaluation.canary import HISTORY, RELEVANT, Canary
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID


def drawn(num_users: int = 300, seed: int = 0) -> Canary:
    """A canary of the small night."""
    return Canary.draw(night().before, night().test, num_users=num_users, seed=seed)


def mean(canary: Canary, model: object) -> float:
    """What a model makes of it."""
    return float(np.mean(canary.measure(model, k=K)))


def test_histories_are_in_the_order_of_time_without_repeats() -> None:
    """A history holds the user's distinct items, each where it came last, as for lists."""
    log = night().before.interactions
    shuffled = log.take(pa.array(np.random.default_rng(0).permutation(log.num_rows)))
    data = replace(night().before, interactions=shuffled)
    canary = Canary.draw(data, night().test, num_users=10_000, seed=0)
    frame = log.append_column("place", pa.array(event_places(log))).to_pandas()
    last = frame.sort_values("place").drop_duplicates([USER_ID, ITEM_ID], keep="last")
    expected = last.groupby(USER_ID)[ITEM_ID].agg(list)
    tested = sorted(set(night().test[USER_ID].to_pylist()) & set(expected.index))
    assert canary.table[HISTORY].to_pylist() == [expected[user] for user in tested]
    answers = night().test.to_pandas().groupby(USER_ID)[ITEM_ID].agg(set)
    assert [set(one) for one in canary.table[RELEVANT].to_pylist()] == [
        answers[user] for user in tested
    ]
    assert all(len(set(one)) == len(one) for one in canary.table[RELEVANT].to_pylist())


def test_the_draw_names_nobody_and_repeats() -> None:
    """The same seed draws the same users, in as many rows as asked for, without their ids."""
    one, other = drawn(50, seed=1), drawn(50, seed=1)
    assert one.table.equals(other.table)
    assert not one.table.equals(drawn(50, seed=2).table)
    assert (len(one.table), one.table.column_names) == (50, [HISTORY, RELEVANT])


def test_only_users_with_a_past_and_a_future_are_drawn() -> None:
    """Strangers of the test part and users without it are left out; without any, it is empty."""
    strangers = night().test.set_column(0, USER_ID, pa.array(range(10**6, 10**6 + 1200)))
    assert len(Canary.draw(night().before, strangers, num_users=5, seed=0).table) == 0


def test_it_is_the_same_after_a_night_on_the_disk(tmp_path: Path) -> None:
    """Written and read back it gives the same figures."""
    canary = drawn()
    pq.write_table(canary.table, tmp_path / "canary.parquet", write_page_checksum=True)
    again = Canary(table=pq.read_table(tmp_path / "canary.parquet"))
    np.testing.assert_array_equal(again.measure(champion(), k=K), canary.measure(champion(), k=K))


@pytest.mark.parametrize(
    "kind", ["random_towers", "shuffled_vectors", "collapsed_vectors", "negated", "hardly_trained"]
)
def test_the_value_of_a_broken_model_collapses(kind: str) -> None:
    """A broken model loses more than half of what a sound one finds, another sound one little."""
    usual = mean(drawn(), honest(0))
    assert mean(drawn(), BAD[kind](12)) < usual / 2
    assert mean(drawn(), honest(31)) > 0.8 * usual


def test_items_that_a_model_does_not_know_count_as_missed() -> None:
    """Unknown items in histories are passed over; unknown answers stay in what is asked for."""
    canary, model = drawn(), honest(0)
    unknown = pa.array([[-1, *one, -2] for one in canary.table[HISTORY].to_pylist()])
    longer = Canary(table=canary.table.set_column(0, HISTORY, unknown))
    np.testing.assert_allclose(longer.measure(model, k=K), canary.measure(model, k=K))
    asked = pa.array([[*one, -1] for one in canary.table[RELEVANT].to_pylist()])
    harder = Canary(table=canary.table.set_column(1, RELEVANT, asked))
    less_U, usual_U = harder.measure(model, k=K), canary.measure(model, k=K)
    assert (less_U <= usual_U).all()
    assert less_U.mean() < usual_U.mean()
    none = pa.array([[-1]] * len(canary.table))
    nothing = Canary(table=canary.table.set_column(1, RELEVANT, none))
    assert (nothing.measure(model, k=K) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_can_be_asked(kind: str) -> None:
    """With features, vectors of users or sequences, a model answers from histories alone."""
    model, data = model_of(kind)
    log = data.interactions
    cut = int(log.num_rows * 0.8)
    before = replace(data, interactions=log.slice(0, cut))
    canary = Canary.draw(before, log.slice(cut), num_users=100, seed=0)
    values = canary.measure(model, k=1000)
    assert np.isfinite(values).all()
    assert values.mean() > 0


def test_a_sequence_model_reads_the_order() -> None:
    """Histories turned round give other figures where order matters, and the same elsewhere."""
    for kind, differs in (("sequence", True), ("bare", False)):
        model, data = model_of(kind)
        log = data.interactions
        before = replace(data, interactions=log.slice(0, 900))
        canary = Canary.draw(before, log.slice(900), num_users=100, seed=0)
        turned = pa.array([one[::-1] for one in canary.table[HISTORY].to_pylist()])
        other = Canary(table=canary.table.set_column(0, HISTORY, turned))
        same = np.allclose(other.measure(model, k=5), canary.measure(model, k=5))
        assert same is not differs


def test_ids_of_another_type_are_refused() -> None:
    """A canary of numbers cannot ask a model of strings; the message says what to do."""
    texts = pa.array([["a"]] * 3)
    canary = Canary(table=pa.table({HISTORY: texts, RELEVANT: texts}))
    assert canary.item_type == pa.string()
    with pytest.raises(DataError, match="expected item ids of type int64, got string"):
        canary.measure(champion(), k=K)


def test_logs_without_times_keep_the_order_of_their_rows() -> None:
    """Without times the rows of a user stand for their order."""
    data = night().before
    bare = replace(data, interactions=data.interactions.drop_columns(EVENT_TIME))
    test = night().test.drop_columns(EVENT_TIME)
    one = Canary.draw(bare, test, num_users=100, seed=0)
    assert one.table.equals(drawn(100).table)
