"""Refusals of the real command: exit code, one line that teaches, and nothing changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop import contents, run_command

DAY = datetime(2024, 5, 31, 12, tzinfo=UTC)
LATER = DAY.replace(year=2224)
NAN, INFINITY = float("nan"), float("inf")


def interactions(**columns: object) -> pa.Table:
    """Four events, with columns replaced; a column that is None is left out."""
    sound = {
        "user_id": pa.array([1, 1, 2, 3]),
        "item_id": pa.array([10, 20, 10, 30]),
        "event_time": pa.array([DAY] * 4, pa.timestamp("us", tz="UTC")),
    }
    return pa.table(
        {name: array for name, array in {**sound, **columns}.items() if array is not None}
    )


def items(**columns: object) -> pa.Table:
    """Their items, with columns replaced or added."""
    return pa.table({"item_id": pa.array([10, 20, 30]), **columns})


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something wrong with a small shop, and what the command says of it."""

    says: str
    """Pattern of the message, after the name of the file."""
    file: str = "interactions.parquet"
    """The file that is named."""
    exit_code: int = 3
    tables: Mapping[str, pa.Table | bytes | None] = field(default_factory=dict)
    """Tables by name in place of the sound ones; bytes for a file that is no table."""
    config: str = ""
    """Lines added to the config."""
    options: tuple[str, ...] = ()


CASES = {
    "a missing column": Case(
        tables={"interactions": interactions().rename_columns(["user_id", "itemid", "event_time"])},
        says="column 'item_id': expected one column of that name, got none among user_id, itemid, "
        "event_time; did you mean 'itemid'",
    ),
    "a mapped column that is missing": Case(
        config='[columns]\nweight = "stars"',
        says="column 'stars': expected one column of that name, got none among .*; write",
    ),
    "ids of a wrong type": Case(
        tables={"interactions": interactions(item_id=pa.array([True, False, True, True]))},
        says="column 'item_id': expected ids of type int64 or string, got bool; write the column",
    ),
    "times of a wrong type": Case(
        tables={"interactions": interactions(event_time=pa.array([1, 2, 3, 4]))},
        says="column 'event_time': expected timestamps, got int64, of up to 1 digits; "
        "for integers since 1970 set",
    ),
    "times without a zone": Case(
        tables={"interactions": interactions(event_time=pa.array([DAY] * 4, pa.timestamp("us")))},
        says="column 'event_time': expected times with a time zone, got times without one; set",
    ),
    "a numeric feature of a wrong type": Case(
        tables={"items": items(price=pa.array(["1", "2", "3"]))},
        config='[features.items]\nprice = "numeric"',
        file="items.parquet",
        says="column 'price': expected numbers: .*, got string; write",
    ),
    "an empty table": Case(
        tables={"interactions": interactions().slice(0, 0)},
        says="expected at least one row, got an empty table; check the export",
    ),
    "null user ids": Case(
        tables={"interactions": interactions(user_id=pa.array([1, None, 2, None]))},
        says="column 'user_id': expected a value in every row, got 2 nulls in 4 rows; fill",
    ),
    "null item ids": Case(
        tables={"interactions": interactions(item_id=pa.array([10, 20, 30, None]))},
        says="column 'item_id': expected a value in every row, got 1 nulls in 4 rows; fill",
    ),
    "a null id in a side table": Case(
        tables={"items": items(item_id=pa.array([10, 20, None]))},
        file="items.parquet",
        says="column 'item_id': expected an id in every row, got 1 nulls in 3 rows; remove",
    ),
    "an id twice in a side table": Case(
        tables={"items": items(item_id=pa.array([10, 20, 20]))},
        file="items.parquet",
        says="column 'item_id': expected one row an id, got 1 ids in several rows, "
        "the first in row 2; ",
    ),
    "no times for a split by time": Case(
        tables={"interactions": interactions(event_time=None)},
        says="column 'event_time': expected the time of every event, .*, got no such column; name",
    ),
    "NaN in a numeric feature": Case(
        tables={"items": items(price=pa.array([1.0, NAN, 3.0]))},
        config='[features.items]\nprice = "numeric"',
        file="items.parquet",
        says="column 'price': expected finite numbers .*, got 1 NaN and 0 infinite .*; write null",
    ),
    "infinity in a numeric feature": Case(
        tables={"items": items(price=pa.array([1.0, INFINITY, -INFINITY]))},
        config='[features.items]\nprice = "numeric"',
        file="items.parquet",
        says="column 'price': expected finite numbers .*, got 0 NaN and 2 infinite .*; write null",
    ),
    "NaN in a vector": Case(
        tables={"items": items(vector=pa.array([[1.0, 2.0], [NAN, 1.0], [0.0, 0.0]]))},
        config='[features.items]\nvector = "dense"',
        file="items.parquet",
        says="column 'vector': expected finite numbers .*, got 1 NaN and 0 infinite .*; write null",
    ),
    "an infinite weight": Case(
        tables={"interactions": interactions(stars=pa.array([1.0, 2.0, INFINITY, 1.0]))},
        config='[columns]\nweight = "stars"',
        says="column 'stars': expected finite numbers .*, got 0 NaN and 1 infinite .*; write null",
    ),
    "events that have not happened yet": Case(
        tables={"interactions": interactions(event_time=pa.array([LATER] * 4))},
        says="column 'event_time': expected no event more than 300 s after 20.*, "
        "got 4 such events, the first in row 1; check the clock",
    ),
    "too many ids absent from items": Case(
        tables={"items": items(item_id=pa.array([20, 30, 40]))},
        says="column 'item_id': expected at most 5.00% of interactions with ids absent from "
        ".*items.parquet, got 50.00%: 1 ids, the first in row 1; add them",
    ),
    "one more id absent from items than is stated": Case(
        tables={"items": items(item_id=pa.array([10, 20]))},
        config="[validation]\nmax_unknown_item_share = 0.24",
        says="column 'item_id': expected at most 24.00% .*, got 25.00%: 1 ids, .* row 4; add",
    ),
    "text ids in one table, integers in the other": Case(
        tables={"items": items(item_id=pa.array(["10", "20", "30"]))},
        file="items.parquet",
        says="column 'item_id': expected int64 ids, as in .*interactions.parquet, got string; "
        '1 and "1" do not match',
    ),
    "integers that a null made floats": Case(
        tables={"interactions": interactions(item_id=pa.array([10.0, None, 10.0, 30.0]))},
        says="column 'item_id': expected ids of type int64 or string, got double; a null may",
    ),
    "a missing file": Case(
        tables={"interactions": None},
        says="expected a Parquet file or folder, or a CSV file, got no such path; check the path",
    ),
    "a file that is not Parquet": Case(
        tables={"interactions": b"user_id,item_id\n1,10\n"},
        says="expected a Parquet file, or a CSV file named .*, got text; rename a CSV file",
    ),
    "an unknown key": Case(
        config="[model]\nembeding_dim = 64",
        file="shop.toml",
        exit_code=2,
        says="model.embeding_dim: unknown key; did you mean 'embedding_dim'?",
    ),
    "an unknown section": Case(
        config="[modle]\nembedding_dim = 64",
        file="shop.toml",
        exit_code=2,
        says="modle: unknown key; did you mean 'model'?",
    ),
    "a value out of range": Case(
        config="[split]\ntest_share = 1.5",
        file="shop.toml",
        exit_code=2,
        says="split.test_share: expected a number less than 1.0, got 1.5",
    ),
    "a file that is not TOML": Case(
        config="[model\nembedding_dim = 64",
        file="shop.toml",
        exit_code=2,
        says=r"expected a TOML file, got a syntax error: .* line \d+",
    ),
    "a setting without a value": Case(
        options=("--set", "model.embedding_dim"),
        file="override 'model.embedding_dim'",
        exit_code=2,
        says="expected key=value, e.g. model.embedding_dim=64",
    ),
    "a setting of an unknown key": Case(
        options=("--set", "model.embeding_dim=64"),
        file="shop.toml",
        exit_code=2,
        says="model.embeding_dim: unknown key; did you mean 'embedding_dim'?",
    ),
    "a setting of a wrong type": Case(
        options=("--set", "model.embedding_dim=wide"),
        file="shop.toml",
        exit_code=2,
        says="model.embedding_dim: expected an integer, got the string 'wide'",
    ),
}


