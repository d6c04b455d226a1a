"""Training runs: what is selected on which part, what is compared, what is published."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ranker_contract
from small_models import CONFIG, SELECTION, small_dataset

from recsys.datasets.dataset import Dataset, FeaturesConfig
from recsys.datasets.splits import Split, SplitConfig, split_interactions
from recsys.recommender.config import EvaluationConfig
from recsys.recommender.evaluation.holdout import MODEL, TwoTowerRanker
from recsys.recommender.evaluation.popularity import half_lives
from recsys.recommender.fitting.experiment import Experiment, run_experiment
from recsys.recommender.fitting.list_weights import POPULARITY_WEIGHTS
from recsys.recommender.fitting.select import default_selection
from recsys.recommender.fitting.train import fit_recommender
from recsys.recommender.model_bundle import save_model
from recsys.recommender.ranking.ranker import Ranker
from recsys.schema import ITEM_ID, SPLIT, USER_ID

K = 5
EVALUATION = EvaluationConfig(k=K, segments=("segment",))
BASELINES = {"most popular", "item-item cosine"}


def run(dataset: Dataset, split: Split) -> Experiment:
    """A run with the settings of these tests."""
    return run_experiment(dataset, split, CONFIG, EVALUATION)


def by_time(dataset: Dataset, *, test_share: float = 0.2, valid_share: float = 0.2) -> Split:
    """The last events for test, those before them for validation."""
    rule = SplitConfig(test_share=test_share, valid_share=valid_share)
    return split_interactions(dataset.interactions, rule, seed=0)


@functools.cache
def full_run() -> Experiment:
    """A run with all three parts."""
    return run(small_dataset(), by_time(small_dataset()))


def fingerprint(experiment: Experiment, folder: Path) -> str:
    """Digest of the published model."""
    return save_model(experiment.model, folder, data_digests={}).fingerprint


@functools.cache
def contract_ranker() -> Ranker:
    """A model fitted on the matrix of the contract; one of its users is unknown to it."""
    users, items = ranker_contract.train_matrix().nonzero()
    log = pa.table({USER_ID: users.astype(np.int64), ITEM_ID: items.astype(np.int64)})
    features = FeaturesConfig()
    data = replace(small_dataset(), interactions=log, users=None, items=None, features=features)
    selection = replace(SELECTION, popularity_half_life_days=None, training_half_life_days=None)
    model, _ = fit_recommender(data, CONFIG, selection)
    return TwoTowerRanker(model=model, user_ids=pa.array(range(ranker_contract.NUM_USERS)))


@pytest.mark.parametrize("law", ranker_contract.LAWS, ids=ranker_contract.name)
def test_the_model_keeps_the_contract_of_rankers(law: ranker_contract.Law) -> None:
    """The model passes every law that its baselines pass, with an unknown user among the known."""
    law(contract_ranker())


def test_model_and_baselines_are_measured_alike() -> None:
    """All rankers are measured on the same users, by history and by segment, the model first."""
    comparison = full_run().comparison
    assert next(iter(comparison.evaluations)) == MODEL
    assert set(comparison.baselines) >= BASELINES
    assert comparison.part == "test"
    test = by_time(small_dataset()).test
    for evaluation in comparison.evaluations.values():
        assert evaluation.overall["num_users"] == len(test[USER_ID].unique())
        assert 0 <= evaluation.overall[f"ndcg@{K}"] <= 1
        assert set(evaluation.by_segment) == {"history length", "segment"}
        assert set(evaluation.by_segment["segment"]) == {f"segment-{n}" for n in range(4)}


def test_prefixes_end_with_the_whole_width() -> None:
    """Quality is known for each trained width; the widest one is the model itself."""
    experiment = full_run()
    assert list(experiment.comparison.by_prefix) == [8, 16]
    whole = experiment.comparison.by_prefix[16].overall
    assert whole == experiment.comparison.evaluations[MODEL].overall
    assert whole != experiment.comparison.by_prefix[8].overall


@pytest.mark.parametrize("test_share", [0, 0.2])
def test_what_is_measured_is_as_wide_as_what_is_published(test_share: float) -> None:
    """Settings are chosen with narrower vectors, quality is told of the whole width."""
    config = replace(CONFIG, model=replace(CONFIG.model, embedding_dim=160, prefix_dims=()))
    split = by_time(small_dataset(), test_share=test_share)
    experiment = run_experiment(small_dataset(), split, config, EVALUATION)
    assert set(experiment.comparison.by_prefix) == {160}
    assert experiment.model.config.embedding_dim == 160


def test_most_popular_is_what_counting_gives() -> None:
    """The baseline's recall is that of a plain count of what was there before the test part."""
    split = by_time(small_dataset())
    before = pa.concat_tables([split.train, split.valid]).to_pandas()
    pairs = before.drop_duplicates([USER_ID, ITEM_ID])
    counts = pairs.groupby(ITEM_ID).size().sort_index()
    order = counts.sort_values(ascending=False, kind="stable").index.tolist()
    seen = pairs.groupby(USER_ID)[ITEM_ID].agg(set).to_dict()
    recalls = []
    for user, wanted in split.test.to_pandas().groupby(USER_ID)[ITEM_ID].agg(set).items():
        best = [item for item in order if item not in seen.get(user, set())][:K]
        recalls.append(len(wanted & set(best)) / len(wanted))
    found = full_run().comparison.evaluations["most popular"].overall[f"recall@{K}"]
    assert found == pytest.approx(np.mean(recalls))


