"""The environment of a run: packages, machine, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from pydantic import JsonValue

CORE_PACKAGES = ("torch", "faiss-cpu", "numpy", "pandas", "pyarrow", "safetensors", "mlflow")
"""What a registered model needs, besides this library."""


def describe_environment() -> dict[str, JsonValue]:
    """Python, platform, processors, memory and the version of every installed package."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "num_cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "packages": dict(sorted(_installed().items())),
    }


def core_versions() -> dict[str, str]:
    """Versions of the packages that a registered model needs."""
    return {name: importlib.metadata.version(name) for name in CORE_PACKAGES}


def core_requirements(*others: str) -> list[str]:
    """The same and other packages as exact requirements, without the build: `+cpu`."""
    versions = core_versions() | {name: importlib.metadata.version(name) for name in others}
    return [f"{name}=={version.partition('+')[0]}" for name, version in versions.items()]


def _installed() -> dict[str, JsonValue]:
    found = importlib.metadata.distributions()
    return {distribution.metadata["Name"]: distribution.version for distribution in found}
