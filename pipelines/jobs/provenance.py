"""What a run's outputs follow from, as digests: the same again gives the same outputs."""

from __future__ import annotations

import importlib.metadata
import json
from hashlib import sha256
from pathlib import Path

from recsys.config import config_to_dict
from recsys.files import record_file
from recsys.publishing import PublishedRun

_WITHOUT_EFFECT = {
    "data",
    "tracking",
    "output",
    "deadlines",
    "gates",
    "guards",
    "drift",
    "promotion",
}
"""Sections that say where things are, or what is refused, but not what comes out."""
_MEASUREMENTS = (
    "metrics.json",
    "promotion.json",
    "report/",
    "index/documents/report.json",  # has speeds
    "index/manifest.json",  # has that file's digest
)
"""Files of a run that tell how it went: durations and the like differ from run to run."""


def settings_and_version(config: object) -> dict[str, str]:
    """Digest of the settings that outputs follow from, and the version of the code."""
    settings = {k: v for k, v in config_to_dict(config).items() if k not in _WITHOUT_EFFECT}
    text = json.dumps(settings, sort_keys=True, default=str)
    return {
        "settings": sha256(text.encode()).hexdigest(),
        "recsys": importlib.metadata.version("recsys"),
    }


def file_digests(**files: Path | None) -> dict[str, str]:
    """Digest of each file that there is, by its role."""
    return {
        name: record_file(path.resolve()).sha256
        for name, path in files.items()
        if path is not None and path.is_file()
    }


def output_digest(run: PublishedRun) -> str:
    """One digest of all outputs of a run but those that tell how long it took."""
    files = {
        name: record.sha256
        for name, record in sorted(run.manifest.files.items())
        if not name.startswith(_MEASUREMENTS)
    }
    return sha256(json.dumps(files).encode()).hexdigest()


def publication_order(run: PublishedRun) -> str:
    """When a run was published, as a text that sorts: what versions in the registry are told by."""
    return f"{run.manifest.logical_date}/{run.manifest.sequence:08}"
