"""The validation sample: who is in it, and what it measures, against a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from small_logs import clustered_log, part, small_config, without_features

from recsys.datasets.splits import SplitConfig, split_interactions
from recsys.features.history import user_item_matrix
from recsys.features.vocabulary import Vocabulary
from recsys.recommender.fitting import validation_sample
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.fitting.validation_sample import ValidationSample
from recsys.schema import ITEM_ID, USER_ID

LOG = without_features(clustered_log(num_interactions=3000).dataset)
SPLIT = split_interactions(LOG.interactions, SplitConfig(test_share=0), seed=0)
USERS, ITEMS = Vocabulary.fit(SPLIT.train[USER_ID]), Vocabulary.fit(SPLIT.train[ITEM_ID])
HISTORIES = user_item_matrix(SPLIT.train, users=USERS, items=ITEMS)


def drawn(valid: pa.Table, seed: int = 0) -> ValidationSample:
    """A sample for lists of 5."""
    return ValidationSample.draw(
        valid, users=USERS, items=ITEMS, histories=HISTORIES, k=5, seed=seed
    )


def test_a_sample_has_the_known_users_of_known_items() -> None:
    """Users in both parts with at least one known item, each with their rows of both matrices."""
    sample = drawn(SPLIT.valid)
    known_users, known_items = set(USERS.terms.to_pylist()), set(ITEMS.terms.to_pylist())
    taken: dict[int, set[int]] = {}
    for row in SPLIT.valid.select([USER_ID, ITEM_ID]).to_pylist():
        if row[USER_ID] in known_users and row[ITEM_ID] in known_items:
            taken.setdefault(row[USER_ID], set()).add(row[ITEM_ID])
    users = USERS.lookup(sample.user_numbers).to_pylist()
    assert users == sorted(taken)
    assert sample.num_users == len(users)
    for place, user in enumerate(users):
        relevant = ITEMS.lookup(sample.relevant[[place]].indices).to_pylist()
        assert set(relevant) == taken[user]
        before = part(SPLIT.train, np.asarray(SPLIT.train[USER_ID]) == user)[ITEM_ID].to_pylist()
        assert set(ITEMS.lookup(sample.seen[[place]].indices).to_pylist()) == set(before)


def test_a_large_sample_is_cut_at_random_but_the_same_way_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond the limit users are drawn by the seed, each once, in ascending order."""
    everyone = drawn(SPLIT.valid).user_numbers
    monkeypatch.setattr(validation_sample, "_MAX_USERS", 20)
    first, again, other = (drawn(SPLIT.valid, seed).user_numbers for seed in (0, 0, 1))
    assert len(first) == 20
    assert (np.diff(first) > 0).all()
    assert set(first) <= set(everyone)
    assert first.tolist() == again.tolist() != other.tolist()


def test_quality_is_the_mean_ndcg_of_lists_without_seen_items() -> None:
    """Ranking each user by a loop over sorted scores gives the same number."""
    config = small_config({"num_epochs": 1})
    model, _ = fit_recommender(
        replace(LOG, interactions=SPLIT.train), config, default_selection(config)
    )
    sample = drawn(SPLIT.valid)
    queries, _ = model.embed_users(USERS.lookup(sample.user_numbers))
    scores = queries @ model.item_vectors().T
    gains = 1 / np.log2(np.arange(2, 7))
    found = []
    for place in range(sample.num_users):
        scores[place, sample.seen[[place]].indices] = -np.inf
        best = np.argsort(-scores[place], kind="stable")[:5]
        relevant = sample.relevant[[place]].indices
        ideal = gains[: len(relevant)].sum()
        found.append((np.isin(best, relevant) * gains).sum() / ideal)
    assert sample.quality(model) == pytest.approx(np.mean(found))
    assert 0.01 < np.mean(found) < 1


def test_a_part_of_strangers_gives_an_empty_sample() -> None:
    """Users or items that training did not have are nobody to choose settings by."""
    strangers = pa.table({USER_ID: [10**6, 1], ITEM_ID: [1, 10**6]})
    sample = drawn(strangers)
    assert sample.num_users == 0
    assert sample.relevant.shape == (0, len(ITEMS))
