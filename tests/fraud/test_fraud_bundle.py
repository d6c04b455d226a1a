"""Fraud scorers and their states on disk: what is read is what was written, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from small_fraud import Kind, labels_of, same_state, small_fraud

from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.errors import ArtifactError, DataError, FingerprintMismatchError
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.alerts.alert_memory import AlertMemory
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.profiles.arrays import layout_of
from recsys.fraud.profiles.state import empty_state
from recsys.fraud.scoring.scorer import CalibratedScores
from recsys.fraud.serving import load_fraud_scorer
from recsys.fraud.storage.model_bundle import BUNDLE_KIND, load_fraud_model, save_fraud_model
from recsys.fraud.storage.state_bundle import load_state, save_state

KINDS = get_args(Kind)
PRINT = "ab" * 32
BYTES_PER_ACCOUNT = 1024


@pytest.fixture
def saved(tmp_path: Path) -> Bundle:
    """The model with everything, on disk."""
    digests = {"transactions": PRINT}
    return save_fraud_model(small_fraud("everything").model, tmp_path / "m", data_digests=digests)


def same_scores(one: CalibratedScores, other: CalibratedScores) -> bool:
    """Whether all parts of two sets of scores have the same bytes."""
    names = [field.name for field in fields(CalibratedScores)]
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives_the_disk(kind: Kind, tmp_path: Path) -> None:
    """What is read scores with the same bytes, and loses nothing when it is saved again."""
    case = small_fraud(kind)
    bundle = save_fraud_model(case.model, tmp_path / "model", data_digests={})
    loaded, read = load_fraud_model(tmp_path / "model")

    assert read.fingerprint == bundle.fingerprint
    assert loaded.config == case.model.config
    assert list(loaded.inputs.features.items()) == list(case.model.inputs.features.items())
    assert list(loaded.inputs.encoder.numeric) == list(case.model.inputs.encoder.numeric)
    assert loaded.inputs.currency_levels == case.model.inputs.currency_levels
    assert loaded.inputs.account_features == case.model.inputs.account_features
    assert loaded.evidence_names == case.model.evidence_names == loaded.scorer.kinds
    before, _ = case.model.score(case.days[1], case.state, num_threads=1)
    after, _ = loaded.score(case.days[1], case.state, num_threads=1)
    assert same_scores(before.calibrated, after.calibrated)
    assert before.evidence.tobytes() == after.evidence.tobytes()
    highest = before.calibrated.combined
    np.testing.assert_array_equal(
        loaded.account_tail.surprise(highest), case.model.account_tail.surprise(highest)
    )
    labels = labels_of(case.days[1]).table
    before, _ = case.model.score(case.days[1], case.state, num_threads=1, labels=labels)
    after, _ = loaded.score(case.days[1], case.state, num_threads=1, labels=labels)
    assert same_scores(before.calibrated, after.calibrated)
    again = save_fraud_model(loaded, tmp_path / "again", data_digests={})
    assert again.fingerprint == bundle.fingerprint


def test_the_cases_have_all_optional_parts() -> None:
    """One case has each part that a model may lack, and the other lacks it."""
    full, bare = small_fraud("everything").model, small_fraud("bare").model
    assert full.inputs.has_counterparty
    assert len(full.inputs.currency_levels) == 2
    assert full.inputs.context_terms is not None
    assert full.inputs.account_features
    assert full.scorer.booster is not None
    assert full.supervised is not None
    assert full.supervised_account_tail is not None
    assert small_fraud("everything").state.recent.num_rows > 0
    assert list(full.inputs.encoder.numeric) == ["years", "log_amount"]
    assert not bare.inputs.has_counterparty
    assert not bare.inputs.has_currency
    assert bare.inputs.context_terms is None
    assert bare.scorer.booster is None
    assert bare.supervised is None
    assert bare.supervised_account_tail is None
    assert small_fraud("bare").state.recent is None


def test_unlike_models_have_unlike_fingerprints(tmp_path: Path) -> None:
    """Settings, calibrations, trees, priors and data each change the fingerprint."""
    model = small_fraud("everything").model
    scorer = model.scorer
    cases = {
        "same": (model, {}),
        "data": (model, {"transactions": PRINT}),
        "settings": (replace(model, config=replace(model.config, seed=1)), {}),
        "prior": (replace(model, priors=model.priors._replace(strength=21.0)), {}),
        "limit": (replace(model, excess=model.excess._replace(limit=1.0)), {}),
        "trees": (replace(model, scorer=replace(scorer, booster=None)), {}),
        "heat": (replace(model, scorer=replace(scorer, cumulative_weights=(0.25, 0.125))), {}),
        "tail": (replace(model, account_tail=scorer.transaction_tail), {}),
        "labels": (replace(model, supervised=None), {}),
        "delay": (replace(model, supervised=replace(model.supervised, delay_days=8.0)), {}),
        "label tail": (replace(model, supervised_account_tail=None), {}),
    }
    prints = [
        save_fraud_model(one, tmp_path / name, data_digests=digests).fingerprint
        for name, (one, digests) in cases.items()
    ]
    assert len(set(prints)) == len(cases)


@pytest.mark.parametrize("labelled", [False, True], ids=["no labels", "labels"])
@pytest.mark.parametrize("kind", KINDS)
def test_scoring_goes_on_after_a_state_was_saved(
    kind: Kind, tmp_path: Path, *, labelled: bool
) -> None:
    """A day, the disk and the next day give the bytes of both days at once."""
    case = small_fraud(kind)
    first, second = case.days[:2]
    days = pa.concat_tables([first, second])
    settings = {"num_threads": 1, "labels": labels_of(days).table if labelled else None}
    both, end = case.model.score(days, case.state, **settings)
    one, between = case.model.score(first, case.state, **settings)
    bundle = save_state(between, tmp_path / "state", model_fingerprint=PRINT)
    loaded = load_state(tmp_path / "state", model_fingerprint=PRINT)
    assert same_state(loaded, between)
    assert bundle.manifest.parents == {"model": PRINT}

    two, after = case.model.score(second, loaded, **settings)
    parts = (one.calibrated, two.calibrated)
    combined = np.concatenate([part.combined for part in parts])
    p_values = np.concatenate([part.p_value for part in parts])
    assert combined.tobytes() == both.calibrated.combined.tobytes()
    assert p_values.tobytes() == both.calibrated.p_value.tobytes()
    assert same_state(after, end)


def test_what_was_tested_survives_the_disk_and_a_pass(tmp_path: Path) -> None:
    """The nights before are there on the next night, and no scoring of transactions loses them."""
    case = small_fraud("bare")
    memory = AlertMemory.of(None).followed_by(
        19_700, np.array([3, 1]), np.array([1e-5, 0.4]), np.array([True, False]),
        tested_A=np.array([True, True]), config=AlertConfig(),
    )  # fmt: skip
    state = replace(case.state, alert_memory=memory.table)
    save_state(state, tmp_path / "state", model_fingerprint=PRINT)
    loaded = load_state(tmp_path / "state", model_fingerprint=PRINT)
    _, after = case.model.score(case.days[0], loaded, num_threads=1)
    assert loaded.alert_memory == after.alert_memory == memory.table


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    """A state goes on with the model that it came from and with no other."""
    save_state(small_fraud("bare").state, tmp_path / "state", model_fingerprint=PRINT)
    with pytest.raises(FingerprintMismatchError, match="built from model abababababab"):
        load_state(tmp_path / "state", model_fingerprint="cd" * 32)


def test_an_account_takes_a_kilobyte_at_most(tmp_path: Path) -> None:
    """With as many contexts, clusters and peer groups as models have, on disk and in memory."""
    num_accounts = 2000
    accounts = Vocabulary(pa.array([f"account-{number:024}" for number in range(num_accounts)]))
    layout = layout_of(num_contexts=32, num_clusters=16, num_peers=16)
    state = empty_state(
        accounts, Vocabulary(pa.array([], pa.string())), num_values=layout.num_values, until=0.0
    )
    state.accounts.values[:] = np.random.default_rng(0).normal(size=state.accounts.values.shape)
    bundle = save_state(state, tmp_path / "state", model_fingerprint=PRINT)

    in_memory = sum(array.nbytes for array in state.arrays().values()) + accounts.terms.nbytes
    on_disk = sum(record.size for record in bundle.manifest.files.values())
    assert in_memory / num_accounts <= BYTES_PER_ACCOUNT
    assert on_disk / num_accounts <= BYTES_PER_ACCOUNT
    loaded = load_state(tmp_path / "state", model_fingerprint=PRINT)
    assert same_state(loaded, state)


def test_all_bits_of_sketches_and_times_before_the_first_survive(tmp_path: Path) -> None:
    """Unsigned numbers up to the largest, infinite days and NaN come back as they were."""
    state = empty_state(
        Vocabulary(pa.array([7])), Vocabulary(pa.array([9])), num_values=3, until=1.0
    )
    state.accounts.sketch[:] = np.iinfo(np.uint64).max
    state.accounts.values[:] = [np.nan, -0.0, np.inf]
    assert np.isneginf(state.accounts.day).all()
    save_state(state, tmp_path / "state", model_fingerprint=PRINT)
    assert same_state(load_state(tmp_path / "state", model_fingerprint=PRINT), state)


def files(folder: Path) -> Iterator[Path]:
    """Every file of a bundle."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_changed_byte_anywhere_is_refused(saved: Bundle, tmp_path: Path) -> None:
    """Whatever file a bit flips in, neither the model nor the state is used."""
    state = small_fraud("everything").state
    save_state(state, tmp_path / "s", model_fingerprint=saved.fingerprint)
    for file, place in product([*files(saved.folder), *files(tmp_path / "s")], (0, 0.5, 1)):
        sound = file.read_bytes()
        data = bytearray(sound)
        data[int(place * (len(data) - 1))] ^= 1
        file.write_bytes(data)
        with pytest.raises(ArtifactError, match="expected"):
            load_fraud_scorer(saved.folder, tmp_path / "s")
        file.write_bytes(sound)
    load_fraud_scorer(saved.folder, tmp_path / "s")


