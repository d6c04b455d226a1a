"""Settings that every job has, and how a config file becomes settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from recsys.config import ConfigT, apply_overrides, config_class, parse_config, read_toml


@config_class
class OutputConfig:
    """Where outputs go."""

    directory: Path = Path("runs")
    """Folder that holds published models, recommendations and similar items."""
    keep: int = Field(default=10, ge=1)
    """Published runs of each kind that stay."""


def read_config(
    cls: type[ConfigT],
    path: Path | None,
    *,
    overrides: Sequence[str],
    data: Mapping[str, Path | None] | None,
    fill_in: Callable[[dict[str, object]], dict[str, object]] = lambda mapping: mapping,
) -> tuple[ConfigT, Path]:
    """The settings of a file with those of the options, and where its relative paths start.

    Args:
        cls: What the file configures.
        path: A TOML file; None for nothing but defaults and options.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.
        fill_in: Adds settings that follow from others where they are not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    mapping = apply_overrides({} if path is None else read_toml(path), overrides)
    given = {name: str(table.absolute()) for name, table in (data or {}).items() if table}
    if given:
        section = mapping.get("data", {})
        mapping["data"] = {**section, **given} if isinstance(section, dict) else section
    config = parse_config(cls, fill_in(mapping), source="options" if path is None else str(path))
    return config, Path.cwd() if path is None else path.absolute().parent
