"""Nothing that is fitted on the part before a cut knows what comes after it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.datasets.dataset import Dataset
from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.datasets.synthetic import generate_interactions
from recsys.recommender.model import RecommenderModel, Selection
from recsys.recommender.train import RecommenderConfig, select_settings
from recsys.recommender.two_tower import TwoTowerConfig
from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID
from recsys.training import TrainingConfig

LOG = generate_interactions(
    num_users=80, num_items=60, num_interactions=1500, num_clusters=4, seed=3
).dataset
SPLIT = split_interactions(LOG.interactions, SplitConfig(test_share=0.2), seed=0)
CONFIG = RecommenderConfig(
    model=TwoTowerConfig(embedding_dim=8, prefix_dims=(4,), hidden_dims=(8,)),
    training=TrainingConfig(num_epochs=2),
)


def fitted(data: Dataset) -> tuple[Selection, RecommenderModel]:
    """What is fitted on everything before the cut of the original log."""
    before = data.interactions.filter(
        pa.compute.less(data.interactions[EVENT_TIME], SPLIT.test_from)
    )
    split = split_interactions(before, SplitConfig(test_share=0), seed=0)
    train = replace(data, interactions=split.train)
    selection, model, _ = select_settings(train, split.valid, CONFIG)
    return selection, model


SELECTION, MODEL = fitted(LOG)


def changed_rows(table: pa.Table, id_column: str, known: pa.Array, seed: int) -> pa.Table:
    """The table with other features in the rows whose ids are not known before the cut."""
    rng = np.random.default_rng(seed)
    shuffled = table.take(pa.array(rng.permutation(table.num_rows)))
    unknown = pa.compute.invert(pa.compute.is_in(table[id_column], value_set=known))
    columns = [
        table[name]
        if name == id_column
        else pa.chunked_array(
            [pa.array(
                [new if change else old for old, new, change in zip(
                    table[name].to_pylist(), shuffled[name].to_pylist(), unknown.to_pylist(),
                    strict=True,
                )],
                type=table.schema.field(name).type,
            )]
        )
        for name in table.column_names
    ]  # fmt: skip
    return pa.table(columns, schema=table.schema)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), num_new=st.integers(0, 300))
def test_what_happens_after_the_cut_changes_nothing_before_it(seed: int, num_new: int) -> None:
    """Vocabularies, encoders, selection and vectors stay byte-equal.

    Events after the cut change, vanish or multiply, and so do the features of users and items that
    are not there before it.
    """
    rng = np.random.default_rng(seed)
    before = LOG.interactions.filter(pa.compute.less(LOG.interactions[EVENT_TIME], SPLIT.test_from))
    rows = pa.array(rng.integers(LOG.interactions.num_rows, size=num_new))
    after = LOG.interactions.take(rows)
    cut = int(SPLIT.test_from.timestamp() * 1e6)
    times = pa.array(cut + rng.integers(0, 10**12, num_new), pa.int64())
    place = after.schema.get_field_index(EVENT_TIME)
    after = after.set_column(place, EVENT_TIME, times.cast(after.schema.field(EVENT_TIME).type))
    perturbed = replace(
        LOG,
        interactions=pa.concat_tables([after, before]).sort_by(EVENT_TIME),
        users=changed_rows(LOG.users, USER_ID, MODEL.users.terms, seed),
        items=changed_rows(LOG.items, ITEM_ID, MODEL.items.terms, seed),
    )
    selection, model = fitted(perturbed)
    assert selection == SELECTION
    assert model.users.terms.equals(MODEL.users.terms)
    assert model.items.terms.equals(MODEL.items.terms)
    assert model.item_encoder.numeric == MODEL.item_encoder.numeric
    for name, terms in MODEL.item_encoder.categorical.items():
        assert model.item_encoder.categorical[name].terms.equals(terms.terms)
    assert model.item_vectors().tobytes() == MODEL.item_vectors().tobytes()
    queries, _ = model.embed_users(MODEL.users.terms)
    expected, _ = MODEL.embed_users(MODEL.users.terms)
    assert queries.tobytes() == expected.tobytes()
