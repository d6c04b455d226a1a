"""Labels are never ignored in silence: what matched, what is missing, what is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import (
    LABELS,
    LAST,
    QUICK,
    SMALL_SCORER,
    TRAINED,
    bank_log,
    days_of,
    first_month,
    labels,
    run_bank,
    transactions,
    write_bank,
)
from shop import UNTRACKED


def bank(folder: Path, labelled: pa.Table) -> Path:
    """A bank of a month with some labels."""
    return write_bank(
        folder, SMALL_SCORER, LABELS, UNTRACKED, table=first_month(), labelled=labelled
    )


def with_ids(table: pa.Table, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    """Labels with other ids."""
    return table.set_column(0, "transaction_id", change(table["transaction_id"]))


WRONG = {
    "case": pc.utf8_upper,
    "zeros in front": lambda ids: pc.binary_join_element_wise("00", ids, ""),
    "spaces": lambda ids: pc.binary_join_element_wise(ids, " ", ""),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("command", ["train-fraud", "validate-transactions"])
def test_labels_that_match_nothing_hold_the_run(tmp_path: Path, kind: str, command: str) -> None:
    """Ids that differ by case, zeros or spaces are told, and nothing becomes live."""
    config = bank(tmp_path, with_ids(labels(), WRONG[kind]))
    day = ("--as-of", LAST) if command == "train-fraud" else ()
    done = run_bank(command, config, *day)
    assert done.code == 3
    assert done.status["outcome"] in {"HELD", "REFUSED", "FAILED"}
    assert f"got none of its {labels().num_rows:,} rows" in done.messages
    assert not list(tmp_path.glob("runs/fraud-models/CURRENT"))


def test_frauds_that_match_nothing_hold_the_run(tmp_path: Path) -> None:
    """Legitimate rows that match do not hide that no fraud does."""
    table = labels()
    ids = pc.if_else(
        table["is_fraud"], pc.utf8_upper(table["transaction_id"]), table["transaction_id"]
    )
    done = run_bank("validate-transactions", bank(tmp_path, with_ids(table, lambda _: ids)))
    assert done.code == 3
    assert "labels that say fraud" in done.messages


def test_labels_that_match_little_are_a_warning(tmp_path: Path) -> None:
    """Two in three labels of other transactions are told with their number."""
    done = run_bank("validate-transactions", bank(tmp_path, labels()))
    matched = first_month().num_rows
    assert done.code == 0
    assert f"warning: labels: {matched:,} of {labels().num_rows:,} rows are about" in done.messages


def test_known_frauds_and_legitimate_transactions_are_counted(tmp_path: Path) -> None:
    """`validate-transactions` says how many labels of each kind the log has."""
    config = write_bank(
        tmp_path, SMALL_SCORER, LABELS, UNTRACKED, table=transactions(), labelled=labels()
    )
    done = run_bank("validate-transactions", config)
    frauds = int(pc.sum(labels()["is_fraud"]).as_py())
    rest = labels().num_rows - frauds
    assert f"labels: {frauds:,} frauds and {rest:,} legitimate transactions" in done.messages


def test_why_labels_are_not_used_is_said(tmp_path: Path) -> None:
    """Fewer known frauds than trees need: the number and the setting are named."""
    late = ("--set", "labels.delay_days=40")
    done = run_bank("train-fraud", bank(tmp_path, labels()), "--as-of", LAST, *QUICK, *late)
    assert done.code == 0
    assert "warning: labels: not used for scores: 0 frauds are known" in done.messages
    assert "[labels.meta_model] min_frauds" in done.messages


def test_frauds_alone_are_as_good_as_all_labels(tmp_path: Path) -> None:
    """Without the rows that say legitimate the model is the same, and that is said."""
    digests = []
    for name, table in (("all", labels()), ("alone", labels().filter(labels()["is_fraud"]))):
        folder = tmp_path / name
        folder.mkdir()
        config = write_bank(
            folder, SMALL_SCORER, LABELS, UNTRACKED, table=transactions(), labelled=table
        )
        done = run_bank("train-fraud", config, "--as-of", TRAINED, *QUICK)
        assert done.code == 0
        assert ("frauds alone" in done.messages) == (name == "alone")
        run = Path(str(done.status["run"]))
        figures = json.loads((run / "metrics.json").read_text())
        assert figures["fit"]["uses_labels"] is True
        manifest = json.loads((run / "model" / "manifest.json").read_text())
        digests.append(manifest["fingerprint"])
    assert digests[0] == digests[1]


def test_only_labelled_rows_are_measured(tmp_path: Path) -> None:
    """Rows without a label are not legitimate: they are left out of the measures, and counted."""
    table = bank_log()
    is_told = pa.array(np.arange(table.num_rows) % 3 == 0)
    known = pc.if_else(pc.or_(table["is_fraud"], is_told), table["is_fraud"], None)
    table = table.set_column(table.column_names.index("is_fraud"), "is_fraud", known)
    pq.write_table(table, tmp_path / "log.parquet")
    (tmp_path / "c.toml").write_text('[data]\ntransactions = "none"\n' + SMALL_SCORER + UNTRACKED)
    done = run_bank(
        "benchmark", "fraud", "--config", tmp_path / "c.toml", "--out", tmp_path / "out",
        "--transactions", tmp_path / "log.parquet", "--train-end", "2024-03-01",
        "--test-start", "2024-03-01", "--test-end", "2024-03-20", *QUICK[:2],
    )  # fmt: skip
    assert done.code == 0, done.messages
    in_test = (days_of(table) >= 60) & (days_of(table) < 79)
    labelled = int(np.sum(in_test & np.asarray(pc.is_valid(table["is_fraud"]))))
    assert done.status["num_transactions"] == labelled
    assert f"measured: {labelled:,} of {int(in_test.sum()):,} test transactions" in done.messages
