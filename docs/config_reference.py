"""Write the reference of all settings from the config classes: their types, defaults, docstrings.

    python docs/config_reference.py

`tests/test_docs.py` fails when `docs/guide/configuration.md` is not what this script writes.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.fraud.config import FraudJobConfig
from pipelines.recommender.config import JobConfig

TARGET = Path(__file__).parent / "guide" / "configuration.md"
"""The page that is written."""

_INTRODUCTION = """\
# Configuration reference

One TOML file configures all jobs of the [recommender](#the-recommender), another one those of the
[fraud scorer](#the-fraud-scorer). A section is a table of the file. Every key has a default or may
be left out (*not set*), but for the main table and the kind of a feature. The types are strict:
`"64"` is not `64`. An unknown key is refused, and the message names the nearest known one.

- **Paths** in the file start at the folder of the file; paths given as options start at the
  working directory.
- **One setting for one run**: `--set model.embedding_dim=64`, as often as needed. The value is
  read as TOML; what is not TOML is taken as text.
- **Paths of the tables** have options of their own: `--interactions`, `--users`, `--items` for the
  recommender, `--transactions` and `--labels` for the fraud scorer.
- **Older names** are read too, in files and with `--set`: `gates` for `input_checks`, `guards` for
  `output_checks`, and within `labels` `stacker` for `meta_model`. A file has one of both.

This page is generated from the code by `python docs/config_reference.py`.
"""

PARTS: dict[str, type] = {"The recommender": JobConfig, "The fraud scorer": FraudJobConfig}
"""Headings of the parts of the page, and the config of the jobs that each is about."""

_HEADER = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n"
_NOUNS = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "path"}
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def reference() -> str:
    """The whole page."""
    places: dict[type, str] = {}
    for part, config in PARTS.items():
        for place, one in config_sections(config):
            places.setdefault(one, heading(part, place))
    return "\n".join([_INTRODUCTION, *(_part(part, one, places) for part, one in PARTS.items())])


def heading(part: str, place: str) -> str:
    """The heading of a table of the file; an empty place stands for the keys above all tables."""
    name = f"`[{place}]`" if place else "Above all tables"
    return name if part == next(iter(PARTS)) else f"{name} of {part[:1].lower()}{part[1:]}"


def config_sections(config: type, path: tuple[str, ...] = ()) -> Iterator[tuple[str, type]]:
    """Dotted place and class of each table of the file, the outer ones first."""
    for name, field in config_fields(config).items():
        table = _table_class(field.annotation)
        if table is not None:
            named = ("NAME",) if typing.get_origin(field.annotation) is dict else ()
            place = (*path, name, *named)
            yield ".".join(place), table
            yield from config_sections(table, place)


def config_fields(config: type) -> dict[str, FieldInfo]:
    """The keys of a config class."""
    return typing.cast("dict[str, FieldInfo]", vars(config)["__pydantic_fields__"])


def _part(part: str, config: type, places: dict[type, str]) -> str:
    """A part of the page: its plain keys, then each table of the file."""
    sections = [f"## {part}\n\n{_paragraph(config.__doc__)}\n"]
    rows = _rows(config)
    if rows:
        sections.append(f"### {heading(part, '')}\n\n{_HEADER}{rows}")
    for place, one in config_sections(config):
        sections.append(_section(heading(part, place), one, places[one]))
    return "\n".join(sections)


def _section(title: str, config: type, first_title: str) -> str:
    """A heading, what the table is, and its keys, unless an earlier section has them."""
    if title != first_title:
        return f"### {title}\n\nThe keys of {first_title}.\n"
    rows = _rows(config)
    return f"### {title}\n\n{_paragraph(config.__doc__)}\n" + (f"\n{_HEADER}{rows}" if rows else "")


def _rows(config: type) -> str:
    """A row for each key that is no table."""
    return "".join(
        _row(config, name, field)
        for name, field in config_fields(config).items()
        if _table_class(field.annotation) is None
    )


def _row(config: type, name: str, field: FieldInfo) -> str:
    meaning = _field_docstrings(config)[name].replace("|", "\\|")
    return f"| `{name}` | {_type_text(field)} | {_default_text(field)} | {meaning} |\n"


def _table_class(annotation: object) -> type | None:
    """The config class that a key holds, or holds by name; None for a plain value."""
    if typing.get_origin(annotation) is dict:
        annotation = typing.get_args(annotation)[1]
    is_config = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    return annotation if is_config else None  # type: ignore[return-value]


def _field_docstrings(config: type) -> dict[str, str]:
    """The strings that follow the fields of a class, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    statements = typing.cast("ast.ClassDef", body).body
    found = {}
    for field, text in itertools.pairwise(statements):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            found[field.target.id] = _paragraph(text.value.value)  # type: ignore[attr-defined]
    return found


def _type_text(field: FieldInfo) -> str:
    noun = _noun(field.annotation)
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in _BOUNDS
        if hasattr(rule, name)
    ]
    return " ".join([noun, ", ".join(bounds)]).strip()


def _noun(annotation: object) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _noun(next(one for one in arguments if one is not types.NoneType))
    if origin is typing.Literal:
        return " or ".join(f'`"{choice}"`' for choice in arguments)
    if origin is tuple:
        return f"array of {_noun(arguments[0])}s"
    if origin is dict:
        keys = ", ".join(f"`{key}`" for key in typing.get_args(arguments[0]))
        return f"table of {_noun(arguments[1])}s by {keys}"
    return _NOUNS[typing.cast("type", annotation)]


def _default_text(field: FieldInfo) -> str:
    if field.default_factory is dict:
        return "none"
    if field.default is PydanticUndefined:
        return "required"
    return "not set" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return f"{value:_}"
        case tuple():
            return f"[{', '.join(_toml(one) for one in value)}]"
        case str() | Path():
            return f'"{value}"'
        case _:
            return str(value)


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