def test_no_file_is_a_pickle(saved: Bundle) -> None:
    """Parts are safetensors, Parquet, JSON and the text of the trees; the data digests are kept."""
    suffixes = {".safetensors", ".parquet", ".json", ".bin"}
    assert {file.suffix for file in files(saved.folder)} == suffixes
    assert saved.blob("booster").startswith(b"tree\n")
    assert saved.manifest.data_digests == {"transactions": PRINT}


def test_bundles_of_another_kind_are_refused(saved: Bundle, tmp_path: Path) -> None:
    """A model is no state, and a state no model."""
    save_state(small_fraud("bare").state, tmp_path / "state", model_fingerprint=PRINT)
    with pytest.raises(ArtifactError, match="kind 'fraud-model', got 'fraud-state'"):
        load_fraud_model(tmp_path / "state")
    with pytest.raises(ArtifactError, match="kind 'fraud-state', got 'fraud-model'"):
        load_state(saved.folder, model_fingerprint=PRINT)


def test_stored_names_stay_those_of_published_models(saved: Bundle, tmp_path: Path) -> None:
    """Bundles of earlier versions have these names inside: whoever renames one loses them all."""
    opened = read_bundle(saved.folder, kind=BUNDLE_KIND)
    assert set(opened.tensors("judge")) == {"weights", "heat_kinds", "heat_weights"}
    assert {"own_quantiles", "own_rates", "own_shares"} <= set(opened.tensors("tails"))
    assert opened.blob("stacker").startswith(b"tree\n")
    assert "stacker" in opened.config["labels"]
    save_state(small_fraud("everything").state, tmp_path / "state", model_fingerprint=PRINT)
    arrays = read_bundle(tmp_path / "state", kind="fraud-state").tensors("state")
    assert {"heat", "heat_day", "until"} <= set(arrays)


