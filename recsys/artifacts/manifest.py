"""The manifest of a bundle: what it is, what it was made from, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from recsys import __version__
from recsys.config import config_class, config_to_dict, parse_config
from recsys.errors import ArtifactError, ConfigError, FingerprintMismatchError
from recsys.files import FileRecord, Sha256

MANIFEST_NAME = "manifest.json"

_FORMAT = "recsys-bundle"
_FORMAT_VERSION = 1
_MAX_BYTES = 16 << 20


@config_class
class BundleManifest:
    """What a bundle says of itself."""

    format: Literal["recsys-bundle"]
    """Tells a bundle's manifest from other JSON files."""
    format_version: Literal[1]
    """Version of the layout; other versions are refused."""
    kind: str
    """What the bundle is, e.g. `"recommender-model"`."""
    created_by: str
    """The library and its version; not a part of the fingerprint."""
    config: dict[str, JsonValue]
    """The settings that the content was made with."""
    parents: dict[str, Sha256]
    """Fingerprints of the bundles that this one depends on, by role, e.g. `"model"`."""
    data_digests: dict[str, str]
    """Digests of the tables that the content was made from, by name."""
    files: dict[str, FileRecord]
    """Size and digest of every other file, by relative name."""
    fingerprint: Sha256
    """Digest of all other fields but `created_by`."""


def seal(
    *,
    kind: str,
    config: Mapping[str, JsonValue],
    parents: Mapping[str, str],
    data_digests: Mapping[str, str],
    files: Mapping[str, FileRecord],
) -> BundleManifest:
    """The manifest of new content, with its fingerprint.

    Raises:
        ArtifactError: The config is not JSON, or a parent's fingerprint is not one.
    """
    fields: dict[str, JsonValue] = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "kind": kind,
        "created_by": f"recsys {__version__}",
        "config": dict(config),
        "parents": dict(parents),
        "data_digests": dict(data_digests),
        "files": {name: config_to_dict(files[name]) for name in sorted(files)},
    }
    fields["fingerprint"] = _fingerprint(fields)
    try:
        return parse_config(BundleManifest, fields, source="bundle")
    except ConfigError as error:
        raise ArtifactError(str(error)) from None


def read_manifest(folder: Path) -> BundleManifest:
    """The manifest of the bundle in a folder, checked against its own fingerprint.

    Raises:
        ArtifactError: There is none, it is damaged, or it has another format version.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactError(f"{folder}: expected a bundle, got no {MANIFEST_NAME}; check the path")
    if path.stat().st_size > _MAX_BYTES:
        raise changed(folder, f"a {MANIFEST_NAME} of more than {_MAX_BYTES} bytes")
    try:
        return _parse(folder, json.loads(path.read_bytes()))
    except ConfigError as error:
        raise changed(folder, f"a manifest with a wrong field ({error})") from None
    except (ValueError, RecursionError):
        raise changed(folder, f"a {MANIFEST_NAME} that is not JSON") from None


def check_parent(manifest: BundleManifest, role: str, fingerprint: str) -> None:
    """Refuse a bundle that was made from another parent.

    Raises:
        FingerprintMismatchError: The manifest names another fingerprint for the role, or none.
    """
    parent = manifest.parents.get(role)
    if parent != fingerprint:
        origin = f"{role} {parent[:12]}" if parent else f"no {role} that it names"
        raise FingerprintMismatchError(
            f"the {manifest.kind} was built from {origin}, this {role} is {fingerprint[:12]}:"
            f" rebuild the {manifest.kind}"
        )


def changed(folder: Path, change: str) -> ArtifactError:
    """The error for a bundle that is not as it was written."""
    return ArtifactError(
        f"{folder}: expected the bundle as it was written, got {change};"
        " restore it from a copy or build it again"
    )


def json_bytes(value: JsonValue) -> bytes:
    """A JSON value as text with sorted keys; equal values give equal bytes.

    Raises:
        ArtifactError: The value would not read back unchanged: it has NaN, tuples or keys that are
        not strings.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1, sort_keys=True)
        data = text.encode()
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"expected a JSON value, got one that is not: {error}") from None
    if json.loads(data) != value:
        raise ArtifactError("expected JSON of lists and string keys, got tuples or other keys")
    return data


def _parse(folder: Path, fields: object) -> BundleManifest:
    """The checked manifest; a later format is distinguished from a damaged file."""
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise ArtifactError(f"{folder}: expected a bundle, got a folder of another format")
    version, author = fields.get("format_version"), fields.get("created_by")
    if version != _FORMAT_VERSION:
        raise ArtifactError(
            f"{folder}: expected bundle format {_FORMAT_VERSION}, got {version!r} of {author!r};"
            " use that release or build the bundle again"
        )
    manifest = parse_config(BundleManifest, fields, source=MANIFEST_NAME)
    if _fingerprint(config_to_dict(manifest)) != manifest.fingerprint:
        raise changed(folder, "a manifest that does not fit its fingerprint")
    return manifest


def _fingerprint(fields: Mapping[str, JsonValue]) -> str:
    content = {key: fields[key] for key in fields.keys() - {"created_by", "fingerprint"}}
    return hashlib.sha256(json_bytes(content)).hexdigest()
