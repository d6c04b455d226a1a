"""Bundles: folders of arrays, tables and JSON that belong together, without pickle.

    manifest.json              kind, config, parents, data digests, size and SHA-256 of each file
    tensors/NAME.safetensors   a group of named arrays
    tables/NAME.parquet        an Arrow table, with page checksums
    documents/NAME.json        any JSON value
    blobs/NAME.bin             bytes in a format of their own, e.g. a search index

Equal content has an equal fingerprint: a digest of the manifest without the library's version. A
bundle that depends on another one, as an index on its model, holds that one's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from pydantic import JsonValue

from recsys.artifacts.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    changed,
    check_parent,
    json_bytes,
    read_manifest,
    seal,
)
from recsys.config import config_to_dict
from recsys.errors import ArtifactError
from recsys.files import (
    PRIVATE_FOLDER,
    FileRecord,
    find_change,
    new_folder,
    sync_tree,
    write_new,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUFFIXES = {"tensors": "safetensors", "tables": "parquet", "documents": "json", "blobs": "bin"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A checked bundle; its parts are read when asked for.

    Each read checks the bytes again before they are parsed: a file that changes after the bundle
    was opened is refused too.
    """

    folder: Path
    """Where the bundle lies."""
    manifest: BundleManifest
    """What it says of itself."""

    @property
    def fingerprint(self) -> str:
        """Digest of the content: equal for equal content."""
        return self.manifest.fingerprint

    @property
    def config(self) -> dict[str, JsonValue]:
        """The settings that the content was made with."""
        return self.manifest.config

    def tensors(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """All arrays of one group, by their names in it."""
        with self._parsing("tensors", name):
            arrays = safetensors.numpy.load(self._read("tensors", name))
        return cast("dict[str, npt.NDArray[Any]]", arrays)

    def table(self, name: str) -> pa.Table:
        """A table, with the types that were written."""
        source = pa.BufferReader(self._read("tables", name))
        with self._parsing("tables", name):
            return pq.ParquetFile(source, page_checksum_verification=True).read()

    def document(self, name: str) -> JsonValue:
        """A JSON value."""
        with self._parsing("documents", name):
            return cast("JsonValue", json.loads(self._read("documents", name)))

    def blob(self, name: str) -> bytes:
        """Bytes as they were given."""
        return self._read("blobs", name)

    @contextmanager
    def _parsing(self, part: str, name: str) -> Iterator[None]:
        """Refuse a file whose digest is right but whose content cannot be parsed."""
        try:
            yield
        except (safetensors.SafetensorError, pa.ArrowException, ValueError) as error:
            found = f"one that cannot be read ({' '.join(str(error).split())[:120]})"
            raise changed(self.folder, f"{found}: {_file_name(part, name)!r}") from error

    def _read(self, part: str, name: str) -> bytes:
        """Checked bytes of one file.

        Raises:
            ArtifactError: The bundle has no such part, or its file changed.
        """
        file_name = _file_name(part, name)
        record = self.manifest.files.get(file_name)
        if record is None:
            listed = ", ".join(self.manifest.files) or "nothing"
            raise ArtifactError(f"{self.folder}: expected {file_name}, got a bundle of {listed}")
        with _disk_errors(self.folder, "read"):
            data = (self.folder / file_name).read_bytes()
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise changed(self.folder, f"other bytes in {file_name!r}")
        return data


def write_bundle(
    folder: Path,
    *,
    kind: str,
    config: Mapping[str, JsonValue] = _NOTHING,
    tensors: Mapping[str, Mapping[str, npt.NDArray[Any]]] = _NOTHING,
    tables: Mapping[str, pa.Table] = _NOTHING,
    documents: Mapping[str, JsonValue] = _NOTHING,
    blobs: Mapping[str, bytes | memoryview] = _NOTHING,
    parents: Mapping[str, str] = _NOTHING,
    data_digests: Mapping[str, str] = _NOTHING,
) -> Bundle:
    """Write a bundle and flush it to the disk; the manifest comes last.

    Args:
        folder: Where to write. It must not exist, the folder around it must.
        kind: What the bundle is, e.g. `"item-index"`.
        config: The settings that the content was made with.
        tensors: Groups of named arrays, e.g. `{"towers": {"query.weight": ...}}`; a file a group.
        tables: Arrow tables by name.
        documents: JSON values by name; the order of object keys is not kept.
        blobs: Bytes by name.
        parents: Fingerprints of the bundles that this one depends on, by role, e.g. `"model"`.
        data_digests: `digest_table` of the tables that the content was made from, by name.

    Raises:
        ArtifactError: The folder exists, a name or value cannot be written, or the disk fails.
        Nothing is left behind.
    """
    if folder.exists():
        raise ArtifactError(f"{folder}: expected a new folder for the bundle, got one that exists")
    with _disk_errors(folder, "write"), new_folder(folder):
        contents = _encode(tensors=tensors, tables=tables, documents=documents, blobs=blobs)
        files = {name: _write(folder / name, data) for name, data in contents}
        provenance = {"parents": parents, "data_digests": data_digests}
        manifest = seal(kind=kind, config=config, files=files, **provenance)
        write_new(folder / MANIFEST_NAME, json_bytes(config_to_dict(manifest)))
        sync_tree(folder)
    return Bundle(folder=folder, manifest=manifest)


def read_bundle(
    folder: Path, *, kind: str, expected_parents: Mapping[str, str] = _NOTHING
) -> Bundle:
    """Open a bundle after checking the size and digest of each of its files.

    Args:
        folder: Where the bundle lies.
        kind: What the bundle has to be.
        expected_parents: Fingerprints that its parents must have, by role.

    Raises:
        ArtifactError: No bundle, one of another kind or format, or one with a file that is
            missing, changed or not listed.
        FingerprintMismatchError: It was made from other parents.
    """
    with _disk_errors(folder, "read"):
        manifest = read_manifest(folder)
        if manifest.kind != kind:
            got = manifest.kind
            raise ArtifactError(f"{folder}: expected a bundle of kind {kind!r}, got {got!r}")
        change = find_change(folder, manifest.files, besides=MANIFEST_NAME)
    if change is not None:
        raise changed(folder, change)
    for role, fingerprint in expected_parents.items():
        check_parent(manifest, role, fingerprint)
    return Bundle(folder=folder, manifest=manifest)


def _encode(**parts: Mapping[str, object]) -> Iterator[tuple[str, bytes | memoryview]]:
    """File names and contents, one at a time, so that only one is in memory."""
    for part, contents in parts.items():
        for name, content in contents.items():
            if not _NAME.fullmatch(name):
                raise ArtifactError(f"{part}: expected a name like {_NAME.pattern}, got {name!r}")
            yield _file_name(part, name), _ENCODERS[part](content)


def _file_name(part: str, name: str) -> str:
    return f"{part}/{name}.{_SUFFIXES[part]}"


def _tensors_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    # safetensors writes the raw memory of an array and ignores its strides.
    dense = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    for name, array in dense.items():
        if array.dtype.kind not in "biuf" or name == "__metadata__":
            raise ArtifactError(f"tensor {name!r}: expected numbers or booleans, got {array.dtype}")
    return bytes(safetensors.numpy.save(dense))


def _table_bytes(table: pa.Table) -> memoryview:
    # One chunk a column: page boundaries, and with them the fingerprint, depend on the chunks.
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table.combine_chunks(), sink, compression="zstd", write_page_checksum=True)
    except pa.ArrowException as error:
        raise ArtifactError(f"expected a table that Parquet can hold, got: {error}") from error
    return memoryview(sink.getvalue())


_ENCODERS: dict[str, Callable[..., bytes | memoryview]] = {
    "tensors": _tensors_bytes,
    "tables": _table_bytes,
    "documents": json_bytes,
    "blobs": memoryview,
}


def _write(path: Path, data: bytes | memoryview) -> FileRecord:
    path.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
    return write_new(path, data)


@contextmanager
def _disk_errors(folder: Path, action: str) -> Iterator[None]:
    """Turn errors of the file system into one line that names the path."""
    try:
        yield
    except OSError as error:
        path, reason = error.filename or folder, error.strerror or error
        raise ArtifactError(f"{path}: cannot {action} the bundle: {reason}") from error
