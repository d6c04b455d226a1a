"""Refusals of jobs that use a published model: nothing is written, what was live stays."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shop import contents, run_command, run_main

from recsys.schema import ITEM_ID, USER_ID

LIVE = "runs/models/runs/2024-03-31/live"


def flip_byte(file: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str]:
    """Exit code and error of the command, which has to be the only line."""
    code = run_main(*arguments)
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


@pytest.mark.parametrize("command", ["write-recommendations", "similar-items"])
def test_no_model_is_published_yet(shop_copy: Path, command: str) -> None:
    """Before the first training the message names the command that has to come first."""
    shutil.rmtree(shop_copy / "runs")
    before = contents(shop_copy)
    done = run_command(command, shop_copy / "shop.toml", "--quiet")
    says = (
        f"error: {shop_copy}/runs/models: expected a published model, got none; "
        "run `recsys train-recommender` first or correct output.directory\n"
    )
    assert (done.returncode, done.stderr) == (4, says)
    status = json.loads(done.stdout)
    assert (status["job"], status["outcome"], status["exit_code"]) == (command, "FAILED", 4)
    assert says == f"error: {status['message']}\n"
    assert contents(shop_copy) == before


def test_a_changed_byte_of_the_model_is_refused(shop_copy: Path) -> None:
    """One bit that flipped on the disk is found before the weights are used."""
    flip_byte(shop_copy / LIVE / "model/tensors/towers.safetensors")
    before = contents(shop_copy)
    done = run_command("write-recommendations", shop_copy / "shop.toml", "--quiet")
    assert done.returncode == 4
    assert json.loads(done.stdout)["outcome"] == "FAILED"
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {shop_copy / LIVE}/model: expected ")
    assert "'tensors/towers.safetensors'" in line
    assert contents(shop_copy) == before


@pytest.mark.parametrize("file", ["index/blobs/index.bin", "index/manifest.json"])
def test_a_changed_byte_of_the_index_is_refused(
    shop_copy: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The index is checked as the model is."""
    flip_byte(shop_copy / LIVE / file)
    code, line = refusal(capsys, "similar-items", shop_copy / "shop.toml")
    assert code == 4
    assert line.startswith(f"error: {shop_copy / LIVE}/index: expected ")


def test_the_index_of_another_model_is_refused(shop_copy: Path) -> None:
    """A sound index that was built from an older model does not serve the live one."""
    shutil.rmtree(shop_copy / LIVE / "index")
    shutil.copytree(
        shop_copy / "runs/models/runs/2024-03-31/older/index", shop_copy / LIVE / "index"
    )
    before = contents(shop_copy)
    done = run_command("write-recommendations", shop_copy / "shop.toml", "--quiet")
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "index" in line
    assert "model" in line
    assert contents(shop_copy) == before


def test_a_refused_training_leaves_the_live_model(shop_copy: Path) -> None:
    """Data that breaks a rule ends the training job before anything is trained or tracked."""
    items = pq.read_table(shop_copy / "items.parquet")
    prices = pa.chunked_array([pa.array([float("nan")] * items.num_rows, pa.float32())])
    pq.write_table(items.set_column(4, "price", prices), shop_copy / "items.parquet")
    config = shop_copy / "shop.toml"
    config.write_text(
        config.read_text().replace("enabled = false", "enabled = true")
        + '[features.items]\nprice = "numeric"\n'
    )
    before = contents(shop_copy)
    done = run_command("train-recommender", config, "--quiet", cwd=shop_copy)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {shop_copy}/items.parquet: column 'price': expected finite ")
    assert contents(shop_copy) == before


def test_one_publisher_at_a_time(shop_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While another run publishes, a second one gives up and leaves everything as it is."""
    (shop_copy / "runs/recommendations").mkdir()
    with (shop_copy / "runs/recommendations/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = contents(shop_copy)
        config = shop_copy / "shop.toml"
        code, line = refusal(capsys, "write-recommendations", config, "--quiet")
    assert code == 7
    assert line.startswith("skipped: ")
    assert "expected to be the only publisher, got another one at work; wait for it" in line
    assert contents(shop_copy) == before


def as_text(file: Path, *columns: str) -> None:
    """Write the ids of a file as text."""
    table = pq.read_table(file)
    for name in columns:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    pq.write_table(table, file)


def changed_ids(shop: Path) -> list[str]:
    """Users are text in all tables from now on."""
    as_text(shop / "interactions.parquet", USER_ID)
    as_text(shop / "users.parquet", USER_ID)
    return []


def denied_as_text(shop: Path) -> list[str]:
    """A deny list whose items are text."""
    pq.write_table(pa.table({USER_ID: [1], ITEM_ID: ["1"]}), shop / "deny.parquet")
    return [f"lists.deny={shop}/deny.parquet"]


def eligible_as_text(shop: Path) -> list[str]:
    """Eligible items as text."""
    pq.write_table(pa.table({ITEM_ID: ["1"]}), shop / "eligible.parquet")
    return [f"lists.eligible={shop}/eligible.parquet"]


def no_deny_list(shop: Path) -> list[str]:
    """A deny list that is not there: it must not pass for an empty one."""
    return [f"lists.deny={shop}/deny.parquet"]


def fewer_features(shop: Path) -> list[str]:
    """A feature that the model reads, no longer in the config."""
    config = shop / "shop.toml"
    config.write_text(config.read_text().replace('age = "numeric"\n', ""))
    return []


def another_kind(shop: Path) -> list[str]:
    """A feature that was a term and is a number now."""
    users = pq.read_table(shop / "users.parquet")
    numbers = pa.chunked_array([pa.array(range(users.num_rows))])
    place = users.column_names.index("segment")
    pq.write_table(users.set_column(place, "segment", numbers), shop / "users.parquet")
    return []


def future_events(shop: Path) -> list[str]:
    """Events of another century."""
    file = shop / "interactions.parquet"
    table = pq.read_table(file)
    later = pc.add(table["event_time"], pa.scalar(10**6 * 86_400 * 36_500, pa.duration("us")))
    pq.write_table(table.set_column(2, "event_time", later), file)
    return []


@pytest.mark.parametrize(
    ("breaking", "file", "says"),
    [
        (changed_ids, "interactions.parquet", "column 'user_id': expected int64 ids, as the pub"),
        (denied_as_text, "deny.parquet", "column 'item_id': expected int64 ids, as the published"),
        (eligible_as_text, "eligible.parquet", "column 'item_id': expected int64 ids, as the "),
        (no_deny_list, "deny.parquet", "expected a Parquet file or folder, or a CSV file, got no"),
        (fewer_features, "users.parquet", "column 'age': expected float, as the feature 'age' th"),
        (another_kind, "users.parquet", "column 'segment': expected string, as the feature 'seg"),
        (future_events, "interactions.parquet", "column 'event_time': expected no event more "),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    shop_copy: Path,
    breaking: Callable[[Path], list[str]],
    file: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ids of other types, rules that are missing and events to come end the scoring job."""
    settings = [word for setting in breaking(shop_copy) for word in ("--set", setting)]
    before = contents(shop_copy)
    code, line = refusal(
        capsys, "write-recommendations", shop_copy / "shop.toml",
        "--quiet", "--as-of", "2024-03-30", *settings,
    )  # fmt: skip
    assert code == 3
    assert line.startswith(f"error: {shop_copy / file}: {says}"), line
    assert contents(shop_copy) == before
