"""Which entries of a folder are data: each is read, skipped by its name, or refused.

By convention names that begin with `.` or `_` are not data, nor are notes such as README.md: these
are skipped and counted. Links are followed. A folder that belongs to a table format is refused:
only the log of the format knows which of its files, and which of their rows, count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recsys.datasets.origin import Origin
from recsys.datasets.reading.contents import PARQUET, content_of, is_csv
from recsys.errors import DataError

_SUFFIXES = (".parquet", ".parq", ".pq")
_NOTES = re.compile(
    r"(readme|license|licence|notice|changelog)(\..*)?|.*\.(md|crc|md5|sha1|sha256)"
    r"|thumbs\.db|desktop\.ini|success|.*_\$folder\$",
    re.IGNORECASE,
)
"""Files that speak of the data, or that file systems add."""
_HIVE_ACID = re.compile(r"(delete_)?delta_\d+_\d+(_\d+)?|base_\d+")
_MAX_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Entries:
    """What a path held. `num_found` is `num_read` and `num_passed_over`.

    Args:
        num_found: Files found, a hidden folder counting as one.
        num_read: Files read.
        num_passed_over: Entries that are no data by their names.
        passed_over: Names of the first of these.
    """

    num_found: int = 1
    num_read: int = 1
    num_passed_over: int = 0
    passed_over: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For a status line."""
        named = {"such_as": list(self.passed_over)} if self.passed_over else {}
        counts = {"found": self.num_found, "read": self.num_read}
        return {**counts, "passed_over": self.num_passed_over, **named}


def parquet_files(folder: Path, origin: Origin) -> tuple[list[Path], Entries]:
    """Parquet files below a folder by name, and what else there is.

    Raises:
        DataError: An entry that is neither data nor known to be none, a link that leads nowhere or
            to a file that is read already, a folder of a table format, or no Parquet file at all.
    """
    files: list[Path] = []
    passed_over: list[str] = []
    seen: dict[tuple[int, int], Path] = {}
    for path, is_data in _entries(folder, folder, frozenset(), origin):
        name = str(path.relative_to(folder))
        if not is_data:
            passed_over.append(name)
            continue
        found = path.stat()
        other = seen.setdefault((found.st_dev, found.st_ino), path)
        if other != path:
            raise _refusal(
                origin,
                f"{name!r}, which is the same file as {str(other.relative_to(folder))!r}",
                "remove the link: its rows would count twice",
            )
        files.append(path)
    if not files:
        raise origin.refusal(
            expected="a folder with Parquet files",
            got=f"none among {len(passed_over)} entries",
            remedy="check the path; a CSV file is named itself, not by its folder",
        )
    entries = Entries(
        num_found=len(files) + len(passed_over),
        num_read=len(files),
        num_passed_over=len(passed_over),
        passed_over=tuple(sorted(passed_over)[:_MAX_NAMED]),
    )
    return sorted(files), entries


def check_no_table_format(path: Path, origin: Origin) -> None:
    """Refuse a path that lies inside a table of a format: its log says what of it counts."""
    for folder in path.absolute().parents:
        found = _table_format(folder, only_sure=True)
        if found:
            raise _table_refusal(origin, found)


def _entries(
    folder: Path, root: Path, above: frozenset[tuple[int, int]], origin: Origin
) -> Iterator[tuple[Path, bool]]:
    """Each file, and each entry that is passed over, with whether it is data."""
    found = _table_format(folder)
    if found:
        raise _table_refusal(origin, found)
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        raise _refusal(origin, f"{str(folder.relative_to(root))!r}, a link to a folder above it",
                       "remove the link")  # fmt: skip
    inside = above | {(here.st_dev, here.st_ino)}
    for path in sorted(folder.iterdir()):
        if _is_hidden(path) or (path.is_file() and _NOTES.fullmatch(path.name)):
            yield path, False
        elif path.is_dir():
            yield from _entries(path, root, inside, origin)
        else:
            _check_is_data(path, root, origin)
            yield path, True


def _is_hidden(path: Path) -> bool:
    """Names of no data; a partition folder may have a key that begins with `_`."""
    return path.name.startswith((".", "_")) and not ("=" in path.name and path.is_dir())


def _check_is_data(path: Path, root: Path, origin: Origin) -> None:
    """Refuse an entry of a folder that is no Parquet file under the name of one."""
    name = str(path.relative_to(root))
    if not path.is_file():
        what = "a link that leads nowhere" if path.is_symlink() else "neither a file nor a folder"
        raise _refusal(origin, f"{name!r}, {what}", "remove it, or mend what it stands for")
    content = content_of(path)
    is_named = path.name.lower().endswith(_SUFFIXES) or "." not in path.name
    if content == PARQUET and is_named:
        return
    if content == PARQUET:
        remedy = "rename it to *.parquet if it is data, else move it"
    elif is_csv(path):
        remedy = "move it; a CSV file is named itself, not by its folder"
    else:
        remedy = "move it if it is no data, or let its name begin with _; else write it as Parquet"
    raise _refusal(origin, f"{name!r}, which holds {content}", remedy)


def _refusal(origin: Origin, got: str, remedy: str) -> DataError:
    return origin.refusal(
        expected="Parquet files named *.parquet and nothing else, but names that begin with _ or .",
        got=got,
        remedy=remedy,
    )


def _table_refusal(origin: Origin, found: str) -> DataError:
    return origin.refusal(
        expected="plain Parquet files",
        got=f"a table of {found}, whose log says which files and rows still count",
        remedy="export the table as plain Parquet into another folder, and name that",
    )


def _table_format(folder: Path, *, only_sure: bool = False) -> str:
    """The format whose log a folder holds; empty for plain files.

    Args:
        folder: Where to look.
        only_sure: Whether to look for names alone that nothing else has.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:  # a folder above may be closed to us, or be no folder
        return ""
    checks: list[tuple[str, Callable[[], bool]]] = [
        ("Delta Lake", lambda: "_delta_log" in names),
        ("Apache Hudi", lambda: ".hoodie" in names),
        ("Spark structured streaming", lambda: "_spark_metadata" in names),
        ("Apache Iceberg", lambda: "metadata" in names and _is_iceberg(folder / "metadata")),
    ]
    if not only_sure:
        checks += [
            ("Lance", lambda: "_versions" in names),
            ("Apache Paimon", lambda: {"snapshot", "manifest", "schema"} <= names),
            ("Hive ACID", lambda: any(_HIVE_ACID.fullmatch(name) for name in names)),
            ("Databricks commits", lambda: _has_open_commits(names)),
        ]
    return next((name for name, is_it in checks if is_it()), "")


def _is_iceberg(metadata: Path) -> bool:
    try:
        names = [path.name for path in metadata.iterdir()]
    except OSError:
        return False
    return any(
        name.endswith((".metadata.json", ".metadata.json.gz")) or name == "version-hint.text"
        for name in names
    )


def _has_open_commits(names: set[str]) -> bool:
    """Whether a write was begun and not committed, by the marker files of Databricks."""
    begun = {name.removeprefix("_started_") for name in names if name.startswith("_started_")}
    done = {name.removeprefix("_committed_") for name in names if name.startswith("_committed_")}
    return bool(begun - done)