def test_the_selection_is_one_of_the_choices() -> None:
    """Epochs, weight and half-life are among those that there are to choose from."""
    experiment, split = full_run(), by_time(small_dataset())
    selection = experiment.selection
    assert 1 <= selection.num_epochs <= len(experiment.epochs) <= CONFIG.training.num_epochs
    assert selection.popularity_weight in POPULARITY_WEIGHTS
    assert selection.popularity_half_life_days in half_lives(split.train)
    assert all(epoch.validation is not None for epoch in experiment.epochs)
    assert experiment.model.selection == selection
    assert set(experiment.durations_s) == {"select", "evaluate", "fit"}


def test_the_published_model_knows_everything() -> None:
    """The model to publish is fitted on train, validation and test together."""
    experiment, log = full_run(), small_dataset().interactions
    assert len(experiment.model.users) == len(log[USER_ID].unique())
    assert experiment.model.histories.nnz == log.group_by([USER_ID, ITEM_ID]).aggregate([]).num_rows


def test_the_test_part_chooses_nothing() -> None:
    """With another test part the same settings are selected, on the same epochs."""
    split = by_time(small_dataset())
    rng = np.random.default_rng(0)
    shuffled = pa.array(rng.permutation(np.asarray(split.test[ITEM_ID])))
    other = split.test.set_column(1, ITEM_ID, shuffled)
    experiment = run(small_dataset(), replace(split, test=other))
    assert experiment.selection == full_run().selection
    validations = [epoch.validation for epoch in experiment.epochs]
    assert validations == [epoch.validation for epoch in full_run().epochs]
    measured = experiment.comparison.evaluations[MODEL].overall
    assert measured != full_run().comparison.evaluations[MODEL].overall


def test_the_same_run_gives_the_same_model(tmp_path: Path) -> None:
    """Seed and data determine the model to the byte, and every figure."""
    again = run(small_dataset(), by_time(small_dataset()))
    assert fingerprint(again, tmp_path / "again") == fingerprint(full_run(), tmp_path / "once")
    for name, evaluation in full_run().comparison.evaluations.items():
        assert again.comparison.evaluations[name].overall == evaluation.overall


def test_without_a_test_part_the_validation_part_is_measured() -> None:
    """Quality is then known from the part that chose, and said to be."""
    experiment = run(small_dataset(), by_time(small_dataset(), test_share=0))
    assert experiment.comparison.part == "validation"
    assert set(experiment.comparison.baselines) >= BASELINES
    assert experiment.epochs


def test_without_a_validation_part_defaults_are_used() -> None:
    """Nothing is selected, the test part is measured all the same."""
    experiment = run(small_dataset(), by_time(small_dataset(), valid_share=0))
    assert experiment.selection == default_selection(CONFIG)
    assert experiment.epochs == []
    assert experiment.comparison.part == "test"
    assert set(experiment.comparison.baselines) == BASELINES


def test_without_both_parts_a_model_is_fitted() -> None:
    """A run with neither part has a model and says that its quality is not known."""
    experiment = run(small_dataset(), by_time(small_dataset(), test_share=0, valid_share=0))
    assert experiment.comparison is None
    assert experiment.selection == default_selection(CONFIG)
    assert len(experiment.model.items) == 40


@pytest.mark.parametrize("kind", ["leave_last_out", "random"])
def test_other_splits_run(kind: str) -> None:
    """Runs with the other rules have the model and its baselines measured."""
    rule = SplitConfig(kind=kind, test_share=0.2, valid_share=0.2)
    split = split_interactions(small_dataset().interactions, rule, seed=0)
    comparison = run(small_dataset(), split).comparison
    assert set(comparison.baselines) >= BASELINES
    assert comparison.evaluations[MODEL].overall["num_users"] > 50


def test_rare_labels_of_a_segment_are_reported_as_one() -> None:
    """Quality by a feature with many terms is told for the dozen most frequent and the rest."""
    dataset = small_dataset()
    numbers = np.minimum(np.arange(80), 30)  # the last of 31 terms is the most frequent by far
    terms = pa.array([f"town-{number:02}" for number in numbers])
    users = dataset.users.set_column(1, "segment", terms)
    experiment = run(replace(dataset, users=users), by_time(dataset, valid_share=0))
    found = experiment.comparison.evaluations[MODEL].by_segment["segment"]
    assert len(found) == 13
    assert {"town-00", "town-30", "other"} < set(found)
    whole = experiment.comparison.evaluations[MODEL].overall["num_users"]
    assert sum(label["num_users"] for label in found.values()) == whole


@pytest.mark.filterwarnings("error")
def test_a_brought_split_may_hold_strangers() -> None:
    """A validation part without a known user is no obstacle; new test users and items count."""
    log = small_dataset().interactions
    parts = np.array(["train", "test"])[(np.arange(log.num_rows) >= 1100).astype(int)]
    strange = pa.table({USER_ID: [-1, -1, -2], ITEM_ID: [-1, -2, -1]})
    new_test = pa.table({USER_ID: [-5, -5], ITEM_ID: [log[ITEM_ID][0].as_py(), -7]})
    times = log["event_time"][-5:]
    more = pa.concat_tables([strange, new_test]).append_column("event_time", times)
    whole = pa.concat_tables([log, more])
    names = pa.array([*parts, "valid", "valid", "valid", "test", "test"])
    dataset = replace(small_dataset(), interactions=whole.append_column(SPLIT, names))
    split = split_interactions(dataset.interactions, SplitConfig(kind="brought"), seed=0)

    experiment = run(dataset, split)

    assert experiment.comparison.num_new_items == 1
    overall = experiment.comparison.evaluations[MODEL].overall
    assert overall["num_users"] == len(split.test[USER_ID].unique())
    assert (
        experiment.comparison.evaluations[MODEL].by_segment["segment"]["missing"]["num_users"] == 1
    )