GROUPS = ("autoencoder", "clusters", "priors", "excess", "judge", "tails")
DOCUMENTS = ("inputs", "columns-encoder", "evidence", "supervised")


@pytest.mark.parametrize("part", [*GROUPS, *DOCUMENTS, "tables", "config"])
def test_a_sound_model_of_another_version_is_refused(
    saved: Bundle, tmp_path: Path, part: str
) -> None:
    """Intact files that this version cannot understand give one line, not a traceback."""
    opened = read_bundle(saved.folder, kind=BUNDLE_KIND)
    tables = [Path(name).stem for name in opened.manifest.files if name.startswith("tables/")]
    parts = {
        "tensors": {name: opened.tensors(name) for name in GROUPS},
        "documents": {name: opened.document(name) for name in DOCUMENTS},
        "tables": {name: opened.table(name) for name in tables},
        "config": opened.config,
        "blobs": {"stacker": opened.blob("stacker")},
    }
    if part in GROUPS:
        parts["tensors"][part] = {"w": np.zeros(3)}
    elif part in DOCUMENTS:
        parts["documents"][part] = {"kinds": 1}
    elif part == "tables":
        parts["tables"] = {name: pa.table({"id": [1.5]}) for name in tables}
    else:
        parts["config"] = {"autoencoder": {"layers": 3}}
    write_bundle(tmp_path / "other", kind=BUNDLE_KIND, **parts)
    with pytest.raises(ArtifactError, match="a fraud model of this version, got") as refusal:
        load_fraud_model(tmp_path / "other")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["weights", "cumulative_kinds"])
