"""`recsys init`: a first config file, guessed from the tables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from pipelines.jobs.console import Reporter
from recsys.datasets.column_names import shown_names
from recsys.datasets.frames.guessing import guess_column, guess_features, guess_time_unit
from recsys.datasets.reading.tables import is_csv, read_table
from recsys.errors import ConfigError, DataError
from recsys.schema import EVENT_TIME, ITEM_ID, TITLE, USER_ID

_IDS = {"users": USER_ID, "items": ITEM_ID}


def init_job(
    *, interactions: Path, users: Path | None, items: Path | None, out: Path, reporter: Reporter
) -> Path:
    """Guess columns and features, and write them down to be corrected.

    Raises:
        ConfigError: The config file exists.
        DataError: A table cannot be read, or no column looks like user or item ids.
    """
    if out.exists():
        raise ConfigError(f"{out}: expected a new file, got one that exists; choose another --out")
    log = read_table(interactions)
    columns = _columns(interactions, log)
    paths = {"interactions": interactions, "users": users, "items": items}
    given = {name: path for name, path in paths.items() if path is not None}
    sections: dict[str, Mapping[str, object]] = {
        "data": {name: os.path.normpath(path.absolute()) for name, path in given.items()},
        "columns": _changed(columns) | _time_settings(interactions, log, columns),
        **{
            f"features.{name}": dict(_features(path, columns[_IDS[name]]))
            for name, path in given.items()
            if name in _IDS
        },
    }
    if EVENT_TIME not in columns:
        sections["split"] = {"kind": "random"}
    sections["output"] = {"directory": f"runs/{out.stem}"}
    sections["tracking"] = {"experiment": out.stem, "registered_model": _safe(out.stem)}
    text = "\n".join(_section(name, values) for name, values in sections.items() if values)
    out.write_text(f"# Guessed from the tables: read it before the first run.\n\n{text}")
    reporter.say(f"wrote {out}; read it, then run: recsys validate {out}")
    return out


def _columns(path: Path, log: pa.Table) -> dict[str, str]:
    """The user's names of the standard columns."""
    found = {name: guess_column(log.column_names, name) for name in (USER_ID, ITEM_ID, EVENT_TIME)}
    for name in (USER_ID, ITEM_ID):
        if found[name] is None:
            raise DataError(
                file=str(path),
                expected=f"a column whose name tells that it holds {name}",
                got=shown_names(log.column_names, ()),
                remedy="write a header if the file has none, rename a column, or write the config "
                f"by hand with [columns] {name} = ...",
            )
    if found[EVENT_TIME] is None:
        found[EVENT_TIME] = _only_times(log)
    return {name: column for name, column in found.items() if column is not None}


def _only_times(log: pa.Table) -> str | None:
    """The one column that holds times by its type, whatever it is called."""
    times = [
        name for name in log.column_names
        if pt.is_timestamp(log[name].type) or pt.is_date(log[name].type)
    ]  # fmt: skip
    return times[0] if len(times) == 1 else None


def _changed(columns: Mapping[str, str]) -> dict[str, object]:
    return {name: column for name, column in columns.items() if column != name}


def _time_settings(path: Path, log: pa.Table, columns: Mapping[str, str]) -> dict[str, object]:
    """Settings needed to read ambiguous times."""
    if EVENT_TIME not in columns or is_csv(path):
        return {}
    column = log[columns[EVENT_TIME]]
    unit = guess_time_unit(column)
    if unit is not None:
        return {"event_time_unit": unit}
    naive = pt.is_date(column.type) or (pt.is_timestamp(column.type) and column.type.tz is None)
    return {"event_time_zone": "UTC"} if naive else {}


def _features(path: Path, id_column: str) -> Mapping[str, object]:
    table = read_table(path)
    if is_csv(path):  # all columns are text: only a person knows which are numbers
        return {}
    return guess_features(table, besides=(id_column, TITLE))


def _section(name: str, values: Mapping[str, object]) -> str:
    lines = [
        f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()
    ]
    return "\n".join([f"[{name}]", *lines, ""])


def _key(name: str) -> str:
    """A bare key where TOML allows it, else a quoted one."""
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name)


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:64]
