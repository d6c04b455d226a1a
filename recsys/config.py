"""Settings: TOML in, frozen and checked dataclasses out, one-line errors in between.

A config class sits beside the component it configures and is declared with `config_class`.
Types are strict, since TOML is typed: `"64"` is not 64 and 1.0 is not 1. An integer may stand for
a float, an array for a tuple and a string for a path.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, cast, dataclass_transform

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ErrorDetails, to_jsonable_python

from recsys.errors import ConfigError

ConfigT = TypeVar("ConfigT")

_NOUNS: dict[object, str] = {
    bool: "a boolean (true or false)",
    int: "an integer",
    float: "a number",
    str: "a string",
    Path: "a path in quotes",
    tuple: "an array",
    list: "an array",
    dict: "a table",
}
_RULES = {
    "greater_than": "{noun} greater than {gt}",
    "greater_than_equal": "{noun} of at least {ge}",
    "less_than": "{noun} less than {lt}",
    "less_than_equal": "{noun} of at most {le}",
    "multiple_of": "{noun} that is a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "literal_error": "one of {expected}",
    "too_short": "{noun} of at least {min_length} values",
    "too_long": "{noun} of at most {max_length} values",
    "string_too_short": "{noun} of at least {min_length} characters",
    "string_pattern_mismatch": "{noun} that matches {pattern}",
}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def config_class(cls: type[ConfigT]) -> type[ConfigT]:
    """Make a class a config: a frozen, keyword-only pydantic dataclass that forbids unknown keys.

    A value that breaks a rule raises `ConfigError`, from TOML and from Python alike. Floats must
    be finite.

    A field with a `validation_alias` and the same `serialization_alias` has an older name beside
    its own: files may have either, and what is stored has the older one.

    Examples:
        >>> @config_class
        ... class TreeConfig:
        ...     depth: int = Field(default=3, gt=0)
        >>> TreeConfig(depth=-1)
        Traceback (most recent call last):
        recsys.errors.ConfigError: TreeConfig: depth: expected an integer greater than 0, got -1
    """
    settings = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)
    config = cast("Any", pydantic_dataclass(cls, frozen=True, kw_only=True, config=settings))
    unchecked_init = config.__init__

    @functools.wraps(unchecked_init)
    def init(self: ConfigT, /, **kwargs: object) -> None:
        try:
            unchecked_init(self, **kwargs)
        except ValidationError as error:
            raise ConfigError(_one_line(error, cls, cls.__name__)) from None

    config.__init__ = init
    return cast("type[ConfigT]", config)


def parse_config(cls: type[ConfigT], mapping: Mapping[str, object], *, source: str) -> ConfigT:
    """Build a config from the tables of a TOML file.

    Args:
        cls: A class declared with `config_class`.
        mapping: Values as TOML has them; paths and datetimes may be given as objects.
        source: Where the values come from, for messages: a file name or an option.

    Raises:
        ConfigError: An unknown key, a missing one, or a value of the wrong type or out of range.
            The message names the first fault and counts the others.
    """
    # Strict JSON is pydantic's mode for typed text: arrays become tuples and strings paths, but
    # no string becomes a number.
    text = json.dumps(mapping, default=_json_text)
    try:
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError(_one_line(error, cls, source)) from None


def config_to_dict(config: object) -> dict[str, JsonValue]:
    """Values of a config as JSON has them; `parse_config` reads them back to an equal config."""
    return cast("dict[str, JsonValue]", to_jsonable_python(config))


def read_toml(path: Path) -> dict[str, object]:
    """Tables of a TOML file.

    Raises:
        ConfigError: The file cannot be read or is not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = "got no such file; check the path"
    except OSError as error:
        problem = f"got {error.strerror or error}; check the path and its permissions"
    except UnicodeDecodeError as error:
        problem = f"got bytes that are not UTF-8 at offset {error.start}; save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = f"got a syntax error: {' '.join(str(error).split())}"
    raise ConfigError(f"{path}: expected a TOML file, {problem}")


def apply_overrides(mapping: Mapping[str, object], overrides: Iterable[str]) -> dict[str, object]:
    """A copy of `mapping` with values set by dotted key; the last override of a key wins.

    Args:
        mapping: Tables of a TOML file.
        overrides: Texts such as `model.embedding_dim=64`. The value is read as TOML; what is not
            TOML is taken as a string, so that quotes are not needed.

    Raises:
        ConfigError: An override without `=`, or whose key is not a dotted key or leads into a
            value that is not a table.

    Examples:
        >>> apply_overrides({"model": {"dim": 32}}, ["model.dim=64", "model.loss=softmax"])
        {'model': {'dim': 64, 'loss': 'softmax'}}
    """
    result = copy.deepcopy(dict(mapping))
    for override in overrides:
        key, equals, text = override.partition("=")
        path = _dotted_key(key)
        if not equals or not path:
            raise ConfigError(
                f"override {override!r}: expected key=value, e.g. model.embedding_dim=64"
            )
        table = _table_at(result, path[:-1], override)
        table[path[-1]] = _toml_value(text.strip())
    return result


