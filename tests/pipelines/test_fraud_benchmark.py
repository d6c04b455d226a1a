"""The benchmark command is a contract: scores and figures out, and labels only where asked for."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank import LABELS, SMALL_SCORER, START, Done, bank_log, days_of, run_bank
from shop import UNTRACKED

TRAIN_END, TEST_START, TEST_END = 60, 65, 75
MEASURES = {
    "auc",
    "average_precision",
    "account_day_average_precision",
    "card_precision@100",
    "precision@5_per_day",
}
COSTS = {"fit_s", "score_s", "transactions_per_s", "peak_rss_mb"}
FILES = ("transaction_scores.parquet", "account_scores.parquet")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled log, the same log with its labels shuffled, and a config."""
    folder = tmp_path_factory.mktemp("benchmark")
    table = bank_log()
    pq.write_table(table, folder / "log.parquet")
    shuffled = np.random.default_rng(0).permutation(np.asarray(table["is_fraud"]))
    place = table.column_names.index("is_fraud")
    pq.write_table(
        table.set_column(place, "is_fraud", pa.array(shuffled)), folder / "shuffled.parquet"
    )
    pq.write_table(table.drop_columns("is_fraud"), folder / "unlabelled.parquet")
    config = '[data]\ntransactions = "none"\n' + SMALL_SCORER + LABELS + UNTRACKED
    (folder / "bank.toml").write_text(config)
    return folder


def benchmark(
    files: Path,
    out: Path,
    *options: object,
    log: str = "log",
    days: tuple[int, int, int] = (TRAIN_END, TEST_START, TEST_END),
) -> Done:
    """Run the command in this process."""
    names = ("--train-end", "--test-start", "--test-end")
    days = [
        word
        for name, day in zip(names, days, strict=True)
        for word in (name, START + timedelta(days=day))
    ]
    return run_bank(
        "benchmark", "fraud", "--config", files / "bank.toml", "--out", out, "--quiet",
        "--transactions", files / f"{log}.parquet", *days, *options,
    )  # fmt: skip


def figures_of(out: Path) -> dict[str, object]:
    """What was measured."""
    return json.loads((out / "metrics.json").read_text())


def bytes_of(out: Path) -> list[bytes]:
    """Both score files."""
    return [(out / file).read_bytes() for file in FILES]


