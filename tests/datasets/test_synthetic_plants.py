"""Planted fraud: it is what it says, where it says, and beside it nothing changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transaction_frames import frame, normal_purchases

from recsys.datasets.synthetic.transactions import (
    Plant,
    Planted,
    PlantKind,
    SyntheticTransactions,
    right_reasons,
    synthetic_transactions,
)
from recsys.errors import ConfigError

KINDS: tuple[PlantKind, ...] = (
    "takeover",
    "card_testing",
    "bust_out",
    "bad_merchant",
    "slow_drift",
)
ONE_OF_EACH = tuple(Plant(kind=kind, day=40) for kind in KINDS)
SEEDS = st.integers(0, 2**32)
ORDER = [("event_time", "ascending"), ("transaction_id", "ascending")]


@pytest.fixture(scope="module")
def planted_log() -> SyntheticTransactions:
    """A log of default size with a plant of each kind."""
    return synthetic_transactions(planted=ONE_OF_EACH)


def normal_part(table: pa.Table) -> pa.Table:
    """The transactions that no plant added."""
    return table.filter(pc.starts_with(table["transaction_id"], "t"))


def one_plant(kind: PlantKind, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Planted, float]:
    """Normal purchases and transactions of a plant, the plant, and the days its target is open."""
    log = synthetic_transactions(
        num_accounts=60, num_days=70, seed=seed, planted=[Plant(kind=kind, day=30)]
    )
    rows = frame(log)
    (truth,) = log.plants
    own = rows[rows.transaction_id.isin(truth.transaction_ids)]
    accounts = log.accounts.to_pandas().set_index("account_id")
    open_days = 70.0 - accounts.opened_day.get(truth.account_id, 0)
    return normal_purchases(rows), own, truth, open_days


@settings(max_examples=10)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), seed=SEEDS)
def test_planting_changes_no_normal_transaction(kinds: list[PlantKind], seed: int) -> None:
    """Without what is planted, the log is that without plants; nothing but plants is fraud."""
    planted = [Plant(kind=kind, day=25 + number) for number, kind in enumerate(kinds)]
    sizes = {"num_accounts": 60, "num_days": 70, "seed": seed}
    log = synthetic_transactions(planted=planted, **sizes)
    plain = synthetic_transactions(**sizes)
    fraud = log.table.filter(log.table["is_fraud"])
    added = {own for truth in log.plants for own in truth.transaction_ids}

    assert log.table.equals(log.table.sort_by(ORDER))
    assert normal_part(log.table).equals(plain.table)
    assert log.accounts.equals(plain.accounts)
    assert log.table["is_fraud"].equals(pc.is_valid(log.table["plant"]))
    assert set(fraud["plant"].to_pylist()) == set(kinds)
    assert set(fraud["transaction_id"].to_pylist()) <= added
    assert len(added) == log.table.num_rows - plain.table.num_rows


def test_the_truth_names_what_was_planted(planted_log: SyntheticTransactions) -> None:
    """Each plant has its kind, its target and transactions on each of its days, from the first."""
    rows = frame(planted_log).set_index("transaction_id")

    assert [truth.kind for truth in planted_log.plants] == list(KINDS)
    for truth in planted_log.plants:
        own = rows.loc[list(truth.transaction_ids)]
        last_day = truth.first_day + truth.num_days
        assert truth.first_day == 40
        assert own.day.unique().tolist() == list(range(40, last_day))
        assert set(own.plant[own.is_fraud]) == {truth.kind}
        if truth.kind == "bad_merchant":
            assert truth.account_id is None
            assert set(own.counterparty_id) == {truth.counterparty_id}
        else:
            assert truth.counterparty_id is None
            assert set(own.account_id) == {truth.account_id}


@settings(max_examples=10)
@given(seed=SEEDS)
def test_targets_that_are_drawn_differ_and_have_a_history(seed: int) -> None:
    """No two plants meet, victims of a bad merchant included, and each breaks with a past."""
    kinds: list[PlantKind] = ["takeover"] * 12 + ["bad_merchant"] * 12
    planted = [Plant(kind=kind, day=30) for kind in kinds]
    log = synthetic_transactions(num_accounts=60, num_days=36, planted=planted, seed=seed)
    rows = frame(log)
    past = normal_part(log.table.filter(pc.less(rows.day.to_numpy(), 30)))
    accounts = [truth.account_id for truth in log.plants if truth.account_id]
    merchants = [truth.counterparty_id for truth in log.plants if truth.counterparty_id]

    for targets, column in ((accounts, "account_id"), (merchants, "counterparty_id")):
        assert len(set(targets)) == len(targets) == 12
        assert (past[column].to_pandas().value_counts()[targets] >= 10).all()
    assert not set(rows.account_id[rows.plant == "bad_merchant"]) & set(accounts)


@pytest.mark.parametrize(
    ("kind", "column", "target"),
    [("takeover", "account_id", "a0007"), ("bad_merchant", "counterparty_id", "m0007")],
)
def test_a_target_that_is_given_is_kept(kind: PlantKind, column: str, target: str) -> None:
    """The number of an account, or of a merchant, decides where fraud goes."""
    log = synthetic_transactions(planted=[Plant(kind=kind, day=40, target=7)])

    assert set(frame(log).query("is_fraud")[column]) == {target}
    assert getattr(log.plants[0], column) == target


@settings(max_examples=20)
@given(seed=SEEDS)
def test_a_takeover_spends_much_at_strange_hours_and_places(seed: int) -> None:
    """Amounts from 4 times the median of the account, rare hours, merchants it never met."""
    normal, own, truth, _ = one_plant("takeover", seed)
    usual = normal[normal.account_id == truth.account_id]

    assert 6 <= len(own) <= 12
    assert truth.num_days in (1, 2)
    assert own.is_fraud.all()
    assert (own.amount >= 3.99 * usual.amount.median()).all()
    assert usual.hour.isin(own.hour.unique()).mean() < 0.2
    assert not set(own.counterparty_id) & set(usual.counterparty_id)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_card_testing_is_many_tiny_charges_at_once(seed: int) -> None:
    """15 to 40 charges of at most 2.00 within two hours, online, at one or two merchants."""
    _, own, truth, _ = one_plant("card_testing", seed)

    assert 15 <= len(own) <= 40
    assert truth.num_days == 1
    assert own.event_time.max() - own.event_time.min() < pd.Timedelta(hours=2)
    assert own.amount.between(0.5, 2.0).all()
    assert set(own.channel) == {"online"}
    assert own.counterparty_id.nunique() <= 2
    assert own.is_fraud.all()


@settings(max_examples=20)
@given(seed=SEEDS)
def test_a_bust_out_spends_ten_to_twenty_times_the_usual(seed: int) -> None:
    """The sum is 10 to 20 times what the account spends in as many days, at its usual hours."""
    normal, own, truth, open_days = one_plant("bust_out", seed)
    usual = normal[normal.account_id == truth.account_id]
    ratio = own.amount.sum() / (usual.amount.sum() * truth.num_days / open_days)

    assert truth.num_days in (2, 3)
    assert 9.9 < ratio < 20.1
    assert len(own) >= 10
    assert own.is_fraud.all()
    quiet = usual.hour.value_counts().reindex(range(24), fill_value=0).rolling(3).sum() == 0
    assert own.hour.isin(quiet.index[quiet]).mean() < 0.5


@settings(max_examples=20)
@given(seed=SEEDS)
def test_a_bad_merchant_charges_many_accounts_unlike_before(seed: int) -> None:
    """20 to 40 accounts, within 3 to 5 days, from 4 times the median of the merchant."""
    normal, own, truth, _ = one_plant("bad_merchant", seed)
    usual = normal[normal.counterparty_id == truth.counterparty_id]

    assert 20 <= own.account_id.nunique() <= 40
    assert own.account_id.value_counts().max() <= 2
    assert 3 <= truth.num_days <= 5
    assert (own.amount >= 3.99 * usual.amount.median()).all()
    assert set(own.category) == set(usual.category)
    assert own.is_fraud.all()


@settings(max_examples=20)
@given(seed=SEEDS)
def test_a_slow_drift_is_hardly_seen_from_day_to_day_and_large_at_the_end(seed: int) -> None:
    """Days differ by 6 to 8 %, the end is five times the start, and late rows alone are fraud."""
    _, own, truth, _ = one_plant("slow_drift", seed)
    daily = own.groupby("day").amount.median()
    growth = np.exp(np.polyfit(daily.index, np.log(daily), 1)[0])
    first_fraud = own.day[own.is_fraud].min()

    assert 25 <= truth.num_days <= 35
    assert growth == pytest.approx(1.07, abs=0.02)
    assert daily.iloc[-3:].median() / daily.iloc[:3].median() > 3.5
    assert (own.is_fraud == (own.day >= first_fraud)).all()
    assert own.plant[~own.is_fraud].isna().all()
    assert 14 <= first_fraud - truth.first_day <= 19  # 1.08 and 1.06 to these powers pass 3
    assert own.category.nunique() == 1


def test_intensity_makes_a_plant_stronger() -> None:
    """The same draw with twice the intensity has twice the amounts, or twice the charges."""
    totals = {
        (kind, intensity): frame(
            synthetic_transactions(planted=[Plant(kind=kind, day=40, intensity=intensity)])
        )
        .query("is_fraud")
        .amount.agg(["sum", "size"])
        for kind in ("takeover", "card_testing", "bust_out")
        for intensity in (1.0, 2.0)
    }

    for kind in ("takeover", "bust_out"):
        assert totals[kind, 2.0]["sum"] == pytest.approx(2 * totals[kind, 1.0]["sum"], rel=1e-3)
    assert totals["card_testing", 2.0]["size"] == 2 * totals["card_testing", 1.0]["size"]


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (Plant(kind="theft", day=40), "one of takeover"),  # type: ignore[arg-type]
        (Plant(kind="takeover", day=89), "a day"),
        (Plant(kind="takeover", day=-1), "a day"),
        (Plant(kind="slow_drift", day=56), "a day"),
        (Plant(kind="takeover", day=40, intensity=0.0), "an intensity"),
        (Plant(kind="takeover", day=40, target=300), "a target with a purchase"),
        (Plant(kind="bad_merchant", day=40, target=-1), "a target with a purchase"),
        (Plant(kind="takeover", day=0), "at least 1 free"),
        (Plant(kind="bad_merchant", day=0, target=0), "at least 20 free"),
    ],
)
def test_plants_that_do_not_fit_are_refused(plant: Plant, expected: str) -> None:
    """The message counts the plant from 0 and says what it lacks."""
    with pytest.raises(ConfigError, match=f"synthetic plant 1: expected {expected}"):
        synthetic_transactions(planted=[Plant(kind="takeover", day=40), plant])


def test_each_kind_has_a_right_reason() -> None:
    """Every kind names at least one family of evidence, and only known ones."""
    families = {"amount", "hour", "velocity", "counterparty", "category"}

    for kind in KINDS:
        assert right_reasons(kind)
        assert right_reasons(kind) <= families
    assert right_reasons("card_testing") == {"velocity"}
