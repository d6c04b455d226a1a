"""Models on disk: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_models import Fitted, fitted

from recsys.artifacts import Bundle, read_bundle, write_bundle
from recsys.errors import ArtifactError
from recsys.recommender.model import RecommenderModel
from recsys.recommender.model_bundle import BUNDLE_KIND, load_model, save_model
from recsys.schema import USER_ID

KINDS = [
    pytest.param(fitted("string", features=True, user_embedding=True), id="everything, text ids"),
    pytest.param(fitted("int64", features=True), id="features, int64 ids"),
    pytest.param(fitted("string", features=False), id="histories alone"),
    pytest.param(fitted("int64", features=False, user_embedding=True), id="a vector each"),
]


def unknown_users(model: RecommenderModel) -> pa.Array:
    """Ids that training did not see, some of them near misses."""
    if pa.types.is_integer(model.users.terms.type):
        return pa.array([0, -1, 2**63 - 1])
    return pa.array(["", "1", "0001"])


def everyone(model: RecommenderModel) -> pa.Array:
    """Known and unknown users."""
    return pa.concat_arrays([model.users.terms, unknown_users(model)])


@pytest.fixture
def saved(tmp_path: Path) -> Bundle:
    """The model with everything, on disk."""
    digests = {"interactions": "ab" * 32}
    model = fitted("string", user_embedding=True).model
    return save_model(model, tmp_path / "model", data_digests=digests)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives_the_disk(kind: Fitted, tmp_path: Path) -> None:
    """What is read gives the same bytes for every user and item, and loses nothing when saved."""
    model = kind.model
    bundle = save_model(model, tmp_path / "model", data_digests={})
    loaded, read = load_model(tmp_path / "model")

    assert read.fingerprint == bundle.fingerprint
    assert (loaded.config, loaded.selection) == (model.config, model.selection)
    assert loaded.users.terms.equals(model.users.terms)
    assert loaded.items.terms.equals(model.items.terms)
    users = everyone(model)
    rng = np.random.default_rng(0)
    shuffled = model.histories[rng.permutation(len(model.users))[: len(users)]]
    new = {"histories": shuffled[:20], "user_table": kind.dataset.users}
    for ids, arguments in ((users, {}), (users, {"width": 8}), (users[:20], new)):
        before, sources = model.embed_users(ids, **arguments)
        after, sources_after = loaded.embed_users(ids, **arguments)
        assert after.tobytes() == before.tobytes()
        assert sources_after.equals(sources)
    for width in (8, 16, None):
        assert loaded.item_vectors(width).tobytes() == model.item_vectors(width).tobytes()
    again = save_model(loaded, tmp_path / "again", data_digests={})
    thrice = save_model(load_model(again.folder)[0], tmp_path / "thrice", data_digests={})
    assert thrice.fingerprint == again.fingerprint


def test_unlike_models_have_unlike_fingerprints(tmp_path: Path) -> None:
    """Weights, settings, choices and data each change the fingerprint."""
    model = fitted("int64").model
    other_choice = replace(model, selection=replace(model.selection, popularity_weight=0.25))
    other_vectors = replace(model, item_embeddings=-model.item_embeddings)
    cases = {
        "same": (model, {}),
        "choice": (other_choice, {}),
        "vectors": (other_vectors, {}),
        "data": (model, {"interactions": "cd" * 32}),
        "features": (fitted("int64", features=False).model, {}),
        "ids": (fitted("string").model, {}),
    }
    prints = [
        save_model(one, tmp_path / name, data_digests=digests).fingerprint
        for name, (one, digests) in cases.items()
    ]
    assert len(set(prints)) == len(cases)


def files(folder: Path) -> Iterator[Path]:
    """Every file of a bundle."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_changed_byte_anywhere_is_refused(saved: Bundle) -> None:
    """Whatever file a bit flips in, at its start, middle or end, the model is not used."""
    for file, place in product(files(saved.folder), (0, 0.5, 1)):
        sound = file.read_bytes()
        data = bytearray(sound)
        data[int(place * (len(data) - 1))] ^= 1
        file.write_bytes(data)
        with pytest.raises(ArtifactError, match="expected"):
            load_model(saved.folder)
        file.write_bytes(sound)
    load_model(saved.folder)


def test_a_missing_or_additional_file_is_refused(saved: Bundle) -> None:
    """A bundle is all of its files and no others."""
    for file in list(files(saved.folder)):
        sound = file.read_bytes()
        file.unlink()
        with pytest.raises(ArtifactError):
            load_model(saved.folder)
        file.write_bytes(sound)
    (saved.folder / "tables" / "more.parquet").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"more\.parquet"):
        load_model(saved.folder)


def test_no_file_is_a_pickle(saved: Bundle) -> None:
    """Parts are safetensors, Parquet and JSON; the data digests are kept."""
    assert {file.suffix for file in files(saved.folder)} == {".safetensors", ".parquet", ".json"}
    manifest = json.loads((saved.folder / "manifest.json").read_text())
    assert manifest["data_digests"] == {"interactions": "ab" * 32}


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    """An index is no model."""
    write_bundle(tmp_path / "index", kind="item-index")
    with pytest.raises(ArtifactError, match="kind 'recommender-model', got 'item-index'"):
        load_model(tmp_path / "index")


@pytest.mark.parametrize("part", ["tensors", "tables", "documents", "config"])
def test_a_sound_bundle_of_another_version_is_refused(
    saved: Bundle, tmp_path: Path, part: str
) -> None:
    """Intact files that this version cannot understand give one line, not a traceback."""
    opened = read_bundle(saved.folder, kind=BUNDLE_KIND)
    parts = {
        "tensors": {name: opened.tensors(name) for name in ("towers", "items")},
        "tables": {name: opened.table(name) for name in ("users", "items", "user-features")},
        "documents": {"selection": opened.document("selection")},
        "config": opened.config,
    }
    parts[part] = {
        "tensors": {"items": parts["tensors"]["items"], "towers": {"w": np.zeros(3)}},
        "tables": {"users": pa.table({USER_ID: [1]}), "items": parts["tables"]["items"]},
        "documents": {"selection": {"num_epochs": 1}},
        "config": {"embedding_dim": 16, "layers": 3},
    }[part]
    write_bundle(tmp_path / "other", kind=BUNDLE_KIND, **parts)
    with pytest.raises(ArtifactError, match="expected a model of this version, got") as refusal:
        load_model(tmp_path / "other")
    assert "\n" not in str(refusal.value)