def _table_at(root: dict[str, object], path: tuple[str, ...], override: str) -> dict[str, object]:
    """The table at `path`, made where it is missing."""
    table = root
    for depth, key in enumerate(path, start=1):
        child = table.setdefault(key, {})
        if not isinstance(child, dict):
            place = ".".join(path[:depth])
            raise ConfigError(
                f"override {override!r}: expected a table at {place}, got {_got(child)}"
            )
        table = child
    return table


def _dotted_key(text: str) -> tuple[str, ...]:
    """Parts of a TOML key, quoted or bare; empty when it is not one."""
    try:
        node: object = tomllib.loads(f"{text.strip()} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(node, dict):
        if len(node) != 1:  # the text held more than a key
            return ()
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path) if node == 0 else ()


def _toml_value(text: str) -> object:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _json_text(value: object) -> object:
    return to_jsonable_python(value, serialize_unknown=True)


def _one_line(error: ValidationError, cls: type, source: str) -> str:
    """The first fault of a pydantic error as one line; unknown keys come before what they cause."""
    faults = error.errors(include_url=False)
    faults.sort(key=lambda fault: fault["type"] != "unexpected_keyword_argument")
    first, others = faults[0], len(faults) - 1
    key = ".".join(str(part) for part in first["loc"])
    place = f"{source}: {key}" if key else source
    return f"{place}: {_complaint(first, cls)}" + (f" (and {others} more)" if others else "")


def _complaint(fault: ErrorDetails, cls: type) -> str:
    """What is wrong with one value."""
    match fault["type"]:
        case "unexpected_keyword_argument":
            return _unknown_key(fault, cls)
        case "missing":
            return f"expected {_noun(_type_at(cls, fault['loc']))}, got nothing; add the key"
        case "value_error":
            return " ".join(str(fault["ctx"]["error"]).split())
        case _:
            return f"expected {_expected(fault, cls)}, got {_got(fault['input'])}"


def _unknown_key(fault: ErrorDetails, cls: type) -> str:
    *parents, key = fault["loc"]
    owner = _type_at(cls, tuple(parents))
    known = _names(owner)
    if key in known:
        return f"is given twice, as {known[str(key)]!r} too; remove one of both"
    nearest = difflib.get_close_matches(str(key), known, n=1)
    if nearest:
        return f"unknown key; did you mean {nearest[0]!r}?"
    return f"unknown key; the known ones are {', '.join(sorted(known))}"


def _expected(fault: ErrorDetails, cls: type) -> str:
    """The rule that a value broke, as a noun phrase."""
    rule = _RULES.get(fault["type"], "{noun}")
    return rule.format(noun=_noun(_type_at(cls, fault["loc"])), **fault.get("ctx", {}))


def _noun(annotation: object) -> str:
    if dataclasses.is_dataclass(annotation):
        return "a table"
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    return _NOUNS.get(kind, "a valid value")


def _type_at(cls: object, loc: tuple[int | str, ...]) -> object:
    """The declared type of the value at a path of keys, without `None`."""
    annotation = _plain(cls)
    for key in loc:
        if hasattr(annotation, "__pydantic_fields__"):
            field = _field(annotation, str(key))
            annotation = field.annotation if field else None
        else:  # a dict or a tuple: the last argument that is not `...` is the value's
            values = [arg for arg in typing.get_args(annotation) if arg is not ...]
            annotation = values[-1] if values else None
        annotation = _plain(annotation)
    return annotation


def _names(cls: object) -> dict[str, str]:
    """The older name of each field of a config, or its own where it has no other."""
    fields = getattr(cls, "__pydantic_fields__", {})
    return {name: str(field.validation_alias or name) for name, field in fields.items()}


def _field(cls: object, key: str) -> Any:  # noqa: ANN401 - pydantic's, or none
    """The field that has a name or an older name."""
    fields = getattr(cls, "__pydantic_fields__", {})
    own = {older: name for name, older in _names(cls).items()}
    return fields.get(key) or fields.get(own.get(key, ""))


def _plain(annotation: object) -> object:
    """An optional type without `None`; other types as they are."""
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    members = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    return members[0] if len(members) == 1 else annotation


def _got(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the string {value!r}"
        case dict():
            return "a table"
        case list() | tuple():
            return f"an array of {len(value)} values"
        case _:
            return repr(value)
