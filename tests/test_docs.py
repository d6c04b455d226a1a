"""The documents are checked like code: what they name exists, and what they show works."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from markdown_pages import ROOT, Page, all_pages, shell_lines, tree_paths
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.fraud.config import FraudJobConfig
from pipelines.recommender.config import JobConfig
from recsys.config import parse_config
from recsys.datasets.synthetic.transactions import synthetic_transactions

PAGES = all_pages()
FEW_LINES = 12
README = Page(ROOT / "README.md")
REFERENCE = runpy.run_path(str(ROOT / "docs" / "config_reference.py"))
PARTS: dict[str, type] = REFERENCE["PARTS"]
SECTIONS: list[tuple[str, str, type]] = [
    (part, place, section)
    for part, config in PARTS.items()
    for place, section in (("", config), *REFERENCE["config_sections"](config))
]
PLACES = {place for _, place, _ in SECTIONS if place}


def on_every_page(law: Callable[[Page], None]) -> Callable[[], None]:
    """One test of what holds on every page; its failure names each page that breaks it."""

    def test() -> None:
        found = [(page.name, fault) for page in PAGES if (fault := fault_of(law, page))]
        assert not found, "\n".join(f"{name}: {fault}" for name, fault in found)

    test.__name__, test.__doc__ = law.__name__, law.__doc__
    return test


def fault_of(law: Callable[..., None], *arguments: object) -> str:
    """How a law is broken; empty where it holds."""
    try:
        law(*arguments)
    except Exception as error:  # noqa: BLE001  whatever a page lacks is told together
        return f"{type(error).__name__}: {error}"
    return ""


@cache
def command_line() -> TyperGroup:
    """All commands, with the options of completion."""
    found = typer.main.get_command(app)
    assert isinstance(found, TyperGroup)
    return found


@cache
def known_options() -> set[str]:
    """Options of any command."""
    return {name for _, command in all_commands() for name in options_of(command)}


def command_at(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that the first words name, and the words after its name."""
    command: TyperCommand | TyperGroup = command_line()
    while words and isinstance(command, TyperGroup) and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def recsys_calls(page: Page) -> Iterator[list[str]]:
    """Arguments of each call of the command in the shell blocks of a page."""
    for line in shell_lines(page):
        found = re.match(r"(?:\w+=\S+ )*(?:\S*/)?recsys (.*)", line.strip())
        if found:
            yield shlex.split(found[1], comments=True)


@on_every_page
def test_calls_of_the_command_parse(page: Page) -> None:
    """Every call in a shell block is accepted by the real command line."""
    for call in recsys_calls(page):
        command, arguments = command_at(call)
        assert isinstance(command, TyperCommand), f"recsys {' '.join(call)}: no such command"
        command.make_context("recsys", list(arguments))


def all_commands(
    name: str = "recsys", group: TyperGroup | None = None
) -> Iterator[tuple[str, TyperCommand]]:
    """Names and commands, groups left out."""
    group = command_line() if group is None else group
    for word, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from all_commands(f"{name} {word}", command)
        else:
            yield f"{name} {word}", command


def options_of(command: TyperCommand | TyperGroup) -> set[str]:
    """Long options of a command, but for `--help`, which every one has."""
    return {name for one in command.params for name in one.opts if name.startswith("--")}


@on_every_page
def test_commands_in_the_prose_exist(page: Page) -> None:
    """A command that is mentioned exists, and so do its options, and options by themselves."""
    for span in page.spans:
        if span.startswith("--") and page.name.startswith("docs/guide/"):
            assert re.findall(r"[\w-]+", span)[0] in known_options(), span
        if not span.startswith("recsys "):
            continue
        command, rest = command_at(span.split()[1:])
        options = {word for word in rest if word.startswith("--")}
        assert options <= options_of(command) | {"--help"}, span
        assert isinstance(command, TyperCommand) or len(options) == len(rest), span


def test_every_command_and_option_is_described() -> None:
    """The guide mentions each command, and each of its options."""
    guide = "\n".join(page.text for page in PAGES if page.name.startswith("docs/guide/"))
    for name, command in all_commands():
        assert f"`{name}" in guide, name
        for option in options_of(command):
            assert re.search(rf"{option}\b", guide), f"{name} {option}"


