"""Synthetic transactions: every log keeps its laws, and normal behaviour can be learned."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transaction_frames import frame, normal_purchases

from recsys.datasets.synthetic.transactions import SyntheticTransactions, synthetic_transactions
from recsys.errors import ConfigError

SEEDS = st.integers(0, 2**32)


@cache
def usual_log() -> SyntheticTransactions:
    """A log as it comes without settings."""
    return synthetic_transactions()


def test_the_columns_and_their_types_are_those_documented() -> None:
    """Readers can rely on names, order and types; currency is there when it is asked for."""
    table = synthetic_transactions(num_accounts=5, num_days=10, currency="EUR").table

    assert {field.name: str(field.type) for field in table.schema} == {
        "transaction_id": "string",
        "account_id": "string",
        "event_time": "timestamp[us, tz=UTC]",
        "amount": "double",
        "counterparty_id": "string",
        "category": "string",
        "channel": "string",
        "country": "string",
        "age": "float",
        "currency": "string",
        "is_fraud": "bool",
        "plant": "string",
    }
    assert table["currency"].unique().to_pylist() == ["EUR"]
    assert [name for name in table.column_names if table[name].null_count] == ["plant"]


@settings(max_examples=20)
@given(
    num_accounts=st.integers(1, 30),
    num_days=st.integers(1, 40),
    num_merchants=st.integers(10, 60),
    rate=st.floats(0.05, 5.0),
    seed=SEEDS,
)
def test_every_log_keeps_its_laws(
    num_accounts: int, num_days: int, num_merchants: int, rate: float, seed: int
) -> None:
    """Same arguments, same log; in order, within the days, in cents; one age, one category."""
    arguments = {
        "num_accounts": num_accounts,
        "num_days": num_days,
        "num_merchants": num_merchants,
        "transactions_per_day": rate,
        "seed": seed,
    }
    log = synthetic_transactions(**arguments)
    rows = frame(log)

    assert synthetic_transactions(**arguments).table.equals(log.table)
    assert log.table.equals(
        log.table.sort_by([("event_time", "ascending"), ("transaction_id", "ascending")])
    )
    assert rows.transaction_id.is_unique
    assert rows.day.between(0, num_days - 1).all()
    assert (rows.amount == rows.amount.round(2)).all()
    assert (rows.amount.abs() >= 0.5).all()
    assert (rows.groupby("counterparty_id")[["category", "country"]].nunique() == 1).all(axis=None)
    assert not rows.is_fraud.any()
    known = rows.merge(log.accounts.to_pandas(), on="account_id", suffixes=("", "_truth"))
    assert len(known) == len(rows)
    assert (known.age == known.age_truth).all()
    assert (known.day >= known.opened_day).all()


def test_another_seed_gives_another_log() -> None:
    """The seed decides."""
    first, other = (synthetic_transactions(num_accounts=10, seed=seed).table for seed in (1, 2))

    assert not first.equals(other)


def test_the_first_day_moves_the_times() -> None:
    """A log starts on the day that is asked for."""
    table = synthetic_transactions(num_days=3, start=date(2023, 5, 17)).table
    days = pc.unique(pc.strftime(table["event_time"], "%Y-%m-%d"))

    assert days.to_pylist() == ["2023-05-17", "2023-05-18", "2023-05-19"]


def test_personas_differ_in_hours_amounts_categories_and_rates() -> None:
    """What a peer group does can be told from what another does."""
    log = usual_log()
    rows = normal_purchases(frame(log)).merge(
        log.accounts.to_pandas()[["account_id", "persona", "opened_day"]], on="account_id"
    )
    by_persona = rows.groupby("persona")
    night = by_persona.hour.agg(lambda hours: ((hours >= 21) | (hours < 3)).mean())
    weekend = by_persona.event_time.agg(lambda times: (times.dt.day_of_week >= 5).mean())
    groceries = by_persona.category.agg(lambda names: (names == "groceries").mean())
    level = rows[rows.category == "restaurants"].groupby("persona").amount.median()
    rate = by_persona.size() / by_persona.account_id.nunique()

    assert len(by_persona) == 5
    assert night["student"] > 0.4
    assert night.drop("student").max() < 0.25
    assert weekend["family"] > 2 * weekend["commuter"]
    assert groceries["retiree"] > 3 * groceries["traveller"]
    assert level["traveller"] > 4 * level["student"]
    assert rate["commuter"] > 1.3 * rate["retiree"]


def test_accounts_are_loyal_and_differ_within_a_persona() -> None:
    """Most purchases go to a few merchants; rates and levels are the account's own."""
    log = usual_log()
    rows = normal_purchases(frame(log))
    of_pair = rows.groupby(["account_id", "category", "counterparty_id"]).size()
    top = of_pair.groupby(["account_id", "category"]).nlargest(3).sum() / len(rows)
    commuters = log.accounts.to_pandas().query("persona == 'commuter' and opened_day == 0")
    own = rows[rows.account_id.isin(commuters.account_id)].groupby("account_id")
    level = own.amount.apply(lambda amounts: np.log(amounts).mean())

    assert 0.8 < top < 1.0
    assert own.size().std() / own.size().mean() > 0.3
    assert 0.15 < level.std() < 0.5


def test_transactions_cluster_in_time_without_fraud() -> None:
    """Some purchases follow another within half an hour, as those of a shopping trip do."""
    rows = normal_purchases(frame(usual_log()))
    gaps = rows.groupby("account_id").event_time.diff()

    assert 0.2 < (gaps < pd.Timedelta(minutes=30)).mean() < 0.35  # alone, purchases have 0.11


def test_refunds_are_rare_and_return_a_purchase() -> None:
    """Each negative amount is that of an earlier purchase of the account at the merchant."""
    rows = frame(usual_log())
    refunds = rows[rows.amount < 0].assign(amount=lambda found: -found.amount)
    pairs = refunds.merge(rows, on=["account_id", "counterparty_id", "amount"])
    earlier = pairs[pairs.event_time_y < pairs.event_time_x]

    assert 0.001 < len(refunds) / len(rows) < 0.01
    assert set(refunds.transaction_id) == set(earlier.transaction_id_x)


def test_some_accounts_are_cold() -> None:
    """A few accounts have their first transaction in the last days, most in the first."""
    first_day = frame(usual_log()).groupby("account_id").day.min()

    assert 0.01 < (first_day >= 84).mean() < 0.1
    assert (first_day < 7).mean() > 0.7


def test_the_mean_rate_is_the_one_asked_for() -> None:
    """Transactions a day and open account come to `transactions_per_day`."""
    log = synthetic_transactions(num_accounts=2_000, num_days=20, transactions_per_day=1.5)
    open_days = (20 - log.accounts["opened_day"].to_numpy()).sum()

    assert log.table.num_rows / open_days == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_accounts": 0},
        {"num_days": 0},
        {"num_merchants": 9},
        {"transactions_per_day": 0.0},
        {"transactions_per_day": float("nan")},
        {"seed": -1},
    ],
)
def test_sizes_that_make_no_log_are_refused(changes: dict[str, object]) -> None:
    """Sizes are positive, and each category needs a merchant."""
    with pytest.raises(ConfigError, match="synthetic transactions: expected"):
        synthetic_transactions(**changes)  # type: ignore[arg-type]
