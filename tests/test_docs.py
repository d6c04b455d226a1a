"""The documents are checked like code: what they name exists, and what they show works."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import itertools
import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from scipy import sparse
from typer.testing import CliRunner

import recsys
from markdown_pages import ROOT, Page, all_pages, shell_lines, tree_paths
from pipelines.cli import app
from pipelines.config import JobConfig
from recsys import errors
from recsys.artifacts import BundleManifest
from recsys.config import parse_config
from recsys.publishing import RunManifest
from recsys.recommender.evaluate import evaluate_lists
from recsys.recommender.index import IndexReport
from recsys.recommender.lists import similar_items_schema
from recsys.recommender.model import Selection
from recsys.schema import recommendations_schema

PAGES = all_pages()
README = Page(ROOT / "README.md")
FORMATS = Page(ROOT / "docs" / "formats.md")
REFERENCE = runpy.run_path(str(ROOT / "docs" / "config_reference.py"))
SECTIONS: dict[str, type] = dict(REFERENCE["config_sections"](JobConfig))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def command_at(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after its name."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def recsys_calls(page: Page) -> Iterator[list[str]]:
    """Arguments of each call of the command in the shell blocks of a page."""
    for line in shell_lines(page):
        words = [word for word in shlex.split(line, comments=True) if "=" not in word.split("/")[0]]
        if words and Path(words[0]).name == "recsys":
            yield shlex.split(line[line.index(words[0]) :], comments=True)[1:]


@each_page
def test_calls_of_the_command_parse(page: Page) -> None:
    """Every call in a shell block is accepted by the real command line."""
    for call in recsys_calls(page):
        command, arguments = command_at(call)
        assert not hasattr(command, "commands"), f"recsys {' '.join(call)}: no such command"
        command.make_context("recsys", list(arguments))


@each_page
def test_commands_in_the_prose_exist(page: Page) -> None:
    """A command that is mentioned exists, and so do the options that are mentioned with it."""
    for span in page.spans:
        if not span.startswith("recsys "):
            continue
        command, rest = command_at(span.split()[1:])
        options = {name for one in command.params for name in one.opts} | {"--help"}
        unknown = {word for word in rest if word.startswith("-")} - options
        assert not unknown, span
        assert not hasattr(command, "commands") or all(word.startswith("-") for word in rest), span


def test_every_command_and_option_is_described() -> None:
    """The guide mentions each command, and each of its options."""
    guide = "\n".join(page.text for page in PAGES if page.name.startswith("docs/guide/"))
    pending = [("recsys", typer.main.get_command(app))]
    while pending:
        name, command = pending.pop()
        pending += [(f"{name} {one}", sub) for one, sub in getattr(command, "commands", {}).items()]
        if hasattr(command, "commands"):
            continue
        assert f"`{name}" in guide, name
        for option in (name for one in command.params for name in one.opts):
            assert not option.startswith("--") or option in guide, f"{name} {option}"


@each_page
def test_make_targets_exist(page: Page) -> None:
    """Every target that a document names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for text in (*page.spans, *shell_lines(page)):
        found = re.match(r"(?:\w+=\S+ )*make ([a-z]+)\b", text)
        assert found is None or re.search(rf"^{found[1]}:", makefile, re.MULTILINE), text


@each_page
def test_settings_in_blocks_are_accepted(page: Page) -> None:
    """Every TOML block parses as the settings of a job; a part of a file gets the path it needs."""
    for block in page.blocks("toml"):
        mapping = {"data": {"interactions": "log.parquet"}} | tomllib.loads(block)
        parse_config(JobConfig, mapping, source=page.name)


@each_page
def test_python_and_json_blocks_are_sound(page: Page) -> None:
    """Python blocks compile and import what this project has; JSON blocks parse."""
    for block in page.blocks("json"):
        json.loads(block)
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("recsys"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), block


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    """Every relative link names a file or folder, and its anchor a heading there."""
    for link in page.links:
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in Page(path).anchors, f"{page.name}: {link}"


