"""A small shop: tables with a planted truth, written as a user would have them, and a config."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from warm_commands import HANG_S, warm_commands

from pipelines.cli import main
from recsys.datasets.columns.ids import IdType
from recsys.datasets.dataset import Dataset
from recsys.datasets.synthetic.interactions import generate_interactions

RECSYS = Path(sys.executable).with_name("recsys")
"""The installed command."""

FileFormat = Literal["parquet", "csv"]

SMALL_MODEL = """
[model]
embedding_dim = 16
prefix_dims = [8]
hidden_dims = [16]

[training]
num_epochs = 2

[split]
test_share = 0.15
valid_share = 0.15
"""
"""Settings that train within a second."""

USER_FEATURES = """
[features.users]
segment = "categorical"
age = "numeric"
"""

ITEM_FEATURES = """
[features.items]
category = "categorical"
tags = { kind = "multi_hot", separator = "|" }
price = "numeric"
vector = { kind = "dense", separator = " " }
"""

UNTRACKED = """
[tracking]
enabled = false
"""


def shop_dataset(id_type: IdType) -> Dataset:
    """A few thousand events of 2024-01-01 to 2024-03-30."""
    return generate_interactions(
        num_users=150, num_items=60, num_interactions=2500, num_clusters=4, seed=1, id_type=id_type
    ).dataset


def write_shop(
    folder: Path, dataset: Dataset, file_format: FileFormat, *sections: str, name: str = "shop"
) -> Path:
    """Write the tables of a dataset and a config of them; returns the config's path."""
    tables = {
        "interactions": dataset.interactions, "users": dataset.users, "items": dataset.items
    }  # fmt: skip
    lines = ["[data]"]
    for table_name, table in tables.items():
        if table is not None:
            file = folder / f"{table_name}.{file_format}"
            write_table(file, table)
            lines.append(f'{table_name} = "{file.name}"')
    config = folder / f"{name}.toml"
    config.write_text("\n".join(lines) + "\n" + "".join(sections))
    return config


def write_table(file: Path, table: pa.Table) -> Path:
    """Write a table as its name says; in CSV lists are joined and times are ISO 8601."""
    if file.suffix == ".parquet":
        pq.write_table(table, file)
        return file
    columns = {name: _as_text(table[name]) for name in table.column_names}
    pa_csv.write_csv(pa.table(columns), file)
    return file


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(column.type):
        return pc.binary_join(column, "|")
    if pa.types.is_fixed_size_list(column.type):
        return pa.chunked_array(
            [pa.array([" ".join(map(str, vector)) for vector in column.to_pylist()])]
        )
    return column


def run_installed(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command as people do, to its end."""
    return subprocess.run(
        [RECSYS, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=HANG_S,
    )  # fmt: skip


def run_command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own to its end: a fork of one that has all imported."""
    return warm_commands().run(*arguments, cwd=cwd)


def run_main(*arguments: object) -> object:
    """Exit code of the command, run in this process: what is imported already costs no time."""
    argv = ["recsys", *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        try:
            main()
        except SystemExit as end:
            return end.code
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but empty locks, to see whether anything changed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".job.lock"
    }
