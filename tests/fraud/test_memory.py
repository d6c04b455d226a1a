"""The memory: what scoring looks at of each transaction is what fitting looked at, to the bit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.fraud.labels.memory import MEMORY_DAYS, RecentTransactions
from recsys.fraud.labels.supervised import meta_model_features

FIRST_DAY = 17_622.0


@dataclass(frozen=True, eq=False)
class Log:
    """Transactions in the order of time, with labels of all of them and their delay."""

    recent: RecentTransactions
    labels: pa.Table
    delay_days: float

    def rows(self, start: int, stop: int) -> RecentTransactions:
        """Some of the transactions."""
        return RecentTransactions(table=self.recent.table.slice(start, stop - start))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Up to 150 transactions of months on a grid of quarter days: many leave the memory."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_rows, num_days = int(rng.integers(1, 150)), int(rng.integers(1, 300))
    codes = np.arange(num_rows)
    number = rng.choice([0.0, 0.5, 1.0, 3.0], (num_rows, 3)).astype(np.float32)
    table = pa.table(
        {
            "transaction_id": codes,
            "account": rng.integers(0, draw(st.integers(1, 6)), num_rows),
            "counterparty": rng.integers(-1, draw(st.integers(1, 4)), num_rows),
            "day": FIRST_DAY + np.sort(rng.integers(0, 4 * num_days, num_rows)) / 4,
            "amount": number[:, 0],
            "amount_excess": number[:, 1],
            "own_excess": number[:, 2],
            "label": np.full(num_rows, -1, dtype=np.int8),
        }
    )
    is_labelled = rng.random(num_rows) < 0.9
    labels = pa.table({"transaction_id": codes, "is_fraud": rng.random(num_rows) < 0.3})
    return Log(
        recent=RecentTransactions(table=table),
        labels=labels.filter(pa.array(is_labelled)),
        delay_days=draw(st.sampled_from([0.0, 0.25, 7.0])),
    )


def features(log: Log, memory: RecentTransactions, label: np.ndarray, num: int) -> np.ndarray:
    """What the trees see of the last transactions of a memory."""
    scorer, passed = SimpleNamespace(kinds=()), SimpleNamespace(num_known=np.zeros(num))
    none, hour = np.zeros((num, 0), dtype=np.float32), np.zeros(num, dtype=np.int64)
    inputs = (cast("Any", scorer), none, cast("Any", passed), hour, memory, label)
    return meta_model_features(*inputs, log.delay_days)[0]


def scored_in_blocks(log: Log, cuts: list[int]) -> tuple[np.ndarray, RecentTransactions]:
    """What scoring sees of all transactions, block after block, and the memory afterwards."""
    memory, found = log.rows(0, 0), []
    for start, stop in itertools.pairwise(cuts):
        block = log.rows(start, stop)
        memory = memory.followed_by(block).with_labels(log.labels, log.delay_days)
        memory = memory.remembered(float(block.day[0]), log.delay_days)
        found.append(features(log, memory, memory.label, stop - start))
    return np.concatenate(found), memory


@settings(max_examples=100)
@given(logs(), st.data())
def test_scoring_sees_what_fitting_saw_whatever_the_blocks(log: Log, data: st.DataObject) -> None:
    """Block after block, with what is remembered, a row has the features that fitting computed."""
    num_rows = len(log.recent)
    cuts = data.draw(st.sets(st.integers(0, num_rows), max_size=12))
    expected = features(log, log.recent, log.recent.labels(log.labels), num_rows)
    found, _ = scored_in_blocks(log, sorted({0, *cuts, num_rows}))
    assert found.tobytes() == expected.tobytes()


@settings(max_examples=15)
@given(logs())
def test_memory_is_bounded(log: Log) -> None:
    """Before memory and delay there is at most a row an account, and it is a known fraud."""
    _, memory = scored_in_blocks(log, [*range(len(log.recent) + 1)])
    is_old = memory.day + log.delay_days + MEMORY_DAYS <= memory.day[-1]
    assert (memory.label[is_old] == 1).all()
    assert len(np.unique(memory.account[is_old])) == is_old.sum()
    assert (~is_old).sum() == np.sum(
        log.recent.day + log.delay_days + MEMORY_DAYS > log.recent.day[-1]
    )


@given(logs())
def test_no_label_is_kept_before_it_is_known(log: Log) -> None:
    """What is told at a moment is known at that moment; all that is known is told."""
    reported = log.recent.with_labels(log.labels, log.delay_days)
    is_known = reported.day + log.delay_days <= reported.day[-1]
    assert (reported.label[~is_known] == -1).all()
    assert (reported.label[is_known] == log.recent.labels(log.labels)[is_known]).all()


def test_labels_that_were_told_stay_where_none_are_brought() -> None:
    """A night without labels forgets no fraud that an earlier night was told of."""
    day = FIRST_DAY + np.array([0.0, 1.0, 30.0, 200.0])
    log = Log(
        recent=RecentTransactions(
            table=pa.table(
                {"transaction_id": [0, 1, 2, 3], "account": [0, 1, 1, 0], "day": day}
                | {name: np.zeros(4) for name in ("counterparty", "amount", "own_excess")}
                | {"amount_excess": np.zeros(4), "label": np.full(4, -1, dtype=np.int8)}
            )
        ),
        labels=pa.table({"transaction_id": [0, 1], "is_fraud": [True, False]}),
        delay_days=7.0,
    )
    memory = log.rows(0, 3).with_labels(log.labels, log.delay_days).followed_by(log.rows(3, 4))
    kept = memory.remembered(float(day[3]), log.delay_days)
    assert kept.table["transaction_id"].to_pylist() == [0, 3]
