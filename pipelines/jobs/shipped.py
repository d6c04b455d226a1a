"""Configs and samples that come with the package, in a checkout or installed anywhere.

The shipped configs have paths such as `../../runs/NAME`: of the project in a checkout. Where the
package is installed there is no project around it, and the current folder is used instead, so that
nothing is ever written beside the code.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CONFIGS = PACKAGE / "configs"
"""Example configs."""
SAMPLES = PACKAGE / "samples"
"""The sample data; in a checkout a link to `data/sample`."""


def base_of(config: Path) -> Path:
    """The folder that relative paths of a config start at.

    Args:
        config: A config file.
    """
    folder = config.absolute().parent
    is_installed = not (PACKAGE.parent / "pyproject.toml").is_file()
    if is_installed and folder.resolve() == CONFIGS.resolve():
        return Path.cwd() / PACKAGE.name / CONFIGS.name
    return folder


def path_at(folder: Path, path: Path | str) -> Path:
    """A path of a config, made absolute; the installed sample if the folder does not have it.

    Args:
        folder: Where relative paths of the config start.
        path: The path in the config.
    """
    found = Path(os.path.normpath(folder / path))
    sample = SAMPLES / found.name
    if found.parent == Path.cwd() / "data" / "sample" and not found.exists() and sample.is_file():
        return sample
    return found
