"""No reason says what is not so: every statement is counted again by an oracle of its own."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from reason_oracle import Oracle
from small_transactions import QUICK, days_of, small_fit, small_fit_with_trees, small_log

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_number, day_of
from recsys.fraud.alerts.daily import DayResult, result_of_day
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.explain.aspects import Aspects
from recsys.fraud.explain.past import Past
from recsys.fraud.fitting.train import FittedFraud, fit_fraud_model
from recsys.fraud.report import Reason

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "sparkov_transactions.parquet"
EVERYBODY = AlertConfig(alert_budget=10_000)
FIRST = date(2024, 1, 1)


def explained(fitted: FittedFraud, log: pa.Table, num_fit: int, day: date) -> DayResult:
    """A day of a log after its first rows, with every account flagged."""
    numbers = np.floor(day_of(log))
    rows = log.slice(num_fit).filter(pa.array(numbers[num_fit:] <= day_number(day)))
    scores, state = fitted.model.score(rows, fitted.state, num_threads=1)
    return result_of_day(
        fitted.model, state, rows, scores, log.slice(0, num_fit),
        day=day, config=EVERYBODY, with_labels=False,
    )  # fmt: skip


def reasons_of(found: DayResult) -> dict[Reason, str]:
    """All reasons of a day, of accounts and of transactions, with their account."""
    return {
        reason: alert.account_id
        for alert in found.explanations
        for reported in (alert.reasons, *(one.reasons for one in alert.transactions))
        for reason in reported
    }


@pytest.mark.parametrize("fit", [small_fit, small_fit_with_trees])
def test_no_reason_is_untrue(fit: functools._lru_cache_wrapper[FittedFraud]) -> None:
    """On a generated log with frauds, whether weights or trees score, all that is said is so."""
    history, later = small_log()
    log = pa.concat_tables([history, later])
    oracle, faults, num_reasons = Oracle(log), [], 0
    for number in (42, 47, 50):
        day = FIRST + timedelta(days=number)
        found = reasons_of(explained(fit(), log, history.num_rows, day))
        num_reasons += len(found)
        for reason, account in found.items():
            faults += oracle.faults(reason, account=account, day=day)
    assert faults == []
    assert num_reasons > 100


@functools.cache
def sample() -> tuple[FittedFraud, pa.Table, int]:
    """A scorer of the last months of the sample."""
    log = pq.read_table(SAMPLE).rename_columns({"merchant_id": "counterparty_id"})
    log = log.select(
        ["transaction_id", "account_id", "counterparty_id", "event_time", "amount", "category",
         "city", "city_pop"]
    ).sort_by("event_time")  # fmt: skip
    log = log.set_column(7, "city_pop", log["city_pop"].cast(pa.float32()))
    names = ("account_id", "counterparty_id", "category", "city")
    log = log.cast(
        pa.schema(
            [pa.field(f.name, pa.string() if f.name in names else f.type) for f in log.schema]
        )
    ).set_column(0, "transaction_id", log["transaction_id"].cast(pa.int64()))
    log = log.slice(int(np.searchsorted(day_of(log), day_number(date(2020, 9, 1)))))
    num_fit = int(np.searchsorted(day_of(log), day_number(date(2020, 12, 1))))
    features = {name: FeatureConfig(kind="categorical") for name in ("category", "city")}
    features["city_pop"] = FeatureConfig(kind="numeric")
    return fit_fraud_model(log.slice(0, num_fit), features, QUICK, num_threads=1), log, num_fit


def test_no_reason_on_the_sample_is_untrue() -> None:
    """The same on cards that somebody else generated."""
    fitted, log, num_fit = sample()
    day = date(2020, 12, 5)
    found = reasons_of(explained(fitted, log, num_fit, day))
    oracle = Oracle(log)
    faults = [
        fault
        for reason, account in found.items()
        for fault in oracle.faults(reason, account=account, day=day)
    ]
    assert faults == []
    assert len(found) > 50


def test_the_oracle_sees_what_is_untrue() -> None:
    """A number, a count, a subject or a share that is changed is found by the oracle."""
    fitted, log, num_fit = sample()
    day = date(2020, 12, 5)
    oracle = Oracle(log)
    counted = [
        (reason, account)
        for reason, account in reasons_of(explained(fitted, log, num_fit, day)).items()
        if reason.num_known is not None
    ]
    assert len(counted) > 10
    for reason, account in counted:
        wrong = [
            replace(reason, num_known=reason.num_known + 1),
            replace(reason, num_alike=reason.num_alike + 1),
            replace(reason, rarity=reason.rarity / 3),
            replace(
                reason, observed=("7" if reason.observed[0] != "7" else "8") + reason.observed[1:]
            ),
            replace(reason, expected=reason.expected.replace("account", "accounts at X", 1)),
        ]
        for one in wrong:
            assert oracle.faults(one, account=account, day=day), one
        assert oracle.faults(reason, account="somebody else", day=day)


def log_of_one(rows: list[tuple[int, float, str]], *, hour: int = 12, num_others: int = 0) -> Past:
    """Transactions of account a by day, amount and category, and of others with each category."""
    every = [("a", *row) for row in rows]
    every += [(f"b{place % 7}", place % 60, 20.0, "travel") for place in range(num_others)]
    every.sort(key=lambda row: row[1])
    start = datetime(2026, 1, 1, hour, tzinfo=UTC)
    times = [start + timedelta(days=row[1], seconds=place % 50) for place, row in enumerate(every)]
    if not hour:
        times = [time.replace(second=0) for time in times]
    return Past(
        pa.table(
            {
                "transaction_id": [str(place) for place in range(len(every))],
                "account_id": [row[0] for row in every],
                "event_time": pa.array(times, pa.timestamp("us", "UTC")),
                "amount": [row[2] for row in every],
                "category": [row[3] for row in every],
            }
        )
    )


def aspects_of(past: Past, amount: float, category: str, *, hour: int = 12) -> Aspects:
    """What can be said of a transaction of account a after the others."""
    time = pa.array([datetime(2026, 4, 1, hour, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    row = {"transaction_id": ["x"], "account_id": ["a"], "event_time": time}
    day = pa.table({**row, "amount": [amount], "category": [category]})
    return Aspects(past=past, day=day, context="category", categorical=("category",))


def test_a_salary_that_came_before_is_no_unusual_amount() -> None:
    """Five salaries are enough for a sixth to be usual, whatever else the account pays."""
    rows = [(day, -30.0 - day % 9, "grocery") for day in range(80)]
    salaries = [(day, 2100.0 + day, "salary") for day in range(0, 75, 15)]
    past = log_of_one(rows + salaries)
    assert aspects_of(past, 2103.68, "salary").fact("amount", 0) is None
    assert aspects_of(past, 2103.68, "grocery").fact("amount", 0) is not None


def test_a_usual_range_is_that_of_the_category() -> None:
    """Where the account has a habit in the category, that is the one that is told."""
    rows = [(day, 20.0 + day % 5, "grocery") for day in range(80)]
    rows += [(day, 370.0 + day % 9, "travel") for day in range(0, 80, 4)]
    fact = aspects_of(log_of_one(rows), 950.0, "travel").fact("amount", 0)
    assert fact is not None
    assert fact.subject == "this account with category travel"
    assert fact.usually == "370.00 to 378.00"
    assert aspects_of(log_of_one(rows), 377.0, "travel").fact("amount", 0) is None


def test_who_has_no_history_is_held_against_all_accounts_by_name() -> None:
    """A habit is claimed of an account only where it has one; else all accounts are named."""
    past = log_of_one([(1, 20.0, "travel")], num_others=90)
    fact = aspects_of(past, 950.0, "travel").fact("amount", 0)
    assert fact is not None
    assert fact.subject == "all accounts with category travel"
    assert fact.num_known == 91


def test_what_half_the_transactions_have_is_not_passed_over() -> None:
    """What is told as usual of a category is what nine in ten have, the most frequent first."""
    rows = [(day, 20.0, "grocery" if day % 2 else "online") for day in range(80)]
    fact = aspects_of(log_of_one(rows), 20.0, "travel").fact("category", 0)
    assert fact is not None
    assert sorted(fact.usually.split(", ")) == ["grocery (50%)", "online (50%)"]
    assert (fact.num_alike, fact.num_known) == (0, 80)
    assert aspects_of(log_of_one(rows), 20.0, "online").fact("category", 0) is None


def test_times_that_are_all_midnight_say_nothing() -> None:
    """No hour, and no count within an hour, is unusual where times have no hours."""
    past = log_of_one([(day, 20.0, "grocery") for day in range(80)], hour=0)
    assert not past.has_hours
    assert aspects_of(past, 20.0, "grocery", hour=0).fact("hour", 0) is None
    assert aspects_of(past, 20.0, "grocery", hour=3).fact("hour", 0) is None
    with_hours = log_of_one([(day, 20.0, "grocery") for day in range(80)])
    assert aspects_of(with_hours, 20.0, "grocery", hour=3).fact("hour", 0) is not None


def test_a_weekday_like_the_others_is_no_reason() -> None:
    """A weekday is told only where the account hardly ever has it."""
    every = [(day, 20.0, "grocery") for day in range(84)]
    assert aspects_of(log_of_one(every), 20.0, "grocery").fact("hour", 0) is None
    weekday = datetime(2026, 4, 1, tzinfo=UTC).weekday()
    first = datetime(2026, 1, 1, tzinfo=UTC)
    workdays = [
        row
        for row in every
        if (first + timedelta(days=row[0])).weekday() not in (weekday, (weekday + 1) % 7)
    ]
    fact = aspects_of(log_of_one(workdays), 20.0, "grocery").fact("hour", 0)
    assert fact is not None
    assert fact.observed == "Wednesday"
    assert "Wednesday" not in fact.usually


def test_new_counterparties_are_nothing_new_where_all_are_new() -> None:
    """An account that meets somebody new each time has no reason in the next one."""

    def with_shops(shops: list[str]) -> Aspects:
        past = log_of_one([(day, 20.0, "grocery") for day in range(len(shops))])
        table = past.table.append_column("counterparty_id", pa.array(shops))
        found = aspects_of(past, 20.0, "grocery")
        day = found.day.append_column("counterparty_id", pa.array(["new shop"]))
        return replace(found, past=Past(table), day=day)

    assert with_shops([f"shop {place}" for place in range(60)]).fact("counterparty", 0) is None
    fact = with_shops([f"shop {place % 3}" for place in range(60)]).fact("counterparty", 0)
    assert fact is not None
    assert (fact.observed, fact.num_alike, fact.num_known) == ("new shop, new", 3, 60)


def test_long_texts_are_cut() -> None:
    """A term of ten thousand characters is told in sixty, the same in table and page."""
    long = "grocery " * 1250
    rows = [(day, 20.0, long) for day in range(80)]
    fact = aspects_of(log_of_one(rows), 20.0, "travel").fact("category", 0)
    assert fact is not None
    assert len(fact.usually) < 80
    fact = aspects_of(log_of_one(rows), 900.0, long).fact("amount", 0)
    assert fact is not None
    assert len(fact.subject) < 100


def test_a_range_does_not_contain_what_lies_outside() -> None:
    """Amounts that differ in the third decimal are told with three."""
    rows = [(day, 20.001, "grocery") for day in range(80)]
    fact = aspects_of(log_of_one(rows), 20.004, "grocery").fact("amount", 0)
    assert fact is not None
    assert (fact.observed, fact.usually) == ("20.004", "20.001 to 20.001")


def test_days_of_the_small_log_are_explained() -> None:
    """The days above have transactions, so that the law is about something."""
    assert {42, 47, 50} <= set(np.unique(days_of(small_log()[1])).tolist())
    assert pc.count_distinct(small_log()[0]["account_id"]).as_py() > 10


def test_columns_that_say_nothing_are_dropped_and_named() -> None:
    """With every time at midnight and one channel, neither is evidence, and both are named."""
    history, later = small_log()
    log = pa.concat_tables([history, later])
    midnight = pc.floor_temporal(log["event_time"], unit="day")
    log = log.set_column(log.column_names.index("event_time"), "event_time", midnight)
    place = log.column_names.index("channel")
    log = log.set_column(place, "channel", pa.array(["web"] * log.num_rows))
    names = ("category", "country", "channel")
    features = {name: FeatureConfig(kind="categorical") for name in names}
    fitted = fit_fraud_model(log.slice(0, history.num_rows), features, QUICK, num_threads=1)
    assert set(fitted.report.silent) == {"channel", "hour_of_day"}
    scores, _ = fitted.model.score(log.slice(history.num_rows), fitted.state, num_threads=1)
    kinds = fitted.model.evidence_names
    for kind in ("hour", "reconstruction_hour_of_day"):
        assert not scores.calibrated.surprise[:, kinds.index(kind)].any()
    assert scores.calibrated.surprise[:, kinds.index("amount_high")].any()
