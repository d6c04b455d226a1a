"""Names and values in the form and length that MLflow accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import JsonValue

from recsys.errors import RecsysError

MAX_BATCH = 100
"""Values a request; MLflow takes more metrics, but not more settings."""
MAX_PARAM_LENGTH = 1500
"""Characters of a setting: MLflow takes 6000 of one, but a megabyte of a whole request."""
MAX_TAG_LENGTH = 8000
"""Characters of a tag."""
MAX_DATASET_DIGEST_LENGTH = 36
"""Characters of a table's digest."""

ValueT = TypeVar("ValueT")


def flat_params(params: Mapping[str, JsonValue]) -> dict[str, str]:
    """Nested settings as texts under dotted names, long ones cut.

    Examples:
        >>> flat_params({"model": {"embedding_dim": 64, "layers": [128, 64]}})
        {'model.embedding_dim': '64', 'model.layers': '[128, 64]'}
    """
    leaves = _leaves(params, "")
    return valid_names({name: cut(_text(value), MAX_PARAM_LENGTH) for name, value in leaves})


def valid_names(values: Mapping[str, ValueT]) -> dict[str, ValueT]:
    """The same values under names that MLflow accepts: `recall@20` becomes `recall_at_20`.

    Raises:
        RecsysError: Two names become one.
    """
    names = {name: re.sub(r"[^\w/. :-]", "_", name.replace("@", "_at_")) for name in values}
    if len(set(names.values())) < len(names):
        raise RecsysError(f"tracking: expected names that stay apart, got {sorted(names)}")
    return {names[name]: value for name, value in values.items()}


def valid_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags under names that MLflow accepts, long ones cut."""
    return valid_names({name: cut(text, MAX_TAG_LENGTH) for name, text in tags.items()})


def batches(values: Mapping[str, ValueT], size: int) -> Iterator[dict[str, ValueT]]:
    """The same values in pieces of at most `size`."""
    names = list(values)
    for start in range(0, len(names), size):
        yield {name: values[name] for name in names[start : start + size]}


def cut(text: str, length: int) -> str:
    """The text, or as much of it as fits with an ellipsis at the end."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _leaves(params: Mapping[str, JsonValue], prefix: str) -> Iterator[tuple[str, JsonValue]]:
    for key, value in params.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
