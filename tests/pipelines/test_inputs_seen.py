"""What a run follows from: any input that changes makes a day's work undone, and nothing else does.

Jobs are run up to where they ask whether their work is done, over inputs of every form: folders of
Parquet files, one of them behind a link, and single files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import LAST, NIGHT, score, stock, transactions
from shop import run_main, write_table

from pipelines.fraud.config import load_fraud_config
from pipelines.fraud.embed_accounts import embed_accounts
from pipelines.fraud.score_accounts import score_accounts
from pipelines.fraud.train import train_fraud
from pipelines.jobs.console import Reporter
from pipelines.jobs.job_run import JobRun
from pipelines.recommender.config import load_job_config
from pipelines.recommender.similar_items import similar_items_job
from pipelines.recommender.train import train_recommender
from pipelines.recommender.write_lists import write_recommendations_job
from recsys.publishing import current_run, published_runs, rollback
from recsys.recommender.index import item_index

SHOP_JOBS = {
    "train-recommender": train_recommender,
    "write-recommendations": write_recommendations_job,
    "similar-items": similar_items_job,
}
BANK_JOBS = {
    "train-fraud": train_fraud, "score-accounts": score_accounts, "embed-accounts": embed_accounts
}  # fmt: skip
QUIET = Reporter(quiet=True)

TABLES = {
    "interactions": {"train-recommender", "write-recommendations"},
    "users": {"train-recommender", "write-recommendations"},
    "items": {"train-recommender", "write-recommendations"},
    "deny": {"write-recommendations"},
    "eligible": {"write-recommendations"},
}
"""Which jobs of the shop read a table."""
READ = {
    "transactions": {"train-fraud", "score-accounts", "embed-accounts"},
    "labels": {"train-fraud", "score-accounts"},
}
"""The same of the bank."""


class _Asked(Exception):  # noqa: N818  no error
    """What a job follows from, at the moment when it asks whether its work is done."""

    def __init__(self, provenance: Mapping[str, str]) -> None:
        self.provenance = dict(provenance)


def asked(job: Callable[..., object], config: object, day: date | None) -> dict[str, str]:
    """What a job would follow from; it goes no further."""

    def stop(_job: JobRun, _day: date, provenance: Mapping[str, str]) -> None:
        raise _Asked(provenance)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobRun, "skip_if_done", stop)
        patch.setattr(item_index, "check_in_child", lambda *_, **__: None)  # a second each
        with pytest.raises(_Asked) as found:
            job(config, day, QUIET)
    return found.value.provenance


def shop_answers(folder: Path) -> dict[str, dict[str, str]]:
    """The answers of all jobs of a shop."""
    config = load_job_config(folder / "shop.toml")
    return {name: asked(job, config, None) for name, job in SHOP_JOBS.items()}


def bank_answers(config: Path) -> dict[str, dict[str, str]]:
    """The answers of all jobs of a bank."""
    settings = load_fraud_config(config)
    days = {"train-fraud": NIGHT, "score-accounts": NIGHT, "embed-accounts": NIGHT}
    return {name: asked(job, settings, days[name]) for name, job in BANK_JOBS.items()}


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """Jobs with another answer."""
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def shop(shop_copy: Path) -> Path:
    """A stocked shop whose tables are folders of two files, the second one behind a link."""
    config = shop_copy / "shop.toml"
    text = config.read_text()
    log = pq.read_table(shop_copy / "interactions.parquet")
    rules = {
        "deny": log.select(["user_id", "item_id"])[:40],
        "eligible": pa.table({"item_id": pc.unique(log["item_id"])[:50]}),
    }
    for name, table in rules.items():
        write_table(shop_copy / f"{name}.parquet", table)
    for name in TABLES:
        table = pq.read_table(shop_copy / f"{name}.parquet")
        (shop_copy / name).mkdir()
        (shop_copy / "elsewhere").mkdir(exist_ok=True)
        half = table.num_rows // 2
        pq.write_table(table[:half], shop_copy / name / "a.parquet")
        pq.write_table(table[half:], shop_copy / "elsewhere" / f"{name}.parquet")
        (shop_copy / name / "b.parquet").symlink_to(shop_copy / "elsewhere" / f"{name}.parquet")
        text = text.replace(f'"{name}.parquet"', f'"{name}"')
    rules_section = '[lists]\ndeny = "deny"\neligible = "eligible"\n'
    config.write_text(text + "\n" + rules_section)
    return shop_copy


def more_rows(name: str, folder: Path) -> pa.Table:
    """A few rows of their own for a table."""
    table = pq.read_table(folder / name / "a.parquet")[:3]
    if name in {"users", "items"}:
        key = f"{name[:-1]}_id"
        numbers = pa.array([10**6 + row for row in range(3)], table[key].type)
        return table.set_column(table.column_names.index(key), key, numbers)
    if name == "interactions":
        return table.set_column(1, "item_id", table["item_id"].take(pa.array([1, 2, 0])))
    return table


def test_a_table_of_the_shop_that_changes_is_seen(shop: Path) -> None:
    """A file more in a folder, or other rows behind a link, count for the jobs that read it."""
    before = shop_answers(shop)
    for name, readers in TABLES.items():
        pq.write_table(more_rows(name, shop), shop / name / "c.parquet")
        assert changed(before, shop_answers(shop)) == readers, name
        (shop / name / "c.parquet").unlink()
        linked = shop / "elsewhere" / f"{name}.parquet"
        rows = pq.read_table(linked)
        pq.write_table(rows[1:], linked)
        assert changed(before, shop_answers(shop)) == readers, name
        pq.write_table(rows, linked)
    assert changed(before, shop_answers(shop)) == set()


def test_a_shop_that_nobody_changed_is_done(shop: Path) -> None:
    """Files that are touched, written anew or cut otherwise follow from the same."""
    before = shop_answers(shop)
    for name in TABLES:
        first, linked = shop / name / "a.parquet", shop / "elsewhere" / f"{name}.parquet"
        os.utime(first, (0, 0))
        pq.write_table(pq.read_table(first), first, compression="zstd", row_group_size=7)
        whole = pa.concat_tables([pq.read_table(first), pq.read_table(linked)])
        pq.write_table(whole[:9], first)
        pq.write_table(whole[9:], linked)
    assert changed(before, shop_answers(shop)) == set()


def test_settings_and_the_live_model_of_the_shop_count(shop: Path) -> None:
    """Another length of lists, or another live model, and the work is not done."""
    before = shop_answers(shop)
    config = shop / "shop.toml"
    config.write_text(config.read_text() + "k = 7\n")
    assert changed(before, shop_answers(shop)) == set(SHOP_JOBS)
    config.write_text(config.read_text().replace("k = 7\n", ""))
    rollback(shop / "runs" / "models", "older")
    assert changed(before, shop_answers(shop)) == {"write-recommendations", "similar-items"}


def test_pairs_denied_since_are_out_of_the_live_lists(shop: Path) -> None:
    """By the real command: a file more in the deny folder is no night that is done already."""
    arguments = ("write-recommendations", shop / "shop.toml", "--quiet")
    allowed = pq.read_table(shop / "eligible" / "a.parquet")["item_id"][:20]
    assert run_main(*arguments) == 0
    assert run_main(*arguments) == 7
    lists = shop / "runs" / "recommendations"
    user = pq.read_table(current_run(lists) / "recommendations.parquet")["user_id"][0]
    pairs = pa.table({"user_id": pa.repeat(user, len(allowed)), "item_id": allowed})
    pq.write_table(pairs, shop / "deny" / "c.parquet")
    assert run_main(*arguments) == 0
    live = pq.read_table(current_run(lists) / "recommendations.parquet")
    mine = live.filter(pc.equal(live["user_id"], user))["item_id"].to_pylist()
    assert mine
    assert not set(mine) & set(allowed.to_pylist())
    assert run_main(*arguments) == 7


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with a model and a night, its tables in folders."""
    config = stock(tmp_path_factory.mktemp("bank"))
    text = config.read_text()
    for name in READ:
        file = config.parent / f"{name}.parquet"
        (config.parent / name).mkdir()
        file.rename(config.parent / name / "a.parquet")
        text = text.replace(f'"{name}.parquet"', f'"{name}"')
    config.write_text(text)
    return config.parent