@each_page
def test_paths_in_the_prose_exist(page: Page) -> None:
    """Every source or settings file that is named with its folder exists."""
    roots = [ROOT, ROOT / "recsys", ROOT / "recsys" / "recommender", page.path.parent]
    for span in page.spans:
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|toml|sh|env|md)", span):
            assert any((root / span).is_file() for root in roots), f"{page.name}: {span}"


def is_setting(dotted: str) -> bool:
    """Whether a dotted name is a section or a key of the config file."""
    place, _, key = dotted.rpartition(".")
    fields = REFERENCE["config_fields"]
    return dotted in SECTIONS or (place in SECTIONS and key in fields(SECTIONS[place]))


def is_name(dotted: str) -> bool:
    """Whether a dotted name is a module of the library, or something in one."""
    words = dotted.removeprefix("recsys.").split(".")
    for cut in (len(words), len(words) - 1):
        try:
            found: object = importlib.import_module(".".join(["recsys", *words[:cut]]))
        except ModuleNotFoundError:
            continue
        return all(hasattr(found, word) for word in words[cut:])
    return False


@each_page
def test_dotted_names_in_the_prose_exist(page: Page) -> None:
    """A name such as `model.temperature` is a setting, or something in the library."""
    heads = {place.split(".")[0] for place in SECTIONS} | {"recsys", "recommender"}
    for span in page.spans:
        table = re.fullmatch(r"\[([a-z_.]+)\]", span)
        if table:
            assert any(place.startswith(table[1]) for place in SECTIONS), f"{page.name}: {span}"
        dotted = span.partition(" = ")[0]
        is_file = dotted.endswith((".json", ".bin", ".py", ".parquet", ".html", ".md"))
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", dotted) and dotted.split(".")[0] in heads:
            assert is_file or is_setting(dotted) or is_name(dotted), f"{page.name}: {span}"


def test_the_reference_of_settings_is_current() -> None:
    """The page is what the script writes from the config classes; if not, run the script."""
    assert REFERENCE["TARGET"].read_text(encoding="utf-8") == REFERENCE["reference"]()


@pytest.mark.parametrize("place", SECTIONS)
def test_every_setting_is_in_the_reference(place: str) -> None:
    """Each section of the config file has a heading, and each plain key a row with a meaning."""
    page = Page(REFERENCE["TARGET"])
    rows = {row[0]: row for table in page.tables(f"`[{place}]`") for row in table}
    is_repeated = "The keys of" in page.section(f"`[{place}]`")
    for field in dataclasses.fields(SECTIONS[place]):
        is_plain = not any(other.startswith(f"{place}.{field.name}") for other in SECTIONS)
        if is_plain and not is_repeated:
            assert rows[field.name][3], f"{place}.{field.name}"


def test_the_readme_starts_with_ten_lines_that_work(tmp_path: Path) -> None:
    """The first settings in the README have ten lines, and tables of that kind pass validation."""
    settings = README.blocks("toml")[0]
    log = {
        "customer": ["007", "8"],
        "article": [1, 2],
        "bought_at": [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2)],
    }
    items = {"article": [1, 2], "department": ["toys", None], "tags": [["red", "new"], []]}
    pq.write_table(pa.table(log), tmp_path / "purchases.parquet")
    pq.write_table(pa.table(items), tmp_path / "articles.parquet")
    (tmp_path / "shop.toml").write_text(settings)
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "shop.toml"), "--quiet"])

    assert len(settings.splitlines()) == 10
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["num_users"] == 2


def test_the_tree_of_the_readme_is_the_real_one() -> None:
    """Every path in the tree exists, and every module of both packages' first level is in it."""
    paths = tree_paths(README.blocks("text")[-1])
    missing = [path for path in paths if not (ROOT / path).exists()]
    modules = [
        path.relative_to(ROOT).as_posix()
        for package in ("recsys", "pipelines")
        for path in (ROOT / package).iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    ]

    assert missing == []
    assert [module for module in modules if module not in paths] == []


