"""Explanations: families, what stands out, and words that agree with the rows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from explained_log import FIRST_DAY, ScoredLog, scored_log
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from recsys.fraud.embedding.inputs import amounts_of_logs, log_amounts
from recsys.fraud.explain import (
    FlaggedAccount,
    account_reasons,
    evidence_family,
    explain_alerts,
    reasons_text,
)
from recsys.fraud.explain.families import FamilyStrengths
from recsys.fraud.explain.reconstruction import expectations
from recsys.fraud.explain.usual import shortest_range
from recsys.fraud.report import Alert, AlertPage, render_alert_page

SHARES = st_numpy.arrays(np.float64, 24, elements=st.integers(0, 50).map(float)).filter(np.any)


@pytest.fixture(scope="module")
def scored() -> ScoredLog:
    """One fit for all."""
    return scored_log(seed=11)


def alerts_of(scored: ScoredLog, kind: str, *, cold: int = 20) -> tuple[Alert, ...]:
    """The alert on the worst day of the first plant of a kind, and one on an ordinary account."""
    plant = next(
        one for one in scored.log.plants if one.kind == kind and one.first_day >= FIRST_DAY
    )
    account, at = scored.worst_day(plant)
    day = scored.day(at)
    other = next(int(one) for one in day.scores.account if one != account)
    flagged = [
        FlaggedAccount(account=one, rank=rank, account_score=0.99)
        for rank, one in enumerate((account, other), start=1)
    ]
    return explain_alerts(day, flagged, sufficient_score=0.9, cold_transactions=cold)


def test_kinds_that_say_the_same_are_one_family() -> None:
    """Amounts, hours and the context have one family each; other columns have their own."""
    for kind in ("amount_high", "amount_low", "counterparty_amount", "reconstruction_log_amount"):
        assert evidence_family(kind, "mcc") == "amount"
    for kind in ("hour", "reconstruction_hour_of_day", "reconstruction_weekday"):
        assert evidence_family(kind, "mcc") == "hour"
    assert evidence_family("reconstruction_mcc", "mcc") == "category"
    assert evidence_family("reconstruction_mcc", "") == "mcc"


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=9))
def test_amounts_come_back_from_their_logs(logs: list[float]) -> None:
    """The inverse of the log amount is its inverse in every currency, known or not."""
    levels = {"EUR": 3.0, "JPY": 8.0, "USD": 3.5}
    amounts = np.sign(logs) * np.expm1(np.abs(logs))
    currencies = (["EUR", "JPY", "XXX", None] * 3)[: len(logs)]
    table = pa.table({"amount": amounts, "currency": pa.array(currencies, pa.string())})

    back = amounts_of_logs(log_amounts(table, levels), table, levels)

    assert np.allclose(back, amounts, rtol=1e-4, atol=1e-4)


@given(SHARES)
def test_the_shortest_range_is_the_shortest(shares: np.ndarray) -> None:
    """It holds nine in ten, and no range that is an hour shorter does."""
    shares /= shares.sum()
    first, length = shortest_range(shares)

    def held(start: int, hours: int) -> float:
        return sum(shares[(start + hour) % 24] for hour in range(hours))

    assert held(first, length) >= 0.9 - 1e-9
    assert all(held(start, length - 1) < 0.9 + 1e-9 for start in range(24))


def test_shares_and_rarities_are_what_they_say(scored: ScoredLog) -> None:
    """Shares fall and sum to at most 1; rarities are probabilities; no family comes twice."""
    for kind in ("takeover", "card_testing", "bust_out", "bad_merchant", "slow_drift"):
        for alert in alerts_of(scored, kind):
            groups = [alert.reasons, *(one.reasons for one in alert.transactions if one.reasons)]
            for reasons in groups:
                shares = [one.share for one in reasons]
                assert shares == sorted(shares, reverse=True)
                assert 0 <= sum(shares) <= 1 + 1e-9
                assert all(0 < one.rarity <= 1 for one in reasons)
                assert len({one.evidence for one in reasons}) == len(reasons)


def test_a_summary_is_a_reason_only_where_nothing_else_is() -> None:
    """The distance of the embedding is left out beside an aspect, and shown alone."""
    strengths = FamilyStrengths(
        families=("amount", "behaviour"),
        beyond=np.array([[1.0, 9.0], [0.0, 9.0], [0.0, 0.0]]),
        beyond_kind=np.array([[0, 1]] * 3),
        plain=np.array([[1.0, 9.0], [0.0, 9.0], [0.2, 0.1]]),
        plain_kind=np.array([[0, 1]] * 3),
    )

    for row, expected in enumerate(("amount", "behaviour", "amount")):
        assert [one.family for one in strengths.ranked(np.array([row]))] == [expected]


def test_a_single_purchase_is_not_a_burst(scored: ScoredLog) -> None:
    """What an account paid within a day is no evidence where one transaction paid it."""
    scorer = scored.model.scorer
    surprise = np.zeros((2, len(scorer.kinds)), dtype=np.float32)
    surprise[:, scorer.kinds.index("amount_1d")] = 8
    scorer = replace(scorer, weights=np.ones(len(scorer.kinds)))

    strengths = FamilyStrengths.of(surprise, scorer, "", part_in_day_R=np.array([0.9, 0.1]))

    assert (strengths.beyond.sum(1) > 0).tolist() == [False, True]


def test_counts_are_those_of_the_rows(scored: ScoredLog) -> None:
    """A test of a card says how many transactions came within an hour, and that is their number."""
    alert = alerts_of(scored, "card_testing")[0]
    reason = next(one for one in alert.reasons if one.evidence == "velocity")
    window = timedelta(hours=1 if "an hour" in reason.observed else 24)
    times = [one.event_time for one in alert.transactions]
    counts = [sum(end - window < one <= end for one in times) for end in times]

    assert "transactions within" in reason.observed
    assert int(reason.observed.split()[0]) in counts
    assert int(reason.observed.split()[0]) > int(reason.expected.split()[-1])


def test_amounts_of_a_takeover_lie_outside_the_usual_range(scored: ScoredLog) -> None:
    """The words name the amount of a row, its currency, and a range that it lies above."""
    alert = alerts_of(scored, "takeover")[0]
    reasons = [
        (one.amount, reason)
        for one in alert.transactions
        for reason in one.reasons
        if reason.evidence == "amount" and " to " in reason.expected
    ]

    assert reasons
    for amount, reason in reasons:
        low, high = (float(one.replace(",", "")) for one in reason.expected.split()[:3:2])
        assert reason.observed == f"{amount:,.2f} USD"
        assert not low <= amount <= high


def test_transactions_are_those_of_the_account(scored: ScoredLog) -> None:
    """The time line is in order, its past unscored; the nearest are of the past, and normal."""
    for alert in alerts_of(scored, "takeover"):
        times = [one.event_time for one in alert.transactions]
        past = [one for one in alert.transactions if math.isnan(one.anomaly_score)]
        assert times == sorted(times)
        assert 0 < len(past) <= 60
        assert not any(one.is_suspicious for one in past)
        assert len(alert.nearest_normal) == 3
        ids = [one.transaction_id for one in (*alert.transactions, *alert.nearest_normal)]
        rows = scored.log.table.filter(pc.is_in(scored.log.table["transaction_id"], pa.array(ids)))
        assert set(rows["account_id"].to_pylist()) == {alert.account_id}
        assert all(one.transaction_id.startswith("t") for one in alert.nearest_normal)
        assert any(one.is_suspicious and one.reasons for one in alert.transactions)


def test_an_account_without_history_is_cold_and_explained(scored: ScoredLog) -> None:
    """No earlier row is needed; how many are known comes from the state."""
    day = scored.day(FIRST_DAY + 3)
    day = replace(day, history=day.history.slice(0, 0))
    flagged = [FlaggedAccount(account=int(day.scores.account[0]), rank=1, account_score=0.5)]

    (alert,) = explain_alerts(day, flagged, sufficient_score=0.4, cold_transactions=10**6)

    assert alert.cold
    assert alert.num_known > 0
    assert alert.nearest_normal == ()
    assert alert.reasons


def test_the_line_of_reasons_is_that_of_the_alert(scored: ScoredLog) -> None:
    """The text in the table of accounts has the first three reasons of the page."""
    day = scored.day(FIRST_DAY + 4)
    accounts = np.unique(day.scores.account)[:5]
    flagged = [
        FlaggedAccount(account=int(one), rank=rank, account_score=0.5)
        for rank, one in enumerate(accounts, start=1)
    ]
    alerts = explain_alerts(day, flagged, sufficient_score=0.4, cold_transactions=20)

    assert account_reasons(day, accounts) == [reasons_text(one.reasons) for one in alerts]
    assert all(reasons_text(one.reasons).count(" (1 in ") <= 3 for one in alerts)
    assert account_reasons(day, accounts[:0]) == []


def test_a_term_never_seen_is_called_so(scored: ScoredLog) -> None:
    """A country that training did not meet is expected to be another one, and marked."""
    inputs = scored.model.inputs
    rows = scored.table.slice(0, 4)
    place = rows.column_names.index("country")
    strange = rows.set_column(
        place, "country", pa.array(["Nowhere", *rows["country"].to_pylist()[1:]])
    )

    expected = expectations(
        scored.model.autoencoder, inputs.encoder, inputs.encode(strange).columns
    ).terms["country"]

    assert expected.is_unseen.tolist() == [True, False, False, False]
    assert set(expected.terms) <= set(scored.log.table["country"].to_pylist())


def test_alerts_can_be_drawn(scored: ScoredLog) -> None:
    """A page of every kind of alert has each first reason, and a dash for what was not scored."""
    for kind in ("takeover", "bad_merchant"):
        alerts = alerts_of(scored, kind)
        day = alerts[0].transactions[-1].event_time.date()
        page = AlertPage(
            day=day, title="Cards", num_transactions=9, num_accounts=2, num_cold=0, rule="Two.",
            alerts=alerts,
        )  # fmt: skip
        text = render_alert_page(page)
        assert all(alert.reasons[0].expected.split()[0] in text for alert in alerts)
        assert "nan" not in text.lower().replace("finance", "")