def write_case(folder: Path, case: Case) -> Path:
    """The shop with what is wrong with it; the path of its config."""
    for name, table in {"interactions": interactions(), "items": items(), **case.tables}.items():
        file = folder / f"{name}.parquet"
        if isinstance(table, bytes):
            file.write_bytes(table)
        elif table is not None:
            pq.write_table(table, file)
    config = folder / "shop.toml"
    config.write_text(
        '[data]\ninteractions = "interactions.parquet"\nitems = "items.parquet"\n' + case.config
    )
    return config


def test_a_sound_shop_is_accepted(tmp_path: Path) -> None:
    """What the cases below differ from passes, so that each refusal is due to its own fault."""
    config = write_case(tmp_path, Case(says=""))
    done = run_command("validate", config, "--quiet", "--as-of", "2024-05-31")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_command_refuses_in_one_line(case: Case, tmp_path: Path) -> None:
    """One line says place, expected, got and remedy; no file is made or changed."""
    config = write_case(tmp_path, case)
    before = contents(tmp_path)

    done = run_command("validate", config, "--quiet", *case.options, cwd=tmp_path)

    assert done.returncode == case.exit_code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    place = tmp_path / case.file if case.file in before or case.exit_code == 3 else case.file
    assert re.match(rf"error: {re.escape(str(place))}: {case.says}", lines[0]), lines[0]
    assert contents(tmp_path) == before
