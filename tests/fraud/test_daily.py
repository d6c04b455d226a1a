"""A day's result tells of the day alone: its accounts, its alerts, and what explains them."""

from __future__ import annotations

import functools
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from small_transactions import days_of, small_fit, small_log

from recsys.fraud.alerts.daily import DayResult, result_of_day
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.explain import reasons_text

FIRST = date(2024, 1, 1)
BUDGET = 3


@functools.cache
def result(day: int, *, alone: bool = False, budget: int = BUDGET) -> DayResult:
    """A day of the small log, scored together with the days before it, or `alone` after them."""
    fitted, (history, rest) = small_fit(), small_log()
    state, table = fitted.state, rest.filter(pa.array(days_of(rest) <= day))
    if alone:
        days = days_of(table)
        earlier, table = table.filter(pa.array(days < day)), table.filter(pa.array(days == day))
        _, state = fitted.model.score(earlier, state, num_threads=1)
        history = pa.concat_tables([history, earlier])
    scores, after = fitted.model.score(table, state, num_threads=1)
    return result_of_day(
        fitted.model, after, table, scores, history,
        day=FIRST + timedelta(days=day),
        config=AlertConfig(alert_budget=budget),
        with_labels=False,
    )  # fmt: skip


@pytest.mark.parametrize("day", [40, 44, 51])
def test_the_day_is_told_of_and_nothing_else(day: int) -> None:
    """Both tables hold the day's transactions and its accounts, each once."""
    table = small_log()[1]
    of_day = table.filter(pa.array(days_of(table) == day))
    found = result(day)
    scores = found.transaction_scores()
    assert scores["transaction_id"].to_pylist() == of_day["transaction_id"].to_pylist()
    accounts = found.account_scores(bundle_id="f").to_pandas()
    counts = of_day["account_id"].to_pandas().value_counts().to_dict()
    assert accounts.set_index("account_id")["num_transactions"].to_dict() == counts
    assert len(accounts) == len(counts) == len(found.days)


def test_days_beside_it_do_not_matter() -> None:
    """Scored together with the days before it or alone after them, a day has the same tables."""
    among, alone = result(47), result(47, alone=True)
    assert alone.transaction_scores().equals(among.transaction_scores())
    first, second = (one.account_scores(bundle_id="f") for one in (among, alone))
    assert first.equals(second)


def test_the_account_score_is_that_of_its_worst_transaction() -> None:
    """Of two accounts the one with the more unusual transaction never ranks lower."""
    found = result(46)
    scores = found.transaction_scores().to_pandas().groupby("account_id")["anomaly_score"].max()
    ranked = found.account_scores(bundle_id="f")["account_id"].to_pylist()
    assert (np.diff(scores[ranked]) <= 1e-12).all()


@pytest.mark.parametrize("budget", [0, 1, BUDGET, 10_000])
def test_alerts_go_by_rank_and_have_explanations(budget: int) -> None:
    """The first accounts are flagged, each is explained in the same order, no other has reasons."""
    found = result(46, budget=budget)
    accounts = found.account_scores(bundle_id="f").to_pandas()
    num_alerts = min(budget, len(accounts))
    flagged = accounts[accounts["alert"]]
    assert flagged["rank"].tolist() == list(range(1, num_alerts + 1))
    assert (flagged["reasons"] != "").all()
    assert (accounts["reasons"][~accounts["alert"]] == "").all()
    reported = found.explanations
    assert [one.account_id for one in reported] == flagged["account_id"].tolist()
    assert [one.rank for one in reported] == flagged["rank"].tolist()
    assert [one.account_score for one in reported] == flagged["account_score"].tolist()


def test_the_state_remembers_who_was_tested() -> None:
    """All accounts of the day are counted once, and those that were flagged are named."""
    found = result(46)
    memory = found.scored.state.alert_memory.to_pandas()
    assert memory["num_tested"].sum() == len(found.days)
    assert set(memory["account"][memory["alert"]]) == {one.account for one in found.flagged}


def test_history_is_all_that_came_before_the_day() -> None:
    """What explanations may look back on is every earlier transaction, of any account."""
    found = result(46, alone=True)
    log = pa.concat_tables(small_log())
    assert found.scored.history.equals(log.filter(pa.array(days_of(log) < 46)))
    assert found.scored.history.num_rows > 0


def test_alerts_are_explained_once() -> None:
    """Table and page have the same explanation, to the object: it is not computed twice."""
    found = result(46)
    lines = found.account_scores(bundle_id="f").to_pandas().query("alert")["reasons"].tolist()
    assert lines == [reasons_text(one.reasons) for one in found.explanations]
    assert found.explanations is found.explanations


def test_cold_accounts_are_counted() -> None:
    """The number of cold accounts is that of the marks in the table."""
    found = [result(day) for day in (40, 46, 58)]
    marks = [one.account_scores(bundle_id="f")["cold"].to_pylist() for one in found]
    assert [one.num_cold for one in found] == [sum(mark) for mark in marks]
    assert 0 < sum(map(sum, marks)) < sum(map(len, marks))
