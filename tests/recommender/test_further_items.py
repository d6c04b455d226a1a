"""Seen means seen: no list holds an item of the log that was read, whatever was learnt from it."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from small_logs import small_config, without_features

from recsys.datasets.dataset import Dataset
from recsys.datasets.synthetic.interactions import generate_interactions
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.further_items import FurtherItems
from recsys.recommender.index import IndexConfig
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import load_model, save_model
from recsys.recommender.serving import Recommender, build_index
from recsys.schema import ITEM_ID, USER_ID

K = 30


@functools.cache
def log() -> Dataset:
    """A log in which users have a third of the items on average."""
    found = generate_interactions(
        num_users=40, num_items=30, num_interactions=500, num_clusters=3, seed=2
    )
    return without_features(found.dataset)


@functools.cache
def fitted(share: float, seed: int) -> tuple[RecommenderModel, pa.Table]:
    """A model that learnt from a random share of the rows, and the rows that it learnt from."""
    table = log().interactions
    kept = table.filter(pa.array(np.random.default_rng(seed).random(table.num_rows) < share))
    config = small_config({"num_epochs": 1}, embedding_dim=8, hidden_dims=(8,))
    model, _ = fit_recommender(replace(log(), interactions=kept), config, default_selection(config))
    return model, kept


def pairs(table: pa.Table) -> set[tuple[object, object]]:
    """Users and items of a table."""
    return set(zip(table[USER_ID].to_pylist(), table[ITEM_ID].to_pylist(), strict=True))


@settings(max_examples=15)
@given(share=st.sampled_from([0.3, 0.8]), seed=st.integers(0, 2), rows=st.integers(0, 500))
def test_no_list_holds_what_was_read(share: float, seed: int, rows: int) -> None:
    """Of every user, known to the model or not, whichever rows were left out of training."""
    model, kept = fitted(share, seed)
    had = pa.concat_tables([kept, log().interactions[:rows]])
    further = FurtherItems.beyond(had, model.histories, users=model.users, items=model.items)
    found = replace(model, further=further)
    index = build_index(found, IndexConfig(), model_fingerprint="0" * 64, seed=0)
    users = pa.array(sorted(set(had[USER_ID].to_pylist())), pa.int64())
    table = Recommender(model=found, index=index).recommend_table(users, K)
    assert not pairs(table) & pairs(had)
    in_catalogue = {one for one in pairs(had) if one[1] in set(model.items.terms.to_pylist())}
    assert table.num_rows == len(users) * len(model.items) - len(in_catalogue)
    assert (further is None) == (in_catalogue <= pairs(kept))


def test_what_was_not_learnt_is_saved_with_the_model(tmp_path: Path) -> None:
    """A bundle that is opened again leaves out the same items."""
    model, _ = fitted(0.3, 0)
    further = FurtherItems.beyond(
        log().interactions, model.histories, users=model.users, items=model.items
    )
    save_model(replace(model, further=further), tmp_path / "model", data_digests={})
    again, _ = load_model(tmp_path / "model")
    assert again.further.users.terms.equals(further.users.terms)
    np.testing.assert_array_equal(again.further.items.toarray(), further.items.toarray())