@pytest.mark.parametrize(
    ("heading", "schema"),
    [
        ("Recommendations", recommendations_schema(pa.string(), pa.int64())),
        ("Similar items", similar_items_schema(pa.int64())),
    ],
)
def test_schemas_are_described_as_they_are(heading: str, schema: pa.Schema) -> None:
    """The page of formats has the columns of each output, in their order, with their types."""
    (rows,) = FORMATS.tables(heading)

    assert [row[0] for row in rows] == schema.names
    for row, field in zip(rows, schema, strict=True):
        assert str(field.type) in row[1].split(" or ")
        assert not field.nullable


@pytest.mark.parametrize(
    ("heading", "number", "fields"),
    [
        ("A published run", 0, RunManifest),
        ("A bundle", 0, BundleManifest),
        ("The model", 1, Selection),
        ("The index", 1, IndexReport),
    ],
)
def test_documents_are_described_as_they_are(heading: str, number: int, fields: type) -> None:
    """The page of formats has the fields of each JSON document, in their order."""
    rows = FORMATS.tables(heading)[number]

    assert [row[0] for row in rows] == [field.name for field in dataclasses.fields(fields)]


def test_exit_codes_are_those_of_the_errors() -> None:
    """The guide has each kind of error that ends a job with a code of its own."""
    rows = Page(ROOT / "docs" / "guide" / "nightly.md").tables("What a scheduler sees")[0]
    told = {row[1].partition(":")[0]: int(row[0]) for row in rows}
    kinds = [errors.RecsysError, *errors.RecsysError.__subclasses__()]

    assert {kind.__name__: kind.exit_code for kind in kinds}.items() <= told.items()


def test_measures_are_those_of_an_evaluation() -> None:
    """The guide explains every measure that an evaluation reports, and no other."""
    rows = Page(ROOT / "docs" / "guide" / "evaluation.md").tables("Measures")[0]
    log = sparse.csr_array(np.eye(2, dtype=np.float32))
    found = evaluate_lists(
        np.array([[1], [0]]), log, train=log, ks=(1,), item_embeddings_CD=np.eye(2)
    )

    assert {row[0] for row in rows} == {
        name.partition("@")[0] for name in found.overall if not name.endswith("_margin")
    }


def test_the_sample_is_what_its_page_says() -> None:
    """Columns, types, order and numbers of the sample data are those on its page."""
    page = Page(ROOT / "data" / "README.md")
    log, items = (
        pq.read_table(ROOT / "data" / "sample" / f"movietweetings_{name}.parquet")
        for name in ("interactions", "items")
    )
    told = page.tables("The sample: MovieTweetings 100K")
    genres = [genre for row in items["genres"].to_pylist() for genre in row]

    for rows, table in zip(told, (log, items), strict=True):
        assert [(row[0], row[1]) for row in rows] == [
            (one.name, str(one.type)) for one in table.schema
        ]
    for number in (log.num_rows, len(log["user_id"].unique()), len(log["item_id"].unique())):
        assert f"{number:,} " in page.text
    assert log.equals(log.sort_by([("user_id", "ascending"), ("item_id", "ascending")]))
    assert log.group_by(["user_id", "item_id"]).aggregate([]).num_rows == log.num_rows
    assert f"{len(set(genres) - {''})} genres; {genres.count('')} films" in page.text


def test_the_layers_are_those_that_are_checked() -> None:
    """The table of layers in the architecture is the contract that import-linter checks."""
    rows = Page(ROOT / "docs" / "architecture.md").tables("Two packages, one direction")[0]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]

    assert [row[0].split(", ") for row in rows] == [layer.split(" | ") for layer in layers]


def test_the_changelog_has_this_version() -> None:
    """The version of the package is a heading of the changelog and that of the project file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == recsys.__version__
    assert f"## [{recsys.__version__}]" in Page(ROOT / "CHANGELOG.md").text


def test_decisions_are_numbered_without_gaps() -> None:
    """The pages of decisions count from 1, and the title of each has its number."""
    pages = [page for page in PAGES if page.name.startswith("docs/decisions/")]

    for number, page in zip(itertools.count(1), pages, strict=False):
        assert int(page.path.name[:4]) == number
        assert re.match(rf"# 0*{number}[.:] ", page.text)
