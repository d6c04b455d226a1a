"""Selects the columns of a file to read: each by its name, present and unambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recsys.datasets.column_names import find_name, has_known_name, nearest_name, shown_names
from recsys.datasets.origin import Origin
from recsys.errors import DataError


def select_columns(
    names: Sequence[str], columns: Sequence[str] | None, optional: Sequence[str], origin: Origin
) -> dict[str, str]:
    """The file's own name of each column to read, by the requested name.

    Case and white space around a name are ignored if only one column can be meant.

    Args:
        names: Columns of the file.
        columns: Columns to read; all when None.
        optional: Columns to read as well where they are present.
        origin: The file.

    Raises:
        DataError: A column that is missing, or that two columns may stand for.
    """
    asked = names if columns is None else columns
    found: dict[str, str] = {}
    for name in asked:
        place = find_name(name, names)
        if place is None:
            raise _no_such_column(name, names, [*asked, *optional], origin)
        found[name] = place
    for name in optional:
        place = find_name(name, names)
        if place is not None and name not in found and place not in found.values():
            found[name] = place
    return found


def _no_such_column(
    name: str, names: Sequence[str], expected: Sequence[str], origin: Origin
) -> DataError:
    count = names.count(name)
    shown = shown_names(names, expected if count < 2 else [name])
    where = origin.setting or "[columns] or [features]"
    remedy = f"write the file's own name of it into the config, under {where}"
    nearest = nearest_name(name, names, expected)
    if nearest is not None:
        remedy = f"did you mean {nearest!r}? {remedy}"
    elif origin.is_text and not has_known_name(names, expected):
        remedy = f"if the file has no header, write one; if it has, {remedy}"
        if len(names) == 1:
            remedy = f"set [data.csv] delimiter if the fields are separated otherwise; {remedy}"
    return replace(origin, column=name).refusal(
        expected="one column of that name",
        got=f"{count or 'none'} among {shown}",
        remedy=remedy,
    )
