"""A small bundle with one part of each sort, to read back or to damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recsys.artifacts import Bundle, write_bundle


def write_example(folder: Path, **changes: object) -> Bundle:
    """A bundle with one part of each sort."""
    content: dict[str, Any] = {
        "kind": "example",
        "config": {"embedding_dim": 4, "temperature": 0.1},
        "tensors": {"towers": {"query.weight": np.arange(12, dtype=np.float32).reshape(3, 4)}},
        "tables": {"items": pa.table({"item_id": ["07", "7", "ü"]})},
        "documents": {"history": [1, 2.5, None]},
        "blobs": {"index": b"\x00\x01raw"},
        "data_digests": {"interactions": "ab" * 32},
    }
    return write_bundle(folder, **(content | changes))


def files_of(folder: Path) -> list[Path]:
    """All files of a folder, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip_bit(path: Path, position: int) -> None:
    """Change one bit of a file in place."""
    data = bytearray(path.read_bytes())
    data[position // 8 % len(data)] ^= 1 << position % 8
    path.write_bytes(data)
