"""Labels at work in the nights of the fraud jobs: from their delay on, and never before it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bank import (
    DELAY_DAYS,
    NUM_TRAINING_DAYS,
    START,
    TURNED_BAD,
    bank_log,
    days_of,
    fingerprint_of,
    flipped_after,
    labels,
    last_bad_merchant,
    night,
    score,
    tables_of,
    train,
    write_bank,
)

from recsys.datasets.transactions.days import day_number

CONFIG = "bank.toml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank that was trained with labels."""
    folder = tmp_path_factory.mktemp("trained")
    assert train(write_bank(folder, labelled=labels())).code == 0
    return folder


@pytest.fixture
def only_trained(trained: Path, tmp_path: Path) -> Path:
    """Config of a copy of it."""
    return shutil.copytree(trained, tmp_path / "bank") / CONFIG


@pytest.mark.parametrize("number", [1, 3, 10])
def test_labels_that_are_not_known_yet_do_not_matter(
    number: int, only_trained: Path, tmp_path: Path
) -> None:
    """The opposite of every label that is due after the day gives the bytes of the true ones."""
    other = shutil.copytree(only_trained.parent, tmp_path / "other") / CONFIG
    known_until = (day_number(night(number)) + 1 - DELAY_DAYS) * 86_400_000_000
    flipped = flipped_after(bank_log(), known_until)
    assert not flipped.equals(labels())
    pq.write_table(flipped, other.parent / "labels.parquet")
    first, second = score(only_trained, night(number)), score(other, night(number))
    assert first.code == second.code == 0
    assert tables_of(first.status) == tables_of(second.status)


def test_a_merchant_gone_bad_is_seen_once_its_labels_are_known(
    only_trained: Path, tmp_path: Path
) -> None:
    """Its transactions score higher for its confirmed frauds, from the delay on and not before."""
    other = shutil.copytree(only_trained.parent, tmp_path / "other") / CONFIG
    log = bank_log()
    is_bad = pc.and_(
        pc.equal(log["counterparty_id"], last_bad_merchant()),
        pa.array(days_of(log) >= (TURNED_BAD - START).days),
    )
    unnoticed = labels().set_column(1, "is_fraud", pc.and_(log["is_fraud"], pc.invert(is_bad)))
    pq.write_table(unnoticed, other.parent / "labels.parquet")

    known = TURNED_BAD + timedelta(days=DELAY_DAYS)
    too_early, in_time = (
        [score(config, known + timedelta(days=days)) for config in (only_trained, other)]
        for days in (-1, 3)
    )

    assert tables_of(too_early[0].status) == tables_of(too_early[1].status)
    knowing, ignorant = (
        pq.read_table(str(done.status["transaction_scores"])).to_pandas() for done in in_time
    )
    bad = pd.Index(log.filter(is_bad)["transaction_id"].to_pandas())
    rows = knowing["transaction_id"].isin(bad)
    assert rows.sum() > 5
    assert (knowing["anomaly_score"] > ignorant["anomaly_score"])[rows].all()
    assert knowing["anomaly_score"][rows].median() > 0.8


def test_labels_that_say_too_little_change_nothing(tmp_path: Path) -> None:
    """No labels, none that is known yet and too few frauds give one model and equal nights."""
    log = bank_log()
    is_recent = pa.array(days_of(log) > NUM_TRAINING_DAYS - DELAY_DAYS)
    frauds = log.filter(log["is_fraud"])["transaction_id"][:19]
    few = pc.or_(pc.invert(log["is_fraud"]), pc.is_in(log["transaction_id"], frauds))
    given = {
        "none": None,
        "none known": labels().filter(is_recent),
        "too few": labels().filter(few),
    }
    nights, models = [], set()
    for name, labelled in given.items():
        config = write_bank(tmp_path / name, labelled=labelled)
        assert train(config).code == 0
        models.add(fingerprint_of(config))
        nights.append(tables_of(score(config, night(9)).status))
    assert len(models) == 1
    assert nights[0] == nights[1] == nights[2]
