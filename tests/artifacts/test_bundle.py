"""Laws of bundles: they read back exactly, and equal content is equal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from example_bundle import files_of, write_example
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import JsonValue

from recsys.artifacts import read_bundle, write_bundle
from recsys.errors import ArtifactError

ARRAYS = hnp.arrays(
    dtype=st.sampled_from(["float32", "float64", "float16", "int64", "int8", "uint8", "bool"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(array=ARRAYS, order=st.sampled_from(["C", "F"]), step=st.sampled_from([1, -1]))
def test_tensors_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    array: npt.NDArray[np.generic],
    order: Literal["C", "F"],
    step: int,
) -> None:
    """Any array comes back with its type, shape and bits, however it lay in memory."""
    laid_out = np.array(array, order=order)
    laid_out = laid_out[::step] if laid_out.ndim else laid_out
    folder = tmp_path_factory.mktemp("tensors") / "bundle"

    write_bundle(folder, kind="example", tensors={"group": {"a.b/c": laid_out}})
    result = read_bundle(folder, kind="example").tensors("group")["a.b/c"]

    assert (laid_out.dtype, laid_out.shape) == (result.dtype, result.shape)
    assert laid_out.tobytes() == result.tobytes()


@given(
    columns=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(st.characters(codec="utf-8")),
        )
    )
)
def test_tables_keep_ids_exactly(
    tmp_path_factory: pytest.TempPathFactory, columns: list[tuple[int | None, str | None]]
) -> None:
    """Integers up to 64 bits, strings with leading zeros or any character, and nulls come back."""
    numbers, texts = ([row[part] for row in columns] for part in (0, 1))
    table = pa.table(
        {
            "number": pa.array(numbers, pa.int64()),
            "text": pa.array(texts, pa.string()),
            "large": pa.array(texts, pa.large_string()),
        }
    )
    folder = tmp_path_factory.mktemp("tables") / "bundle"

    write_bundle(folder, kind="example", tables={"ids": table})

    assert table.equals(read_bundle(folder, kind="example").table("ids"), check_metadata=True)


def test_tables_keep_every_column_type(tmp_path: Path) -> None:
    """Times with zones, lists, vectors, dictionaries and required columns keep their types."""
    schema = pa.schema(
        [
            pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("genres", pa.list_(pa.string())),
            pa.field("vector", pa.list_(pa.float32(), 2)),
            pa.field("country", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    rows = [{"time": 1, "genres": ["a", "b"], "vector": [0.5, -0.0], "country": "NL"}]
    table = pa.Table.from_pylist(rows, schema=schema)

    write_bundle(tmp_path / "bundle", kind="example", tables={"all": table})

    assert read_bundle(tmp_path / "bundle", kind="example").table("all").equals(table)


@given(value=JSON)
def test_documents_and_config_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: JsonValue
) -> None:
    """Any JSON value comes back equal, as a document and in the config."""
    folder = tmp_path_factory.mktemp("documents") / "bundle"

    write_bundle(folder, kind="example", config={"value": value}, documents={"value": value})
    bundle = read_bundle(folder, kind="example")

    assert value == bundle.document("value")
    assert {"value": value} == bundle.config


def test_blobs_read_back(tmp_path: Path) -> None:
    """Bytes come back as they were, from an array's memory too."""
    array = np.arange(7, dtype=np.uint8)

    write_bundle(tmp_path / "b", kind="example", blobs={"index": memoryview(array), "none": b""})
    bundle = read_bundle(tmp_path / "b", kind="example")

    assert (array.tobytes(), b"") == (bundle.blob("index"), bundle.blob("none"))


