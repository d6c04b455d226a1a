"""The documents state facts of the code: schemas, codes, measures, layers, and the sample data."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
import tomllib
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from markdown_pages import ROOT, Page, all_pages
from scipy import sparse

import recsys
from recsys import errors
from recsys.artifacts import BundleManifest
from recsys.datasets.transactions.quarantine_report import REASONS
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.evaluation.metrics import Scored, measure_fraud
from recsys.fraud.profiles.arrays import EVIDENCE
from recsys.publishing import RunManifest
from recsys.recommender.evaluation.evaluate import evaluate_lists
from recsys.recommender.index import IndexReport
from recsys.recommender.lists.list_files import similar_items_schema
from recsys.recommender.model import Selection
from recsys.schema import (
    account_scores_schema,
    account_vectors_schema,
    recommendations_schema,
    transaction_scores_schema,
)

FORMATS = Page(ROOT / "docs" / "formats.md")
GUIDE = ROOT / "docs" / "guide"


@pytest.mark.parametrize(
    ("heading", "schema"),
    [
        ("Recommendations", recommendations_schema(pa.string(), pa.int64())),
        ("Similar items", similar_items_schema(pa.int64())),
        ("Transaction scores", transaction_scores_schema(pa.int64(), pa.string(), ("KIND",))),
        ("Account scores", account_scores_schema(pa.string())),
        ("Account vectors", account_vectors_schema(pa.string(), 272)),
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

    aliases = {
        name: field.serialization_alias
        for name, field in getattr(fields, "__pydantic_fields__", {}).items()
    }
    names = [field.name for field in dataclasses.fields(fields)]
    assert [row[0] for row in rows] == [aliases.get(name) or name for name in names]


def test_exit_codes_are_those_of_the_errors() -> None:
    """The guide has each kind of error that ends a job with a code of its own."""
    rows = Page(GUIDE / "nightly.md").tables("What a scheduler sees")[1]
    reported = {row[1].partition(":")[0]: int(row[0]) for row in rows}
    known = [errors.RecsysError, *errors.RecsysError.__subclasses__()]
    kinds = [kind for kind in known if kind.__module__ == errors.__name__]

    assert {kind.__name__: kind.exit_code for kind in kinds}.items() <= reported.items()


def test_measures_are_those_of_an_evaluation() -> None:
    """The guide explains every measure that an evaluation reports, and no other."""
    rows = Page(GUIDE / "evaluation.md").tables("Measures")[0]
    log = sparse.csr_array(np.eye(2, dtype=np.float32))
    found = evaluate_lists(
        np.array([[1], [0]]), log, train=log, ks=(1,), item_embeddings_CD=np.eye(2)
    )

    assert {row[0] for row in rows} == {
        name.partition("@")[0] for name in found.overall if not name.endswith("_margin")
    }


def test_fraud_measures_are_those_of_an_evaluation() -> None:
    """The guide explains every measure of fraud scores, and no other."""
    rows = Page(GUIDE / "fraud-outputs.md").tables("Measures")[0]
    scored = Scored(scores=np.array([0.1, 0.9]), accounts=np.array([0, 1]), days=np.array([0, 0]))
    measured = measure_fraud(scored, np.array([False, True]), scored)

    assert [row[0] for row in rows] == list(measured.values) == list(measured.ceilings)


def test_kinds_of_evidence_are_those_of_the_pass() -> None:
    """The guide explains every kind of evidence that the pass measures, in its order."""
    rows = Page(GUIDE / "fraud-outputs.md").tables("Evidence")[0]

    assert tuple(row[0] for row in rows) == EVIDENCE


def test_reasons_of_the_quarantine_are_explained() -> None:
    """The guide explains every reason to set a row aside, in the order they are looked at."""
    rows = Page(GUIDE / "fraud.md").tables("Rows that are set aside")[0]

    assert tuple(row[0] for row in rows) == REASONS


def test_modes_of_alerts_are_explained() -> None:
    """The guide explains every way to choose alerts."""
    rows = Page(GUIDE / "fraud.md").tables("Alerts")[0]
    modes = typing.get_args(typing.get_type_hints(AlertConfig)["mode"])

    assert tuple(row[0] for row in rows) == modes


def test_the_transactions_of_the_sample_are_what_their_page_says() -> None:
    """Columns, types, order and numbers of the sample of transactions are those on its page."""
    page = Page(ROOT / "data" / "README.md")
    log = pq.read_table(ROOT / "data" / "sample" / "sparkov_transactions.parquet")
    (rows,) = page.tables("The sample: Sparkov")
    accounts, merchants = (len(log[name].unique()) for name in ("account_id", "merchant_id"))
    reported = " ".join(page.section("The sample: Sparkov").split())

    assert [(row[0], row[1]) for row in rows] == [(one.name, str(one.type)) for one in log.schema]
    assert (
        f"{log.num_rows:,} transactions of {accounts} accounts with {merchants} merchants"
        in reported
    )
    assert f"of which {pc.sum(log['is_fraud'])} are frauds" in reported
    assert f"{len(log['category'].unique())} of them" in reported
    assert log.equals(log.sort_by("event_time"))
    assert len(log["transaction_id"].unique()) == log.num_rows


def test_the_sample_is_what_its_page_says() -> None:
    """Columns, types, order and numbers of the sample data are those on its page."""
    page = Page(ROOT / "data" / "README.md")
    log, items = (
        pq.read_table(ROOT / "data" / "sample" / f"movietweetings_{name}.parquet")
        for name in ("interactions", "items")
    )
    reported = page.tables("The sample: MovieTweetings 100K")
    genres = [genre for row in items["genres"].to_pylist() for genre in row]

    for rows, table in zip(reported, (log, items), strict=True):
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
    pages = [page for page in all_pages() if page.name.startswith("docs/decisions/")]

    for number, page in zip(itertools.count(1), pages, strict=False):
        assert int(page.path.name[:4]) == number
        assert re.match(rf"# 0*{number}[.:] ", page.text)


def test_answers_to_newcomers_name_what_exists() -> None:
    """Each answer names files, and after each file functions or classes that it defines."""
    rows = Page(ROOT / "docs" / "architecture.md").tables("Where is …?")[0]

    assert len(rows) >= 10
    for question, answer in rows:
        found = re.findall(r"([\w/]+\.py) \(([\w, ]+)\)", answer.replace("`", ""))
        assert found, question
        for path, names in found:
            file = next(at / path for at in (ROOT, ROOT / "recsys") if (at / path).is_file())
            body = ast.parse(file.read_text(encoding="utf-8")).body
            targets = [
                name for node in body if isinstance(node, ast.Assign) for name in node.targets
            ]
            defined = {getattr(node, "name", "") for node in body}
            defined |= {name.id for name in targets if isinstance(name, ast.Name)}
            assert set(names.split(", ")) <= defined, f"{question} {path}"