@pytest.fixture(scope="module")
def unlabelled(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output without labels."""
    out = tmp_path_factory.mktemp("unlabelled") / "deep" / "out"
    done = benchmark(files, out)
    assert (done.code, done.messages) == (0, "")
    assert done.status == figures_of(out)
    return out


@pytest.fixture(scope="module")
def labelled(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output with labels that are seven days late."""
    out = tmp_path_factory.mktemp("labelled") / "out"
    assert benchmark(files, out, "--label-delay-days", 7).code == 0
    return out


@pytest.fixture
def untouched(files: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The files, and a folder to write to that does not exist."""
    return files, tmp_path / "out"


def test_metrics_have_every_key_of_the_contract(unlabelled: Path, labelled: Path) -> None:
    """Measures with the ceiling of each, costs, baselines and what was learnt from are there."""
    for out, labels in ((unlabelled, "none"), (labelled, "7 days late")):
        figures = figures_of(out)
        assert set(figures) >= MEASURES | COSTS
        assert set(figures["ceilings"]) == MEASURES
        for name in MEASURES:
            assert 0 <= figures[name] <= figures["ceilings"][name] <= 1
        assert all(figures[name] > 0 for name in COSTS)
        assert set(figures["baselines"]) == {
            "amount alone", "isolation forest", "nearest neighbours",
            "account surprise",
        }  # fmt: skip
        for result in figures["baselines"].values():
            assert set(result["values"]) == MEASURES
        assert figures["labels"] == labels
        days = days_of(bank_log())
        assert figures["num_train_rows"] == (days < TRAIN_END).sum()
        in_test = (days >= TEST_START) & (days < TEST_END)
        assert figures["num_transactions"] == in_test.sum()
        assert figures["num_frauds"] == np.asarray(bank_log()["is_fraud"])[in_test].sum()
        assert TRAIN_END - 1 <= figures["history_days"] <= TRAIN_END


def test_score_files_hold_the_test_days(unlabelled: Path) -> None:
    """The columns are those of the contract, every test transaction and account-day is one row."""
    table, days = bank_log(), days_of(bank_log())
    in_test = (days >= TEST_START) & (days < TEST_END)
    scores = pq.read_table(unlabelled / FILES[0])
    assert scores.column_names == ["transaction_id", "anomaly_score"]
    assert (
        scores["transaction_id"].to_pylist()
        == table.filter(pa.array(in_test))["transaction_id"].to_pylist()
    )
    account_scores = pq.read_table(unlabelled / FILES[1])
    assert account_scores.column_names == ["account_id", "day", "account_score"]
    pairs = list(zip(*account_scores.to_pydict().values(), strict=True))
    expected = {
        (account, START + timedelta(days=int(day)))
        for account, day in zip(
            table.filter(pa.array(in_test))["account_id"].to_pylist(), days[in_test], strict=True
        )
    }
    assert len(pairs) == len(expected)
    assert {(account, day) for account, day, _ in pairs} == expected
    for values in (scores["anomaly_score"], account_scores["account_score"]):
        assert np.asarray(values).min() >= 0
        assert np.asarray(values).max() <= 1


def test_labels_only_measure_unless_asked_for(
    files: Path, unlabelled: Path, labelled: Path, tmp_path: Path
) -> None:
    """Shuffled labels give score files of the same bytes; labels that are asked for change them."""
    assert benchmark(files, tmp_path, log="shuffled").code == 0
    assert bytes_of(tmp_path) == bytes_of(unlabelled)
    assert figures_of(tmp_path)["auc"] != figures_of(unlabelled)["auc"]
    assert bytes_of(labelled) != bytes_of(unlabelled)
    assert figures_of(labelled)["average_precision"] > figures_of(unlabelled)["average_precision"]


def test_labels_that_come_too_late_do_not_matter(
    files: Path, unlabelled: Path, tmp_path: Path
) -> None:
    """With a delay that is longer than the log the scores are those without labels."""
    assert benchmark(files, tmp_path, "--label-delay-days", 100).code == 0
    assert bytes_of(tmp_path) == bytes_of(unlabelled)


def test_known_accounts_leave_the_measures_alone(
    files: Path, unlabelled: Path, tmp_path: Path
) -> None:
    """Accounts known to be compromised are not measured, and every row keeps its score."""
    assert benchmark(files, tmp_path, "--drop-known-compromised").code == 0
    assert bytes_of(tmp_path) == bytes_of(unlabelled)
    fewer, everything = figures_of(tmp_path), figures_of(unlabelled)
    assert fewer["num_transactions"] < everything["num_transactions"]
    assert fewer["num_frauds"] <= everything["num_frauds"]
    assert fewer["num_transactions"] == num_unknown()


def num_unknown() -> int:
    """Test rows of accounts without a fraud in the last training week, or later but a gap ago."""
    table, days, gap = bank_log(), days_of(bank_log()), TEST_START - TRAIN_END
    frauds: dict[str, list[int]] = {}
    rows = list(
        zip(table["account_id"].to_pylist(), days, table["is_fraud"].to_pylist(), strict=True)
    )
    for account, day, is_fraud in rows:
        if is_fraud and day >= TRAIN_END - 7:
            frauds.setdefault(account, []).append(int(day))
    return sum(
        TEST_START <= day < TEST_END
        and not any(fraud < TRAIN_END or fraud < day - gap for fraud in frauds.get(account, []))
        for account, day, _ in rows
    )


@pytest.mark.parametrize("days", [(60, 59, 75), (60, 65, 65), (60, 65, 64), (70, 65, 75)], ids=str)
def test_days_in_another_order_are_refused(
    untouched: tuple[Path, Path], days: tuple[int, int, int]
) -> None:
    """Training that ends after the test begins, or a test without a day, is no benchmark."""
    files, out = untouched
    done = benchmark(files, out, days=days)
    assert done.code == 2
    assert done.error.startswith(
        "error: --train-end, --test-start, --test-end: expected days in this order"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("log", "days", "code", "says"),
    [
        ("none", (60, 65, 75), 3, "none.parquet: expected a Parquet file or folder, or a CSV"),
        ("unlabelled", (60, 65, 75), 3, "column 'is_fraud': expected one column of that name"),
        ("log", (5, 65, 75), 3, "expected at least 500 transactions to fit on"),
        ("log", (60, 300, 310), 3, "expected transactions from 2024-10-27 to 2024-11-05, got none"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    untouched: tuple[Path, Path], log: str, days: tuple[int, int, int], code: int, says: str
) -> None:
    """What is missing or does not fit ends the run in one line, before anything is written."""
    files, out = untouched
    done = benchmark(files, out, log=log, days=days)
    assert done.code == code, done.messages
    (line,) = done.messages.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not out.exists()


def test_figures_are_never_overwritten(files: Path, unlabelled: Path) -> None:
    """A folder that holds scores is refused at once."""
    before = bytes_of(unlabelled), (unlabelled / "metrics.json").read_bytes()
    done = benchmark(files, unlabelled)
    assert done.code == 2
    assert "--out: expected a folder without transaction_scores.parquet" in done.error
    assert (bytes_of(unlabelled), (unlabelled / "metrics.json").read_bytes()) == before
