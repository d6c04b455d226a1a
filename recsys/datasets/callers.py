"""Callers in Python: their settings as config classes, and errors in their words."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from recsys.config import ConfigT, parse_config
from recsys.errors import ConfigError, DataError


def config_of(cls: type[ConfigT], given: object, *, name: str) -> ConfigT:
    """Settings that a caller gave: as they are, from a mapping, or the defaults for None.

    Raises:
        ConfigError: A mapping that `parse_config` refuses, or something else.
    """
    if given is None:
        return parse_config(cls, {}, source=name)
    if isinstance(given, cls):
        return given
    if isinstance(given, Mapping):
        return parse_config(cls, given, source=name)
    raise ConfigError(
        f"{name}: expected a {cls.__name__} or a mapping, got {type(given).__name__}; "
        "leave it out for the defaults"
    )


@contextmanager
def in_words_of_python() -> Iterator[None]:
    """Errors of the block with keyword arguments in place of settings of config files."""
    try:
        yield
    except DataError as error:
        remedy = _in_python(error.remedy)
        if remedy == error.remedy:
            raise
        raise DataError(
            file=error.file, column=error.column, expected=error.expected, got=error.got,
            remedy=remedy,
        ) from error.__cause__  # fmt: skip
    except ConfigError as error:
        message = re.sub(r"the path data\.(\w+) beside it", r"the frame \1 beside it", str(error))
        raise ConfigError(message.replace("add the path", "pass it")) from None


def whole_number(given: object, *, name: str) -> int:
    """A whole number that a caller gave, of Python or numpy.

    Raises:
        ConfigError: It is something else.
    """
    try:
        if not isinstance(given, bool):
            return operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise ConfigError(f"{name}: expected a whole number, got {given!r}")


def _in_python(remedy: str) -> str:
    remedy = remedy.replace(", under [columns] or [features]", "")
    remedy = remedy.replace("into the config", "as a keyword")
    remedy = re.sub(r"\[columns\] ", "", remedy)
    return re.sub(r"\[([a-z]+(?:\.[a-z]+)*)\] (\w+)", r"\1.\2", remedy)
