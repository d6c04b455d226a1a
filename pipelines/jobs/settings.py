"""Settings that every job has, and how a config file becomes settings."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from pydantic import Field

from pipelines.jobs.shipped import base_of, path_at
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
) -> ConfigT:
    """The settings of a file with those of the options, every path of them absolute.

    Relative paths of the file, and those that are defaults, start at its folder; those of options
    start at the working directory.

    Args:
        cls: What the file configures.
        path: A TOML file; None for defaults and options alone.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.
        fill_in: Adds settings that follow from others where they are not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    folder = Path.cwd() if path is None else base_of(path)
    written = {} if path is None else read_toml(path)
    mapping = apply_overrides(_with_absolute_paths(cls, written, folder), overrides)
    mapping = _with_absolute_paths(cls, mapping, Path.cwd())
    given = {name: str(table.absolute()) for name, table in (data or {}).items() if table}
    if given:
        section = mapping.get("data", {})
        mapping["data"] = {**section, **given} if isinstance(section, dict) else section
    return parse_config(cls, fill_in(mapping), source="options" if path is None else str(path))


def _with_absolute_paths(
    cls: type, mapping: Mapping[str, object], folder: Path
) -> dict[str, object]:
    """A copy of settings in which every path is absolute, defaults that are paths included."""
    found = dict(mapping)
    for name, field in cls.__pydantic_fields__.items():  # type: ignore[attr-defined]
        inner = _without_none(field.annotation)
        value = found.get(name, field.default if isinstance(field.default, Path) else None)
        if inner is Path and isinstance(value, str | Path) and str(value):
            found[name] = str(path_at(folder, value))
        elif hasattr(inner, "__pydantic_fields__") and isinstance(found.get(name, {}), dict):
            nested = _with_absolute_paths(inner, cast("dict[str, object]", found.get(name, {})),
                                          folder)  # fmt: skip
            if nested or name in found:
                found[name] = nested
    return found


def _without_none(annotation: object) -> type:
    """The type of a setting that may be left out."""
    members = [one for one in typing.get_args(annotation) if one is not type(None)]
    is_optional = type(None) in typing.get_args(annotation) and len(members) == 1
    return cast("type", members[0] if is_optional else annotation)
