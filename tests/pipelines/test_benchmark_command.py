"""The benchmark command is a contract: files in, lists and figures out, and no look at the test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shop import ITEM_FEATURES, SMALL_MODEL, run_main, shop_dataset, write_table

from recsys.schema import EVENT_TIME, ITEM_ID, USER_ID

K = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A train file, a part of it, two test files that share half of their users, and a config."""
    folder = tmp_path_factory.mktemp("benchmark")
    dataset = shop_dataset("string")
    log = dataset.interactions
    train, test = log[:2200], log[2200:]
    users = pc.unique(test[USER_ID])
    late = test.filter(pc.is_in(test[USER_ID], users[len(users) // 2 :]))
    new = pa.table({USER_ID: ["new"], ITEM_ID: ["unheard of"], EVENT_TIME: test[EVENT_TIME][:1]})
    tables = {
        "train": train, "valid": train[2000:], "test": test, "items": dataset.items,
        "other": pa.concat_tables([late, new]),
    }  # fmt: skip
    for name, table in tables.items():
        write_table(folder / f"{name}.parquet", table)
    numbers = pc.cast(test[USER_ID], pa.int64())
    write_table(folder / "numbers.parquet", test.set_column(0, USER_ID, numbers))
    config = '[data]\ninteractions = "none"\n' + SMALL_MODEL
    (folder / "small.toml").write_text(config)
    (folder / "featured.toml").write_text(config + ITEM_FEATURES)
    return folder


def benchmark(files: Path, out: Path, *options: object, config: str = "small") -> object:
    """Run the command in this process; its exit code."""
    defaults = ["--config", files / f"{config}.toml", "--k", K, "--out", out, "--quiet"]
    train = files / "train.parquet"
    return run_main("benchmark", "recommender", "--train", train, *defaults, *options)


@pytest.fixture(scope="module")
def first(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output on the first test file."""
    out = tmp_path_factory.mktemp("first") / "deep" / "out"
    assert benchmark(files, out, "--test", files / "test.parquet") == 0
    return out


@pytest.fixture
def shared(files: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The files, and a folder to write to that does not exist."""
    return files, tmp_path / "out"


def test_it_writes_lists_of_the_test_users(files: Path, first: Path) -> None:
    """Every user of the test file, and no other, has k distinct items that are not of train."""
    table = pq.read_table(first / "recommendations.parquet")
    assert table.column_names[:4] == [USER_ID, ITEM_ID, "rank", "score"]
    frame, train = table.to_pandas(), pq.read_table(files / "train.parquet").to_pandas()
    test_users = set(pq.read_table(files / "test.parquet")[USER_ID].to_pylist())
    seen = train.groupby(USER_ID)[ITEM_ID].agg(set).to_dict()
    num_items = train[ITEM_ID].nunique()
    assert set(frame[USER_ID]) == test_users
    for user, rows in frame.groupby(USER_ID):
        allowed = num_items - len(seen.get(user, set()))
        assert rows[ITEM_ID].nunique() == len(rows) == min(K, allowed)
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["score"].is_monotonic_decreasing
        assert not set(rows[ITEM_ID]) & seen.get(user, set())


def test_it_writes_the_figures(first: Path, files: Path) -> None:
    """The figures that are promised are there, and recall is what the written lists give."""
    figures = json.loads((first / "metrics.json").read_text())
    promised = {f"recall@{K}", f"ndcg@{K}", "fit_s", "score_s", "users_per_s", "peak_rss_mb"}
    assert promised <= set(figures)
    assert all(figures[name] > 0 for name in promised)
    assert figures["fit_s"] == pytest.approx(figures["select_s"] + figures["refit_s"])
    frame = pq.read_table(first / "recommendations.parquet").to_pandas()
    listed = frame.groupby(USER_ID)[ITEM_ID].agg(set).to_dict()
    test = pq.read_table(files / "test.parquet").to_pandas().groupby(USER_ID)[ITEM_ID].agg(set)
    recalls = [len(wanted & listed[user]) / len(wanted) for user, wanted in test.items()]
    assert figures[f"recall@{K}"] == pytest.approx(np.mean(recalls))
    assert figures["num_users"] == len(recalls)


def test_another_test_file_changes_no_list(files: Path, first: Path, tmp_path: Path) -> None:
    """Users of both test files get the same lists: the model is that of the train file alone."""
    assert benchmark(files, tmp_path, "--test", files / "other.parquet") == 0
    before, after = (
        pq.read_table(out / "recommendations.parquet").to_pandas().set_index(USER_ID)
        for out in (first, tmp_path)
    )
    shared = sorted(set(before.index) & set(after.index))
    assert len(shared) > 30
    assert set(after.index) - set(shared) == {"new"}
    columns = [ITEM_ID, "rank", "source"]
    assert before.loc[shared, columns].equals(after.loc[shared, columns])
    assert before.loc[shared, "score"].tolist() == pytest.approx(after.loc[shared, "score"])
    figures = [json.loads((out / "metrics.json").read_text()) for out in (first, tmp_path)]
    assert figures[0]["selection"] == figures[1]["selection"]


def test_features_and_a_validation_file_are_taken(files: Path, tmp_path: Path) -> None:
    """Items with features, and the part to select on, can be given."""
    code = benchmark(
        files, tmp_path, "--test", files / "test.parquet", "--valid", files / "valid.parquet",
        "--items", files / "items.parquet", config="featured",
    )  # fmt: skip
    assert code == 0
    assert json.loads((tmp_path / "metrics.json").read_text())[f"recall@{K}"] > 0


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--test", "none.parquet"], 3, "none.parquet: expected a Parquet file or folder, or a C"),
        (["--test", "numbers.parquet"], 3, "numbers.parquet: column 'user_id': expected string i"),
        (["--test", "test.parquet", "--valid", "test.parquet"], 3, "expected a part of the train"),
        (["--test", "test.parquet", "--set", "model.dropout=2"], 2, "model.dropout: expected a n"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    shared: tuple[Path, Path],
    options: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is missing or does not fit ends the run in one line, before anything is written."""
    files, out = shared
    words = [files / word if word.endswith(".parquet") else word for word in options]
    assert benchmark(files, out, *words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not out.exists()


def test_figures_are_never_overwritten(
    files: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds lists is refused at once."""
    before = (first / "metrics.json").read_bytes()
    assert benchmark(files, first, "--test", files / "test.parquet") == 2
    assert "error: --out: expected a folder without recommendations.parquet" in (
        capsys.readouterr().err
    )
    assert (first / "metrics.json").read_bytes() == before
