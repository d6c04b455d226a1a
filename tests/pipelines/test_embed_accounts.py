"""Account vectors by the command: published, skipped, refused, and equal to the library's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank import LAST, NIGHT, START, first_month, run_bank, stock, write_bank
from shop import contents, run_command

from recsys.errors import PublishError
from recsys.fraud.storage.model_bundle import load_fraud_model
from recsys.fraud.vectors.account_vectors import account_vectors
from recsys.fraud.vectors.vector_outputs import VECTORS_FILE, audit_vectors
from recsys.publishing import current_run, verify_run
from recsys.schema import ACCOUNT_ID, account_vectors_schema


@pytest.fixture(scope="module")
def stocked_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with a model."""
    return stock(tmp_path_factory.mktemp("stocked")).parent


@pytest.fixture
def bank(stocked_bank: Path, tmp_path: Path) -> Path:
    """A stocked bank to run the command on; the path of its config."""
    return shutil.copytree(stocked_bank, tmp_path / "bank") / "bank.toml"


def embed(config: Path, day: date = LAST, *options: object) -> object:
    """Run the command in this process."""
    return run_bank("embed-accounts", config, "--as-of", day, *options)


def test_vectors_are_published_and_those_of_the_library(bank: Path) -> None:
    """By the installed command: schema, ids, counts, days, vectors, manifest, status."""
    done = run_command("embed-accounts", bank, "--as-of", NIGHT)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout.splitlines()[-1])
    run = current_run(bank.parent / "runs" / "account-vectors")
    assert (status["outcome"], status["live"], status["day"]) == ("PUBLISHED", True, str(NIGHT))
    assert Path(status["account_vectors"]) == run / VECTORS_FILE
    assert verify_run(run).files.keys() == {VECTORS_FILE}

    table = pq.read_table(run / VECTORS_FILE)
    folder = current_run(bank.parent / "runs" / "fraud-models") / "model"
    model, bundle = load_fraud_model(folder)
    log = first_month()
    at = (NIGHT - date(1970, 1, 1)).days + 1
    before = log.filter(pa.array([time.date() <= NIGHT for time in log["event_time"].to_pylist()]))
    found = account_vectors(model, before, at=at)
    width = found.vectors.shape[1]
    assert table.schema.equals(account_vectors_schema(pa.string(), width))
    rows = before.to_pandas().groupby(ACCOUNT_ID)
    assert table[ACCOUNT_ID].to_pylist() == list(rows.groups)
    assert table["num_transactions"].to_pylist() == rows.size().tolist()
    assert table["last_day"].to_pylist() == rows["event_time"].max().dt.date.tolist()
    assert set(table["bundle_id"].to_pylist()) == {bundle.fingerprint}
    vectors = np.asarray(table["vector"].combine_chunks().flatten()).reshape(-1, width)
    np.testing.assert_array_equal(vectors, found.vectors)
    assert (status["accounts"], status["width"]) == vectors.shape
    assert status["used"] == before.num_rows == status["rows"] - status["later"]


def test_the_same_again_is_skipped(bank: Path) -> None:
    """Exit code 7 and nothing changes; --force runs it all the same, to the same digest."""
    first = embed(bank)
    assert first.code == 0, first.messages
    before = contents(bank.parent)
    again = embed(bank)
    assert (again.code, again.status["outcome"]) == (7, "SKIPPED")
    assert contents(bank.parent) == before
    forced = embed(bank, LAST, "--force")
    assert (forced.code, forced.status["digest"]) == (0, first.status["digest"])


def test_without_a_model_there_is_nothing_to_embed_with(tmp_path: Path) -> None:
    """One line names the command that makes a model."""
    config = write_bank(tmp_path, table=first_month())
    done = embed(config)
    assert done.code == 4
    assert (
        "expected a published fraud model, got none; run `recsys train-fraud` first" in done.error
    )


@pytest.mark.parametrize(
    ("change", "day", "says"),
    [
        (lambda table: table.drop_columns("amount"), LAST, "column 'amount': expected one column"),
        (lambda table: table, LAST + timedelta(days=9), "column 'event_time': freshness: expected"),
        (
            lambda table: table, START - timedelta(days=1),
            f"column 'event_time': expected transactions up to {START - timedelta(days=1)} (UTC)",
        ),
        (lambda table: table.slice(0, 0), LAST, "expected at least one transaction, got an empty"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(
    bank: Path, change: Callable[[pa.Table], pa.Table], day: date, says: str
) -> None:
    """Held with exit code 3; what was live stays."""
    assert embed(bank, NIGHT).code == 0
    live = current_run(bank.parent / "runs" / "account-vectors")
    file = bank.parent / "transactions.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    before = contents(bank.parent)
    done = embed(bank, day, "--quiet", "--set", f"input_checks.enabled={str(day >= LAST).lower()}")
    assert (done.code, done.status["outcome"]) == (3, "HELD"), done.messages
    assert says in done.error
    assert len(done.messages.splitlines()) == 1
    assert contents(bank.parent) == before
    assert current_run(bank.parent / "runs" / "account-vectors") == live


@pytest.mark.parametrize(
    ("counts", "rule"),
    [((1, 0), "accounts, each once"), ((0, 1), "transactions"), ((0, 0), "days up to")],
)
def test_the_audit_reads_what_was_written(bank: Path, counts: tuple[int, int], rule: str) -> None:
    """What the table does not hold is refused."""
    status = embed(bank).status
    folder = Path(str(status["account_vectors"])).parent
    with pytest.raises(PublishError, match=rule):
        audit_vectors(
            folder,
            day=LAST - timedelta(days=1),
            num_accounts=int(str(status["accounts"])) + counts[0],
            num_transactions=int(str(status["used"])) + counts[1],
        )
