"""A small bank: a log with planted fraud and merchants gone bad, a config, and its nights."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from shop import UNTRACKED, run_main

from recsys.artifacts import read_bundle
from recsys.datasets.synthetic.transactions import Plant, synthetic_transactions
from recsys.publishing import current_run, published_runs

START = date(2024, 1, 1)
NUM_TRAINING_DAYS = 85
TRAINED = START + timedelta(days=NUM_TRAINING_DAYS - 1)
"""The last day that is learnt from."""
DELAY_DAYS = 7
BUDGET = 4
TURNED_BAD = TRAINED + timedelta(days=2)
"""The day from which on every transaction at `last_bad_merchant` is fraud."""
STRANGE_IDS = {"a0003": "<script>alert(1)</script>", "a0005": "=1+1"}
"""Accounts by the id that the generator gives them, and the ids that they have here."""
NEWCOMERS = {"newcomer": ("a0008", 1), "a newcomer": ("a0007", 2)}
"""Accounts without a transaction before a night: the id that the generator gives, and the night.
The one that comes first sorts last."""

SMALL_SCORER = f"""
[columns]
counterparty_id = "counterparty_id"
currency = "currency"

[features]
category = "categorical"
channel = "categorical"
age = "numeric"

[autoencoder]
num_steps = 20
max_rows = 3000
hidden_dims = [16]

[alerts]
alert_budget = {BUDGET}
"""
"""Settings that train within two seconds."""

LABELS = f"""
[labels]
delay_days = {DELAY_DAYS}
stacker = {{ num_rounds = 40 }}
"""

FIRST_MONTH = 30
LAST = START + timedelta(days=FIRST_MONTH - 1)
"""The last day of a short log, which is not scored yet."""
NIGHT = LAST - timedelta(days=1)
"""The night before, which is."""
QUICK = ("--set", "autoencoder.num_steps=5", "--set", "tracking.enabled=false")

_BAD_DAYS = 12  # how long a merchant of the training days is bad
_DAY_US = 86_400_000_000


def night(number: int) -> date:
    """The first day after training is night 1."""
    return TRAINED + timedelta(days=number)


@functools.cache
def bank_log() -> pa.Table:
    """A hundred days of sixty accounts; amounts at merchants gone bad are like before."""
    kinds = ("takeover", "card_testing", "bust_out")
    table = synthetic_transactions(
        num_accounts=60, num_days=100, seed=3, num_merchants=40, currency="EUR", start=START,
        planted=[Plant(kind=kind, day=NUM_TRAINING_DAYS + turn) for turn, kind in enumerate(kinds)],
    ).table  # fmt: skip
    ids = table["account_id"]
    for old, new in STRANGE_IDS.items():
        ids = pc.if_else(pc.equal(ids, old), new, ids)
    for new, (old, number) in NEWCOMERS.items():
        is_new = pa.array(days_of(table) >= NUM_TRAINING_DAYS - 1 + number)
        ids = pc.if_else(pc.and_(pc.equal(ids, old), is_new), new, ids)
    table = table.set_column(table.column_names.index("account_id"), "account_id", ids)
    is_fraud = pa.array(np.asarray(table["is_fraud"]) | _is_at_bad_merchant(table))
    return table.drop_columns(["is_fraud", "plant"]).append_column("is_fraud", is_fraud)


def last_bad_merchant() -> str:
    """The merchant that turns bad after training."""
    return _popular_merchants(bank_log())[0]


def transactions() -> pa.Table:
    """The log without labels."""
    return bank_log().drop_columns("is_fraud")


def labels() -> pa.Table:
    """The labels alone."""
    return bank_log().select(["transaction_id", "is_fraud"])


def days_of(table: pa.Table) -> np.ndarray:
    """Day of each transaction; the first day of the log is 0."""
    first = (START - date(1970, 1, 1)).days
    return np.asarray(table["event_time"].cast(pa.int64())) // _DAY_US - first


def of_day(table: pa.Table, day: date) -> pa.Table:
    """Transactions of a day."""
    return table.filter(pa.array(days_of(table) == (day - START).days))


def flipped_after(table: pa.Table, moment_us: int) -> pa.Table:
    """Labels of a log, each turned into its opposite if its transaction is later than a moment."""
    times = np.asarray(table["event_time"].cast(pa.int64()))
    is_fraud = np.asarray(table["is_fraud"]) ^ (times > moment_us)
    return pa.table({"transaction_id": table["transaction_id"], "is_fraud": is_fraud})


def first_month() -> pa.Table:
    """Transactions of the first month."""
    table = transactions()
    return table.filter(pa.array(days_of(table) < FIRST_MONTH))


def with_wrong_rows() -> tuple[pa.Table, dict[str, int]]:
    """Transactions with some that cannot be used among them, and how many by reason."""
    sound = transactions()
    rows = sound.take(pa.array([5, 500, 5000]))
    amounts = sound.column_names.index("amount")
    wrong = [
        rows.set_column(0, "transaction_id", pa.array([f"{name}{row}" for row in range(3)]))
        .set_column(amounts, "amount", pa.array([value] * 3))
        for name, value in {"nan": np.nan, "inf": -np.inf, "vast": 1e12}.items()
    ]  # fmt: skip
    later = pc.add(rows["event_time"], pa.scalar(timedelta(hours=1), pa.duration("us")))
    moved = rows.set_column(rows.column_names.index("event_time"), "event_time", later)
    counts = {
        "not_finite_amount": 6, "absurd_amount": 3, "duplicate": 3, "conflicting_duplicate": 3
    }  # fmt: skip
    return pa.concat_tables([moved, sound, *wrong, rows]), counts


def write_bank(
    folder: Path,
    *sections: str,
    table: pa.Table | None = None,
    labelled: pa.Table | None = None,
) -> Path:
    """Write transactions, labels if any, and a config; returns the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(transactions() if table is None else table, folder / "transactions.parquet")
    lines = '[data]\ntransactions = "transactions.parquet"\n'
    if labelled is not None:
        pq.write_table(labelled, folder / "labels.parquet")
        lines += 'labels = "labels.parquet"\n'
    config = folder / "bank.toml"
    config.write_text(lines + "".join(sections or (SMALL_SCORER, LABELS, UNTRACKED)))
    return config


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: object
    """Its exit code."""
    messages: str
    """What it told people."""
    printed: str
    """What it printed for machines."""

    @property
    def status(self) -> dict[str, object]:
        """The last line for machines."""
        return json.loads(self.printed.splitlines()[-1])

    @property
    def error(self) -> str:
        """The last line for people."""
        return self.messages.splitlines()[-1]


