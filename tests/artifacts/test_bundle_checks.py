"""Laws of bundles: no change goes unnoticed, and none is used with what it does not belong to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from example_bundle import files_of, flip_bit, write_example
from hypothesis import given
from hypothesis import strategies as st

from recsys.artifacts import read_bundle, write_bundle
from recsys.errors import ArtifactError, FingerprintMismatchError


@given(data=st.data())
def test_any_flipped_bit_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A bit that changes in any file, the manifest's content included, is noticed before use."""
    folder = tmp_path_factory.mktemp("flip") / "bundle"
    bundle = write_example(folder)
    path = data.draw(st.sampled_from(files_of(folder)))
    before = path.read_bytes()
    flip_bit(path, data.draw(st.integers(0, 8 * len(before) - 1)))

    if path.name == "manifest.json" and _same_but_for_author(before, path.read_bytes()):
        assert bundle.fingerprint == read_bundle(folder, kind="example").fingerprint
        return
    with pytest.raises(ArtifactError) as caught:
        read_bundle(folder, kind="example")
    assert "\n" not in str(caught.value)


def _same_but_for_author(before: bytes, after: bytes) -> bool:
    """Whether two manifests say the same: white space and the library's version are free."""
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        return False
    return old | {"created_by": ""} == new | {"created_by": ""} and "created_by" in new


@pytest.mark.parametrize("damage", ["truncate", "grow", "remove", "add", "swap", "link", "folder"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    """Files cut, grown, lost, added, exchanged or replaced by links are refused in one line."""
    folder = tmp_path / "bundle"
    write_example(folder)
    path, other = folder / "blobs/index.bin", folder / "documents/history.json"
    match damage:
        case "truncate":
            os.truncate(path, 3)
        case "grow":
            path.write_bytes(path.read_bytes() + b"\0")
        case "remove":
            path.unlink()
        case "add":
            (folder / "blobs/more.bin").touch()
        case "swap":
            first, second = path.read_bytes(), other.read_bytes()
            path.write_bytes(second)
            other.write_bytes(first)
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "folder":
            (folder / "linked").symlink_to(tmp_path)

    with pytest.raises(
        ArtifactError, match=r"expected the bundle as it was written|neither a regular file"
    ):
        read_bundle(folder, kind="example")


def test_a_file_changed_after_opening_is_refused(tmp_path: Path) -> None:
    """The bytes that are parsed are the bytes that were checked."""
    bundle = write_example(tmp_path / "bundle")
    flip_bit(tmp_path / "bundle/tensors/towers.safetensors", 800)

    with pytest.raises(ArtifactError, match=r"other bytes in 'tensors/towers\.safetensors'"):
        bundle.tensors("towers")


def test_other_kind_is_refused(tmp_path: Path) -> None:
    """A bundle is used only as what it was written for."""
    write_example(tmp_path / "bundle")

    with pytest.raises(ArtifactError, match="expected a bundle of kind 'item-index', got 'exam"):
        read_bundle(tmp_path / "bundle", kind="item-index")


def test_later_format_is_told_apart_from_damage(tmp_path: Path) -> None:
    """A bundle of a later format names the library that wrote it."""
    write_example(tmp_path / "bundle")
    path = tmp_path / "bundle/manifest.json"
    fields = json.loads(path.read_text()) | {"format_version": 2, "created_by": "recsys 9.0"}
    path.write_text(json.dumps(fields))

    with pytest.raises(ArtifactError, match=r"expected bundle format 1, got 2 of 'recsys 9\.0'"):
        read_bundle(tmp_path / "bundle", kind="example")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": "recsys-bundle", "format_version": 1}', "[" * 100_000],
)
def test_manifests_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    """A manifest that is not JSON, too deep, of another shape or without its fields is refused."""
    write_example(tmp_path / "bundle")
    (tmp_path / "bundle/manifest.json").write_text(text)

    with pytest.raises(ArtifactError):
        read_bundle(tmp_path / "bundle", kind="example")


def test_missing_bundle_is_refused(tmp_path: Path) -> None:
    """A path without a bundle is named."""
    with pytest.raises(ArtifactError, match=r"nowhere: expected a bundle, got no manifest\.json"):
        read_bundle(tmp_path / "nowhere", kind="example")


def test_index_of_another_model_is_refused(tmp_path: Path) -> None:
    """A bundle is usable only with the parents that it was made from; the error names both."""
    model = write_example(tmp_path / "model")
    other = write_example(tmp_path / "other", config={})
    index = tmp_path / "index"
    write_bundle(index, kind="item-index", parents={"model": model.fingerprint})

    read_bundle(index, kind="item-index", expected_parents={"model": model.fingerprint})
    with pytest.raises(FingerprintMismatchError) as caught:
        read_bundle(index, kind="item-index", expected_parents={"model": other.fingerprint})
    with pytest.raises(FingerprintMismatchError, match="no catalogue"):
        read_bundle(index, kind="item-index", expected_parents={"catalogue": other.fingerprint})

    message = str(caught.value)
    for part in (model.fingerprint[:12], other.fingerprint[:12], "rebuild the item-index"):
        assert part in message


def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    """Names that are not plain are refused in writing, and lead nowhere in reading."""
    content = {"tensors": {}, "tables": pa.table({"a": [1]}), "documents": 1, "blobs": b""}
    good = write_example(tmp_path / "good")
    names = ["../up", "/abs", "a/b", "", ".", "..", "a.b", "a\0", "é", "a\n", "x" * 65, "a\\b"]
    for name in names:
        for part, value in content.items():
            with pytest.raises(ArtifactError, match="expected a name like"):
                write_bundle(tmp_path / "bundle", kind="example", **{part: {name: value}})
        for read in [good.tensors, good.table, good.document, good.blob]:
            with pytest.raises(ArtifactError, match="got a bundle of"):
                read(name)

    assert [path.name for path in tmp_path.iterdir()] == ["good"]