@on_every_page
def test_make_targets_exist(page: Page) -> None:
    """Every target that a document names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for text in (*page.spans, *shell_lines(page)):
        found = re.match(r"(?:\w+=\S+ )*make ([a-z]+)\b", text)
        assert found is None or re.search(rf"^{found[1]}:", makefile, re.MULTILINE), text


def config_of(mapping: dict[str, object], page: Page) -> tuple[type, str]:
    """The config that a block is of, by the table that it names or else by its page; that table."""
    data = mapping.get("data", {})
    assert isinstance(data, dict)
    is_fraud_page = page.name.startswith("docs/guide/fraud") and "interactions" not in data
    if "transactions" in data or is_fraud_page:
        return FraudJobConfig, "transactions"
    return JobConfig, "interactions"


@on_every_page
def test_settings_in_blocks_are_accepted(page: Page) -> None:
    """Every TOML block parses as the settings of a job; a part of a file gets the path it needs."""
    for block in page.blocks("toml"):
        mapping = tomllib.loads(block)
        config, table = config_of(mapping, page)
        data = {"data": {table: "log.parquet"}}
        parse_config(config, data | mapping, source=page.name)


@on_every_page
def test_python_and_json_blocks_are_sound(page: Page) -> None:
    """Python blocks compile and import what this project has; JSON blocks parse."""
    for block in page.blocks("json"):
        json.loads(block)
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("recsys"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), block


@on_every_page
def test_links_lead_somewhere(page: Page) -> None:
    """Every relative link names a file or folder, and its anchor a heading there."""
    for link in page.links:
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in Page(path).anchors, f"{page.name}: {link}"


@on_every_page
def test_paths_in_the_prose_exist(page: Page) -> None:
    """Every source or settings file that is named with its folder exists."""
    products = [ROOT / "recsys" / product for product in ("recommender", "fraud")]
    roots = [ROOT, ROOT / "recsys", *products, page.path.parent]
    for span in page.spans:
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|toml|sh|env|md)", span):
            assert any((root / span).is_file() for root in roots), f"{page.name}: {span}"


@cache
def is_setting(dotted: str) -> bool:
    """Whether a dotted name is a section or a key of a config file."""
    above, _, key = dotted.rpartition(".")
    fields = REFERENCE["config_fields"]
    return dotted in PLACES or any(
        place == above and key in fields(section) for _, place, section in SECTIONS
    )


@cache
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


@on_every_page
def test_dotted_names_in_the_prose_exist(page: Page) -> None:
    """A name such as `model.temperature` is a setting, or something in the library."""
    heads = {place.split(".")[0] for place in PLACES} | {"recsys", "recommender", "fraud"}
    for span in page.spans:
        table = re.fullmatch(r"\[([a-z_.]+)\]", span)
        if table:
            assert any(place.startswith(table[1]) for place in PLACES), f"{page.name}: {span}"
        dotted = span.partition(" = ")[0]
        is_file = dotted.endswith((".json", ".bin", ".py", ".parquet", ".html", ".md"))
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", dotted) and dotted.split(".")[0] in heads:
            assert is_file or is_setting(dotted) or is_name(dotted), f"{page.name}: {span}"


def test_the_reference_of_settings_is_current() -> None:
    """The page is what the script writes from the config classes; if not, run the script."""
    assert REFERENCE["TARGET"].read_text(encoding="utf-8") == REFERENCE["reference"]()


def test_every_setting_is_in_the_reference() -> None:
    """Each section of a config file has a heading, and each plain key a row with a meaning."""
    found = [(one[:2], fault) for one in SECTIONS if (fault := fault_of(check_section, *one))]
    assert not found, found


def check_section(part: str, place: str, section: type) -> None:
    """The heading and the rows of a section."""
    tables = {other for one, other, _ in SECTIONS if one == part}
    above = f"{place}." if place else ""
    plain = [
        field.name
        for field in dataclasses.fields(section)
        if not any(other.startswith(f"{above}{field.name}") for other in tables)
    ]
    if not place and not plain:
        return  # nothing stands above the tables
    page, heading = Page(REFERENCE["TARGET"]), REFERENCE["heading"](part, place)
    rows = {row[0]: row for table in page.tables(heading) for row in table}
    is_repeated = "The keys of" in page.section(heading)
    for name in plain:
        assert is_repeated or rows[name][3], f"{part}: {place}.{name}"


def test_the_readme_starts_with_lines_that_work(tmp_path: Path) -> None:
    """The first settings in the README are a few lines that validate tables of that kind."""
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

    assert len(settings.splitlines()) <= FEW_LINES
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["num_users"] == 2


def test_lines_of_the_guide_read_transactions(tmp_path: Path) -> None:
    """The first settings of the fraud guide are a few lines that validate a log of that kind.

    It is a generated log under the names that these settings give its columns.
    """
    settings = Page(ROOT / "docs" / "guide" / "fraud.md").blocks("toml")[0]
    config = parse_config(FraudJobConfig, tomllib.loads(settings), source="fraud.md")
    log = synthetic_transactions(num_accounts=20, num_days=10).table
    theirs = dataclasses.asdict(config.columns)
    log = log.rename_columns([theirs.get(name) or name for name in log.column_names])
    pq.write_table(log, tmp_path / config.data.transactions.name)
    (tmp_path / "bank.toml").write_text(settings)
    result = CliRunner().invoke(
        app, ["validate-transactions", str(tmp_path / "bank.toml"), "--quiet"]
    )

    assert len(settings.splitlines()) <= FEW_LINES
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["num_used"] == log.num_rows


def test_the_map_of_the_readme_exists() -> None:
    """Every path in the map of the README is in the tree."""
    paths = tree_paths(README.blocks("text")[-1])
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_page_of_modules_is_current() -> None:
    """docs/modules.md says what the docstrings say, for every module that there is."""
    module_map = runpy.run_path(str(ROOT / "docs" / "module_map.py"))
    assert module_map["PAGE"].read_text(encoding="utf-8") == module_map["page_text"]()