@pytest.fixture
def bank(stocked: Path, tmp_path: Path) -> Path:
    """A bank to change; its config."""
    return shutil.copytree(stocked, tmp_path / "bank") / "bank.toml"


def other_rows(name: str, day: date) -> pa.Table:
    """Rows of a day that the bank does not have."""
    if name == "labels":
        return pa.table({"transaction_id": ["never seen"], "is_fraud": [True]})
    table = transactions()[:2]
    at = pa.scalar(day).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    place = table.column_names.index("event_time")
    table = table.set_column(place, "event_time", pa.repeat(at, 2).cast(table["event_time"].type))
    return table.set_column(0, "transaction_id", pa.array(["x1", "x2"]))


def test_a_table_of_the_bank_that_changes_is_seen(bank: Path) -> None:
    """A file more of the days up to the night counts; rows of later days do not."""
    before = bank_answers(bank)
    for name, readers in READ.items():
        file = bank.parent / name / "b.parquet"
        pq.write_table(other_rows(name, NIGHT - timedelta(days=3)), file)
        assert changed(before, bank_answers(bank)) == readers, name
        file.unlink()
    pq.write_table(other_rows("transactions", LAST), bank.parent / "transactions" / "b.parquet")
    assert changed(before, bank_answers(bank)) == set()


def test_rows_set_aside_count(bank: Path) -> None:
    """What is set aside is published too, so that another such row is other work."""
    before = bank_answers(bank)
    rows = other_rows("transactions", NIGHT - timedelta(days=3))
    place = rows.column_names.index("amount")
    wrong = rows.set_column(place, "amount", pa.array([float("nan")] * 2))
    pq.write_table(wrong, bank.parent / "transactions" / "b.parquet")
    assert changed(before, bank_answers(bank)) == set(BANK_JOBS)


def test_the_state_before_and_the_live_model_of_the_bank_count(bank: Path) -> None:
    """A night that another one was scored before, and any night of another model, is not done."""
    before = bank_answers(bank)
    assert score(bank, NIGHT - timedelta(days=1)).code != 0  # the model knows that day
    later = {"score-accounts": asked(score_accounts, load_fraud_config(bank), LAST)}
    runs = published_runs(bank.parent / "runs" / "fraud-scores")
    assert later["score-accounts"]["state"] == runs[-1].manifest.run_id
    assert score(bank, NIGHT, "--force").code == 0
    again = {"score-accounts": asked(score_accounts, load_fraud_config(bank), LAST)}
    assert changed(later, again) == {"score-accounts"}
    assert changed(before, bank_answers(bank)) == set()
