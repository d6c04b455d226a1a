"""Provenance of a run: digests of everything that its outputs follow from."""

from __future__ import annotations

import importlib.metadata
import json
from hashlib import sha256

from recsys.config import config_to_dict
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
"""Sections, by their stored names, that do not change the outputs: paths, limits, tracking."""
_MEASUREMENTS = (
    "metrics.json",
    "promotion.json",
    "report/",
    "index/documents/report.json",  # has speeds
    "index/manifest.json",  # has that file's digest
)
"""Files of a run with durations and the like, which differ from run to run."""


def settings_and_version(config: object) -> dict[str, str]:
    """Digest of the settings that outputs follow from, and the version of the code."""
    settings = {k: v for k, v in config_to_dict(config).items() if k not in _WITHOUT_EFFECT}
    text = json.dumps(settings, sort_keys=True, default=str)
    return {
        "settings": sha256(text.encode()).hexdigest(),
        "recsys": importlib.metadata.version("recsys"),
    }


def output_digest(run: PublishedRun) -> str:
    """One digest of all outputs of a run except measurements."""
    files = {
        name: record.sha256
        for name, record in sorted(run.manifest.files.items())
        if not name.startswith(_MEASUREMENTS)
    }
    return sha256(json.dumps(files).encode()).hexdigest()


def publication_order(run: PublishedRun) -> str:
    """When a run was published, as a text that sorts; it orders versions in the registry."""
    return f"{run.manifest.logical_date}/{run.manifest.sequence:08}"
