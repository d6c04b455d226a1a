"""The command line: help that teaches, results that machines read, imports only when needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import typer
from shop import UNTRACKED, run_command, run_installed, shop_dataset, write_shop
from typer.testing import CliRunner

from pipelines.cli import app
from recsys.schema import ITEM_ID, USER_ID

HEAVY = ("torch", "mlflow", "pandas", "pyarrow", "numpy", "scipy", "faiss", "sklearn", "matplotlib")
COMMANDS = {
    "init",
    "validate",
    "train-recommender",
    "write-recommendations",
    "similar-items",
    "demo",
    "benchmark",
    "benchmark recommender",
    "validate-transactions",
    "train-fraud",
    "score-accounts",
    "embed-accounts",
    "explain-account",
    "generate",
    "generate interactions",
    "generate transactions",
    "benchmark fraud",
    "status",
    "rollback",
    "check-drift",
    "replay-tracking",
    "schedule",
    "schedule check",
    "schedule cron",
    "schedule systemd",
    "schedule kubernetes",
}


def commands() -> Iterator[tuple[str, object]]:
    """Every command with its words, subcommands included."""

    def walk(words: tuple[str, ...], group: object) -> Iterator[tuple[str, object]]:
        for name, command in group.commands.items():
            yield " ".join((*words, name)), command
            if hasattr(command, "commands"):
                yield from walk((*words, name), command)

    return walk((), typer.main.get_command(app))


def loaded_by(*arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and which heavy libraries it loads."""
    program = (
        "import sys; from pipelines.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"finally: print('\\0' + ' '.join(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    printed, _, libraries = done.stdout.partition("\0")
    return printed, set(libraries.split())


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    """`recsys --help` names all commands without importing a library that is slow to import."""
    printed, libraries = loaded_by("--help")
    assert {name for name, _ in commands()} == COMMANDS
    for name in (one for one in COMMANDS if " " not in one):
        assert f"│ {name} " in printed
    assert libraries == set()


def test_the_package_runs_as_the_command() -> None:
    """`python -m pipelines` is the same program."""
    module = subprocess.run(
        [sys.executable, "-m", "pipelines", "validate", "no.toml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    command = run_installed("validate", "no.toml")
    assert (module.returncode, module.stderr) == (command.returncode, command.stderr)
    assert module.returncode == 2
    assert module.stderr.startswith("error: no.toml: expected a TOML file, got no such file")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_explains_every_command_and_option(name: str) -> None:
    """Each command has a text, each of its options and arguments too, and `--help` shows them."""
    command = dict(commands())[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for parameter in command.params:
        for option in parameter.opts:
            assert option in shown.output or str(parameter.metavar) in shown.output


def test_validate_reports_and_loads_no_model(tmp_path: Path) -> None:
    """`recsys validate` answers in JSON what it found, and needs neither torch nor MLflow."""
    dataset = shop_dataset("int64")
    config = write_shop(tmp_path, dataset, "parquet")

    printed, libraries = loaded_by("validate", str(config), "--as-of", "2024-03-31")

    found = json.loads(printed.splitlines()[-1])
    assert found["job"] == "validate"
    assert found["num_interactions"] == dataset.interactions.num_rows
    assert found["num_rows"]["items"] == dataset.items.num_rows
    assert found["unknown_item_share"] == 0
    assert found["refusals"] == []
    assert not libraries & {"torch", "mlflow", "faiss", "sklearn", "scipy", "matplotlib"}


def test_people_read_one_stream_and_machines_the_other(tmp_path: Path) -> None:
    """The standard output has JSON alone; plain lines go to the other stream unless quiet."""
    config = write_shop(tmp_path, shop_dataset("string"), "csv", UNTRACKED)
    reported = run_command("validate", config, "--as-of", "2024-03-31")
    quiet = run_command("validate", config, "--as-of", "2024-03-31", "--quiet")
    assert reported.stdout == quiet.stdout
    assert json.loads(reported.stdout)["num_interactions"] == 2500
    assert "interactions: 2,500 rows, 150 users, 60 items\n" in reported.stderr
    assert "\x1b" not in reported.stderr
    assert quiet.stderr == ""


def test_every_refusal_is_told(tmp_path: Path) -> None:
    """Of several faults the first is the error, the others come before it, the JSON has all."""
    dataset = shop_dataset("int64")
    strange = {
        name: table.set_column(0, key, pa.array(np.asarray(table[key]) + 1000))
        for name, key, table in (
            ("users", USER_ID, dataset.users), ("items", ITEM_ID, dataset.items)
        )
    }  # fmt: skip
    config = write_shop(tmp_path, replace(dataset, **strange), "parquet")
    done = run_command("validate", config, "--as-of", "2024-02-01")
    refusals = json.loads(done.stdout)["refusals"]
    assert len(refusals) == 2
    assert done.returncode == 3
    *reported, error = done.stderr.splitlines()
    assert f"refused: {refusals[1]}" in reported
    assert error == f"error: {refusals[0]}"
