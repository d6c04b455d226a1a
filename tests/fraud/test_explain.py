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

from recsys.fraud.explain import (
    FlaggedAccount,
    evidence_family,
    explain_alerts,
    reasons_text,
)
from recsys.fraud.explain.contributions import Contributions, contributions_of
from recsys.fraud.explain.facts import shortest_range
from recsys.fraud.report import Alert, AlertPage, render_alert_page

HOURS = st_numpy.arrays(np.int64, 24, elements=st.integers(0, 50)).filter(np.any)


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


@given(HOURS)
def test_the_shortest_range_is_the_shortest(counts: np.ndarray) -> None:
    """It holds nine in ten, and no range that is an hour shorter does."""
    first, length = shortest_range(counts)
    needed = 0.9 * counts.sum()

    def held(start: int, hours: int) -> int:
        return sum(int(counts[(start + hour) % 24]) for hour in range(hours))

    assert held(first, length) >= needed
    assert all(held(start, length - 1) < needed for start in range(24))


def test_shares_and_rarities_are_what_they_say(scored: ScoredLog) -> None:
    """Shares fall and sum to at most 1; rarities are probabilities; no family comes twice."""
    for kind in ("takeover", "card_testing", "bust_out", "bad_merchant", "slow_drift"):
        for alert in alerts_of(scored, kind):
            groups = [alert.reasons, *(one.reasons for one in alert.transactions if one.reasons)]
            for reasons in groups:
                shares = [one.share for one in reasons if not math.isnan(one.share)]
                assert shares == sorted(shares, reverse=True)
                assert 0 <= sum(shares) <= 1 + 1e-9
                assert all(0 < one.rarity <= 1 for one in reasons if not math.isnan(one.rarity))
                assert len({one.evidence for one in reasons}) == len(reasons)


def test_what_made_the_score_comes_first() -> None:
    """Families are in the order of what they brought in; a count speaks of all that it counts."""
    made = Contributions(
        families=("amount", "velocity", "hour"),
        nats=np.array([[2.0, 1.5, 0.0], [1.0, 0.0, 0.5]]),
    )

    assert made.total(np.array([0, 1])) == {"amount": 3.0, "velocity": 3.0, "hour": 0.5}
    assert list(made.total(np.array([1]))) == ["amount", "hour", "velocity"]
    assert made.strongest("hour", np.array([0, 1])).tolist() == [1, 0]


def test_what_made_a_score_is_what_it_loses_without(scored: ScoredLog) -> None:
    """The score of a takeover falls without the family that is said to have brought most."""
    plant = next(one for one in scored.log.plants if one.kind == "takeover")
    account, at = scored.worst_day(plant)
    day = scored.day(at)
    rows = np.flatnonzero(day.scores.account == account)
    scorer, coded = scored.model.scorer, scored.model.inputs.encode(day.table.take(pa.array(rows)))
    evidence = day.scores.evidence[rows].copy()

    assert np.allclose(
        scorer.transaction_scores(evidence, coded, num_threads=1),
        day.scores.calibrated.transaction_score[rows],
    )
    first = next(iter(contributions_of(day, rows).total(np.arange(len(rows)))))
    own = [evidence_family(kind, scored.model.inputs.context) == first for kind in scorer.kinds]
    evidence[:, own] = np.array([tail.median for tail in scorer.tails])[own]
    less = scorer.transaction_scores(evidence, coded, num_threads=1)
    assert less.max() < day.scores.calibrated.transaction_score[rows].max() - 1


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
    """The text in the table of accounts has the first three reasons of the page, with subjects."""
    for alert in alerts_of(scored, "takeover"):
        parts = reasons_text(alert.reasons).split("; ")
        assert len(parts) == min(len(alert.reasons), 3)
        for part, reason in zip(parts, alert.reasons, strict=False):
            assert part.startswith(f"{reason.evidence}: {reason.observed}")
            assert reason.expected in part


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
        assert all(alert.reasons[0].observed in text for alert in alerts)
        assert "nan" not in text.lower().replace("finance", "")
