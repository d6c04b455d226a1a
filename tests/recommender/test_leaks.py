"""Nothing after the cut is seen: change the future, and the fit on the past stays bit by bit.

Time splits cut the log. These tests rewrite what is at or after a cut - other users, items, times
and weights, fewer rows, more rows, and the features of users and items that only occur there - and
compare everything that was fitted before it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import clustered_log, small_config

from recsys.config import config_to_dict
from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import Split, SplitConfig, split_interactions
from recsys.features.encoder import TableEncoder
from recsys.features.vocabulary import UNKNOWN, Vocabulary
from recsys.recommender.fitting.select import default_selection, select_settings
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model import RecommenderModel, Selection
from recsys.schema import EVENT_TIME, EVENT_TIME_TYPE, ITEM_ID, USER_ID, WEIGHT

CONFIG = small_config(
    {"num_epochs": 2, "batch_size": 16},
    embedding_dim=8,
    hidden_dims=(8,),
    warm_start=True,
    user_embedding=True,
)
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=20)


def weighted_log() -> Dataset:
    """A log with weights and features, in which some users and items come late."""
    log = clustered_log(num_users=60, num_items=40, num_interactions=500).dataset
    late = np.arange(log.interactions.num_rows) > 350
    users, items = (np.asarray(log.interactions[name]) for name in (USER_ID, ITEM_ID))
    kept = late | ((users % 6 > 0) & (items % 5 > 0))  # every sixth user, every fifth item
    table = log.interactions.filter(pa.array(kept))
    weights = np.random.default_rng(0).uniform(0.5, 2, table.num_rows).astype(np.float32)
    return replace(log, interactions=table.append_column(WEIGHT, pa.array(weights)))


LOG = weighted_log()
SPLIT = split_interactions(LOG.interactions, SplitConfig(test_share=0.2, valid_share=0.2), seed=0)


def other_future(table: pa.Table, cut: datetime, rng: np.random.Generator) -> pa.Table:
    """Rows before the cut as they are, and any others at or after it, mixed in any order."""
    before = table.filter(pc.less(table[EVENT_TIME], pa.scalar(cut, EVENT_TIME_TYPE)))
    num_rows = int(rng.integers(0, 300))
    start = pa.scalar(cut, EVENT_TIME_TYPE).cast(pa.int64()).as_py()
    times = start + rng.choice([0, 1, 10**9, 10**12], num_rows) * rng.integers(1, 9, num_rows)
    after = pa.table(
        {
            USER_ID: rng.choice([*range(1, 61), 7_000, 7_001], num_rows),
            ITEM_ID: rng.choice([*range(1, 41), 7_000, 7_001], num_rows),
            EVENT_TIME: pa.array(times).cast(EVENT_TIME_TYPE),
            WEIGHT: pa.array(rng.choice([0.0, 1.0, 1e9], num_rows).astype(np.float32)),
        }
    )
    rows = np.arange(before.num_rows + num_rows)
    mixed = rng.permutation(rows)
    mixed[np.isin(mixed, rows[: before.num_rows])] = rows[: before.num_rows]  # the past in order
    return pa.concat_tables([before, after]).take(pa.array(mixed))


def other_strangers(table: pa.Table, id_column: str, known: Vocabulary, seed: int) -> pa.Table:
    """Rows of known ids as they are; those of all others with new values, dropped, or added."""
    rng = np.random.default_rng(seed)
    strange = known.numbers(table[id_column]) == UNKNOWN
    assert strange.any()
    others = table.filter(pa.array(strange & (rng.random(len(strange)) < 0.7)))
    extreme: dict[str, object] = {
        "segment": "never seen",
        "category": "never seen",
        "tags": ["never seen", None],
        "price": 1e30,
        "age": -1e30,
        "vector": [1e30] * 16,
    }
    for name in set(extreme) & set(table.column_names):
        place = table.schema.get_field_index(name)
        value = pa.array([extreme[name]] * others.num_rows, table.schema.field(name).type)
        others = others.set_column(place, name, value)
    added = others.set_column(0, id_column, pa.array(np.arange(others.num_rows) + 8_000))
    rewritten = pa.concat_tables([table.filter(pa.array(~strange)), others, added])
    return rewritten.take(pa.array(rng.permutation(rewritten.num_rows)))


def traces(model: RecommenderModel, selection: Selection) -> dict[str, object]:
    """Everything that was fitted, as bytes and plain values."""
    found: dict[str, object] = {
        "selection": config_to_dict(selection),
        "users": model.users.terms.to_pylist(),
        "items": model.items.terms.to_pylist(),
        "histories": [model.histories.indptr.tobytes(), model.histories.indices.tobytes()],
        "user table": model.user_table.to_pylist(),
        "item vectors": model.item_embeddings.tobytes(),
        "popularity": [model.log_popularity.tobytes(), model.popularity_scale],
    }
    for side, encoder in {"user": model.user_encoder, "item": model.item_encoder}.items():
        found[f"{side} encoder"] = encoder_traces(encoder)
    for name, weight in model.towers.state_dict().items():
        found[name] = weight.numpy().tobytes()
    return found


def encoder_traces(encoder: TableEncoder) -> list[object]:
    """What an encoder learnt."""
    vocabularies = [*encoder.categorical.values(), *encoder.multi_hot.values()]
    terms = [vocabulary.terms.to_pylist() for vocabulary in vocabularies]
    return [*terms, dict(encoder.numeric), dict(encoder.dense)]


def selected(data: Dataset, split: Split) -> dict[str, object]:
    """Everything that the train and validation parts decide."""
    train = replace(data, interactions=split.train)
    selection, model, _ = select_settings(train, split.valid, CONFIG, k=5)
    return traces(model, selection)


def fitted(data: Dataset, train: pa.Table) -> dict[str, object]:
    """Everything that the train part decides."""
    selection = replace(
        default_selection(CONFIG), popularity_half_life_days=9.0, training_half_life_days=30.0
    )
    model, _ = fit_recommender(replace(data, interactions=train), CONFIG, selection)
    return traces(model, selection)


def differences(left: dict[str, object], right: dict[str, object]) -> list[str]:
    """Names of what differs."""
    return [name for name in left.keys() | right.keys() if left.get(name) != right.get(name)]


ALL_SELECTED, ALL_FITTED = selected(LOG, SPLIT), fitted(LOG, SPLIT.train)


def by_time(table: pa.Table) -> Split:
    """The parts by the cuts of the original log."""
    valid_from, test_from = (
        pa.scalar(cut, EVENT_TIME_TYPE) for cut in (SPLIT.valid_from, SPLIT.test_from)
    )
    times = table[EVENT_TIME]
    return Split(
        train=table.filter(pc.less(times, valid_from)),
        valid=table.filter(pc.and_(pc.greater_equal(times, valid_from), pc.less(times, test_from))),
        test=None,
    )


@FEW
@given(seed=SEEDS)
def test_settings_and_model_do_not_see_the_test_part(seed: int) -> None:
    """Half-life, epochs, weight of popularity and all weights stay, whatever the test part is."""
    changed = other_future(LOG.interactions, SPLIT.test_from, np.random.default_rng(seed))
    assert differences(selected(LOG, by_time(changed)), ALL_SELECTED) == []


@FEW
@given(seed=SEEDS)
def test_a_fit_does_not_see_the_validation_part(seed: int) -> None:
    """Vocabularies, histories, popularity and weights come from rows before the first cut alone."""
    changed = other_future(LOG.interactions, SPLIT.valid_from, np.random.default_rng(seed))
    assert differences(fitted(LOG, by_time(changed).train), ALL_FITTED) == []


@FEW
@given(seed=SEEDS)
def test_encoders_do_not_see_users_and_items_that_come_later(seed: int) -> None:
    """Terms, medians, spreads and weights stay when rows of later users and items are rewritten."""
    users, items = Vocabulary.fit(SPLIT.train[USER_ID]), Vocabulary.fit(SPLIT.train[ITEM_ID])
    changed = replace(
        LOG,
        users=other_strangers(LOG.users, USER_ID, users, seed),
        items=other_strangers(LOG.items, ITEM_ID, items, seed),
    )
    assert differences(fitted(changed, SPLIT.train), ALL_FITTED) == []
    assert differences(selected(changed, SPLIT), ALL_SELECTED) == []


@FEW
@given(seed=SEEDS)
def test_the_split_itself_does_not_move_with_what_comes_after_it(seed: int) -> None:
    """Other users, items and weights at the same times leave the cuts and the parts before them."""
    rng = np.random.default_rng(seed)
    table = LOG.interactions
    after = pc.greater_equal(table[EVENT_TIME], pa.scalar(SPLIT.valid_from, EVENT_TIME_TYPE))
    for name in (USER_ID, ITEM_ID):
        others = pa.array(rng.integers(1, 9_000, table.num_rows))
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pc.if_else(after, others, table[name]))
    split = split_interactions(table, SplitConfig(test_share=0.2, valid_share=0.2), seed=seed)
    assert (split.valid_from, split.test_from) == (SPLIT.valid_from, SPLIT.test_from)
    assert split.train.equals(SPLIT.train)
    assert differences(fitted(LOG, split.train), ALL_FITTED) == []


def test_the_traces_would_show_a_leak() -> None:
    """The comparison sees one changed row before the cut, and one feature of a known user."""
    table = SPLIT.train
    weights = np.asarray(table[WEIGHT]).copy()
    weights[0] *= 100
    changed = table.set_column(table.schema.get_field_index(WEIGHT), WEIGHT, pa.array(weights))
    found = differences(fitted(LOG, changed), ALL_FITTED)
    assert {"item vectors", "popularity"} <= set(found)
    assert "users" not in found
    known = pc.equal(LOG.users[USER_ID], table[USER_ID][0])
    ages = pc.if_else(known, pa.scalar(99.0, pa.float32()), LOG.users["age"])
    place = LOG.users.schema.get_field_index("age")
    older = replace(LOG, users=LOG.users.set_column(place, "age", ages))
    assert {"user table", "item vectors"} <= set(differences(fitted(older, table), ALL_FITTED))