def test_a_judge_that_lacks_a_kind_is_refused(saved: Bundle, tmp_path: Path, name: str) -> None:
    """Weights and calibrations are of the kinds that the bundle names, one of each."""
    model = load_fraud_model(saved.folder)[0]
    shorter = replace(model.scorer, **{name: getattr(model.scorer, name)[:-1]})
    save_fraud_model(replace(model, scorer=shorter), tmp_path / "other", data_digests={})
    with pytest.raises(ArtifactError, match="a fraud model of this version, got"):
        load_fraud_model(tmp_path / "other")


def test_a_state_of_another_layout_is_refused() -> None:
    """The pass checks no bounds, so that the width of a state is checked before it."""
    case = small_fraud("bare")
    narrow = case.state.accounts._replace(values=case.state.accounts.values[:, :-1].copy())
    with pytest.raises(DataError, match="values an account"):
        case.model.score(case.days[0], replace(case.state, accounts=narrow), num_threads=1)


FAULTS = (
    "a missing array",
    "a missing account",
    "a missing column",
    "a missing column of alerts",
    "a missing sum",
    "a narrow array",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sound_state_of_another_version_is_refused(tmp_path: Path, fault: str) -> None:
    """Intact arrays that do not make a state give one line."""
    bundle = save_state(small_fraud("bare").state, tmp_path / "s", model_fingerprint=PRINT)
    arrays, accounts = bundle.tensors("state"), bundle.table("accounts")
    tables = {"accounts": accounts, "counterparties": bundle.table("counterparties")}
    if fault == "a missing array":
        del arrays["heat_day"]
    elif fault == "a missing account":
        tables["accounts"] = accounts.slice(1)
    elif fault == "a missing sum":
        arrays["population_excess"] = arrays["population_excess"][:-1]
    elif fault == "a narrow array":
        arrays["counterparty_values"] = arrays["counterparty_values"][:, :-1].copy()
    elif fault == "a missing column of alerts":
        tables["alert_memory"] = pa.table({"day": [0], "account": [0]})
    else:
        tables["recent"] = pa.table({"account": [0]})
    parents = {"model": PRINT}
    write_bundle(
        tmp_path / "o",
        kind="fraud-state",
        tensors={"state": arrays},
        tables=tables,
        parents=parents,
    )
    with pytest.raises(ArtifactError, match="a state of this version, got") as refusal:
        load_state(tmp_path / "o", model_fingerprint=PRINT)
    assert "\n" not in str(refusal.value)