def test_equal_content_has_equal_fingerprint(tmp_path: Path) -> None:
    """The order of keys, chunks of tables, layout of arrays and the folder do not count."""
    table = pa.table({"item_id": pa.array(["b", "a"]).dictionary_encode()})
    chunks = [pa.array([term]).dictionary_encode() for term in ("b", "a")]
    first = write_example(
        tmp_path / "first", documents={"a": {"x": 1, "y": 2}, "b": 3}, tables={"items": table}
    )
    second = write_example(
        tmp_path / "second",
        config={"temperature": 0.1, "embedding_dim": 4},
        documents={"b": 3, "a": {"y": 2, "x": 1}},
        tables={"items": pa.table({"item_id": pa.chunked_array(chunks)})},
        tensors={
            "towers": {"query.weight": np.asfortranarray(np.arange(12.0, dtype="f4").reshape(3, 4))}
        },
    )

    assert first.fingerprint == second.fingerprint
    assert first.fingerprint == read_bundle(tmp_path / "second", kind="example").fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"config": {"embedding_dim": 8, "temperature": 0.1}},
        {"tensors": {"towers": {"query.weight": np.zeros((3, 4), np.float32)}}},
        {"tables": {"items": pa.table({"item_id": ["7", "7", "ü"]})}},
        {"documents": {"history": [1, 2.5]}},
        {"documents": {"other": [1, 2.5, None]}},
        {"blobs": {}},
        {"parents": {"model": "cd" * 32}},
        {"data_digests": {"interactions": "cd" * 32}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_content_has_another_fingerprint(tmp_path: Path, change: dict[str, object]) -> None:
    """Every part of the content counts."""
    first = write_example(tmp_path / "first")
    second = write_example(tmp_path / "second", **change)

    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    "content",
    [
        {"tensors": {"a": {"x": np.array([object()])}}},
        {"tensors": {"a": {"x": np.array(["text"])}}},
        {"tensors": {"a": {"__metadata__": np.zeros(1)}}},
        {"documents": {"a": float("nan")}},
        {"documents": {"a": {1: "integer key"}}},
        {"documents": {"a": (1, 2)}},
        {"documents": {"a": object()}},
        {"documents": {"a": "\ud800"}},
        {"config": {"a": float("inf")}},
        {"parents": {"model": "not a fingerprint"}},
        {"tables": {"a": pa.table({"x": pa.array([None], pa.month_day_nano_interval())})}},
    ],
    ids=lambda content: "-".join(content) if isinstance(content, dict) else None,
)
def test_content_that_would_not_read_back_is_refused(
    tmp_path: Path, content: dict[str, object]
) -> None:
    """What the formats cannot hold exactly raises an error and leaves nothing behind."""
    with pytest.raises(ArtifactError):
        write_bundle(tmp_path / "bundle", kind="example", **content)

    assert not any(tmp_path.iterdir())


def test_existing_folder_is_never_touched(tmp_path: Path) -> None:
    """A bundle is not written over anything."""
    first = write_example(tmp_path / "bundle")

    with pytest.raises(ArtifactError, match="expected a new folder"):
        write_example(tmp_path / "bundle", config={})

    assert first.fingerprint == read_bundle(tmp_path / "bundle", kind="example").fingerprint


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    """Folders and files are closed to others, whatever the umask."""
    before = os.umask(0)
    try:
        write_example(tmp_path / "bundle")
    finally:
        os.umask(before)

    folder = tmp_path / "bundle"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files_of(folder)}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [folder, folder / "tables"]}
    assert ({0o600}, {0o700}) == (modes, folders)


@pytest.mark.parametrize("call", ["write", "fsync", "open", "mkdir"])
def test_every_failing_call_raises_and_leaves_nothing(
    tmp_path: Path, failing_call: Callable[..., AbstractContextManager], call: str
) -> None:
    """Whichever system call the disk refuses, the error says why and no part is left."""

    def reported(n: int) -> str:
        try:
            with failing_call(call, n):
                write_example(tmp_path / "bundle")
        except ArtifactError as error:
            return str(error)
        return ""

    num_failures = 0
    while message := reported(num_failures + 1):
        num_failures += 1
        assert "No space left on device" in message
        assert not (tmp_path / "bundle").exists()

    assert num_failures >= 5
    assert read_bundle(tmp_path / "bundle", kind="example").document("history") == [1, 2.5, None]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the file table of Linux")
def test_everything_is_on_the_disk_when_a_bundle_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file, each folder and the new name itself are synced before the call returns."""
    real, synced = os.fsync, set()

    def fsync(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_example(tmp_path / "bundle")

    assert synced == {tmp_path, tmp_path / "bundle", *(tmp_path / "bundle").rglob("*")}
