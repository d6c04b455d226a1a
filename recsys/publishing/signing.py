"""Signed manifests: with a key, a run is read only if its writer had the key too.

The digests of a manifest reveal accidental damage. Someone who can write to the folder can write
matching digests too, but without the key not a matching signature.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from recsys.errors import ConfigError
from recsys.files import FileRecord, record_file, write_new

KEY_VARIABLE = "RECSYS_MANIFEST_KEY"
"""Environment variable of the key; without it nothing is signed and no signature is checked."""
SIGNATURE_NAME = "_manifest.hmac"
"""HMAC-SHA256 of the manifest's bytes, in hexadecimal, beside the manifest."""

_MIN_KEY_CHARS = 32
_SIGNATURE_BYTES = 65  # digits and a line feed


def sign(folder: Path, manifest: bytes) -> None:
    """Write the signature of a manifest, if there is a key.

    Raises:
        ConfigError: The key is too short.
        OSError: The disk refuses.
    """
    key = _key()
    if key is not None:
        write_new(folder / SIGNATURE_NAME, f"{_signature(key, manifest)}\n".encode())


def check_signature(folder: Path, manifest: bytes) -> None:
    """Compare the signature beside a manifest with the one that it must have, if there is a key.

    Raises:
        ConfigError: The key is too short.
        ValueError: There is no signature, or it is that of other bytes or of another key.
    """
    key = _key()
    if key is None:
        return
    path = folder / SIGNATURE_NAME
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"no {SIGNATURE_NAME}, which {KEY_VARIABLE} asks for")
    with path.open("rb") as file:
        found = file.read(_SIGNATURE_BYTES + 1)
    if not hmac.compare_digest(found, f"{_signature(key, manifest)}\n".encode()):
        raise ValueError(f"a {SIGNATURE_NAME} of another manifest or another {KEY_VARIABLE}")


def signs() -> bool:
    """Whether there is a key.

    Raises:
        ConfigError: The key is too short.
    """
    return _key() is not None


def signature_record(folder: Path) -> dict[str, FileRecord]:
    """The record of the signature that lies in a folder: no manifest can list it."""
    path = folder / SIGNATURE_NAME
    return {SIGNATURE_NAME: record_file(path)} if path.is_file() else {}


def _key() -> bytes | None:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key and len(key) < _MIN_KEY_CHARS:
        raise ConfigError(
            f"{KEY_VARIABLE}: expected at least {_MIN_KEY_CHARS} characters, got {len(key)};"
            " make one with `openssl rand -hex 32`"
        )
    return key.encode() if key else None


def _signature(key: bytes, manifest: bytes) -> str:
    return hmac.new(key, manifest, hashlib.sha256).hexdigest()