def run_bank(*arguments: object) -> Done:
    """Run the command in this process."""
    messages, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(printed):
        code = run_main(*arguments)
    return Done(code=code, messages=messages.getvalue(), printed=printed.getvalue())


def score(config: Path, day: date, *options: object) -> Done:
    """Score a day."""
    return run_bank("score-accounts", config, "--as-of", day, *options)


def train(config: Path, day: date = TRAINED, *options: object) -> Done:
    """Learn from the days up to one."""
    return run_bank("train-fraud", config, "--as-of", day, *options)


def stock(folder: Path) -> Path:
    """Make a bank of a month with a model and a published night; returns the config's path."""
    in_month = pa.array(days_of(bank_log()) < FIRST_MONTH)
    config = write_bank(folder, table=first_month(), labelled=labels().filter(in_month))
    assert train(config, NIGHT - timedelta(days=1), *QUICK).code == 0
    assert score(config, NIGHT).code == 0
    return config


def tables_of(status: Mapping[str, object]) -> tuple[bytes, pa.Table]:
    """Both tables of a night, without what it knows of the alerts of others."""
    transactions, accounts = (
        Path(str(status[name])) for name in ("transaction_scores", "account_scores")
    )
    return transactions.read_bytes(), pq.read_table(accounts).drop_columns("flagged_before")


def nights_of(config: Path) -> list[str]:
    """Days of the published nights."""
    runs = published_runs(config.parent / "runs" / "fraud-scores")
    return sorted(run.manifest.logical_date for run in runs)


def fingerprint_of(config: Path) -> str:
    """Fingerprint of the live model."""
    run = current_run(config.parent / "runs" / "fraud-models")
    return read_bundle(run / "model", kind="fraud-model").fingerprint


def _is_at_bad_merchant(table: pa.Table) -> np.ndarray:
    """Whether a transaction is at a merchant while it is bad."""
    merchants, days = np.asarray(table["counterparty_id"]), days_of(table)
    last, *others = _popular_merchants(table)[:7]
    is_bad = (merchants == last) & (days >= (TURNED_BAD - START).days)
    for turn, merchant in enumerate(others):
        since = 18 + 9 * turn
        is_bad |= (merchants == merchant) & (days >= since) & (days < since + _BAD_DAYS)
    return is_bad


def _popular_merchants(table: pa.Table) -> list[str]:
    counts = pc.value_counts(table["counterparty_id"].combine_chunks()).to_pylist()
    return [one["values"] for one in sorted(counts, key=lambda one: -one["counts"])]
