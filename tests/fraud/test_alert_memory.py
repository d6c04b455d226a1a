"""Alerts over many nights: the family of a month, accounts that are not flagged again, the rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.alerts.alert_memory import FAMILY_DAYS, AlertMemory
from recsys.fraud.alerts.selection import AlertConfig, choose_alerts

LEVELS = (1e-6, 1e-5, 1e-4, 1e-3, 9e-3, 0.3, 0.9)
LIST_OF_P = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=6)


def flagged_night_by_night(
    nights: dict[int, np.ndarray], accounts: dict[int, np.ndarray], config: AlertConfig
) -> dict[int, np.ndarray]:
    """Alerts of each night with the memory of those before it."""
    memory, alerts = AlertMemory.of(None), {}
    for day, p_values in nights.items():
        earlier = memory.earlier(day, accounts[day], config)
        alerts[day] = choose_alerts(1 - p_values, p_values, config, earlier).alert
        memory = memory.followed_by(
            day, accounts[day], p_values, alerts[day],
            tested_A=~earlier.flagged_lately, config=config,
        )  # fmt: skip
    return alerts


def flagged_by_hand(
    nights: dict[int, np.ndarray], accounts: dict[int, np.ndarray], config: AlertConfig
) -> dict[int, np.ndarray]:
    """The same from the definition: all that was tested within a month, largest p-value first."""
    tested: list[tuple[int, float]] = []
    last: dict[int, int] = {}
    alerts = {}
    for day, p_values in nights.items():
        is_open = [
            day - last.get(account, -1000) <= config.repeat_days for account in accounts[day]
        ]
        tested += [(day, p) for p, o in zip(p_values, is_open, strict=True) if not o]
        family = sorted(p for when, p in tested if when > day - FAMILY_DAYS)
        limit = -1.0
        for place in range(len(family), 0, -1):
            if family[place - 1] <= place / len(family) * config.false_discovery_rate:
                limit = family[place - 1]
                break
        alerts[day] = np.array(
            [p <= limit and not o for p, o in zip(p_values, is_open, strict=True)]
        )
        for account in accounts[day][alerts[day]]:
            last[account] = day
    return alerts


@given(
    nights=st.dictionaries(st.integers(0, 60), LIST_OF_P, min_size=1, max_size=8),
    repeat_days=st.sampled_from([0, 3, 14, 40]),
)
def test_alerts_are_those_of_the_definition(
    nights: dict[int, list[float]], repeat_days: int
) -> None:
    """Nights in any rhythm; accounts come back. Limits here are below all p-values that are large.

    (Larger p-values than 0.01 are only counted, so that limits above it would be cut there.)
    """
    config = AlertConfig(mode="fdr", false_discovery_rate=0.01, repeat_days=repeat_days)
    p_values = {day: np.array(nights[day]) for day in sorted(nights)}
    accounts = {day: np.arange(len(p_values[day])) for day in p_values}

    found = flagged_night_by_night(p_values, accounts, config)

    expected = flagged_by_hand(p_values, accounts, config)
    assert {day: alert.tolist() for day, alert in found.items()} == {
        day: alert.tolist() for day, alert in expected.items()
    }


def test_a_worked_example() -> None:
    """Ten accounts a night at a rate of 10 %: 0.006 is too high alone, and low enough after 0.003.

    First night: 0.003 <= 1/10 * 0.1. Second night: the family has 20, its second lowest p-value is
    0.006 <= 2/20 * 0.1. A single 0.006 among 20 would need 1/20 * 0.1 = 0.005.
    """
    config = AlertConfig(mode="fdr", false_discovery_rate=0.1)
    usual = [0.5] * 9
    accounts = {1: np.arange(10), 2: np.arange(10, 20)}
    first, quiet = np.array([0.003, *usual]), np.array([0.5, *usual])
    second = np.array([0.006, *usual])

    after_fraud = flagged_night_by_night({1: first, 2: second}, accounts, config)
    after_nothing = flagged_night_by_night({1: quiet, 2: second}, accounts, config)

    assert after_fraud[1].tolist() == after_fraud[2].tolist() == [True] + [False] * 9
    assert not after_nothing[2].any()


def test_an_account_is_flagged_once_an_episode() -> None:
    """Not again within the days that are set, whatever its score; then it may be."""
    config = AlertConfig(mode="fdr", repeat_days=3)
    nights = {day: np.array([1e-9, 0.5, 0.5]) for day in range(6)}
    alerts = flagged_night_by_night(nights, {day: np.arange(3) for day in nights}, config)
    assert [bool(alerts[day][0]) for day in nights] == [True, False, False, False, True, False]


def test_the_memory_stays_small() -> None:
    """Rows of low p-values and one more a day, and none older than a month."""
    config = AlertConfig(mode="fdr")
    memory = AlertMemory.of(None)
    rng = np.random.default_rng(0)
    for day in range(100):
        accounts, p_values = np.arange(1000), rng.random(1000)
        memory = memory.followed_by(
            day, accounts, p_values, np.zeros(1000, dtype=bool),
            tested_A=np.ones(1000, dtype=bool), config=config,
        )  # fmt: skip
    assert memory.table.num_rows < 0.02 * 1000 * FAMILY_DAYS
    earlier = memory.earlier(100, np.arange(5), config)
    assert earlier.num_tested == 1000 * (FAMILY_DAYS - 1)


def mixture(seed: int, share: float) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """P-values of 120 nights of a thousand accounts, and which are fraud: lower than uniform."""
    rng = np.random.default_rng(seed)
    is_fraud = {day: rng.random(1000) < share for day in range(120)}
    nights = {
        day: np.where(fraud, 10 ** -rng.uniform(2, 8, 1000), rng.random(1000))
        for day, fraud in is_fraud.items()
    }
    return nights, is_fraud


def most_to_be_found(nights: dict[int, np.ndarray], is_fraud: dict[int, np.ndarray]) -> int:
    """Frauds below the highest limit at which 10 % of what is below are false."""
    p_values = np.concatenate(list(nights.values()))
    fraud = np.concatenate(list(is_fraud.values()))[np.argsort(p_values)]
    found = np.cumsum(fraud)
    return int(found[found >= 0.9 * np.arange(1, len(found) + 1)].max(initial=0))


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_alerts_of_months_keep_the_rate(share: float) -> None:
    """Of a mixture of uniform p-values and frauds, at most 12 % of all alerts are false.

    Nights tested alone have far more where frauds are few: each quiet one has its own. And nine
    tenths are found of what one limit for all could find that was set knowing the truth.
    """
    config = AlertConfig(mode="fdr", false_discovery_rate=0.1, repeat_days=0)
    counts = {"together": np.zeros(2), "alone": np.zeros(2)}
    best = 0
    for seed in range(6):
        nights, is_fraud = mixture(seed, share)
        best += most_to_be_found(nights, is_fraud)
        alerts = {
            "together": flagged_night_by_night(
                nights, {day: np.arange(1000) for day in nights}, config
            ),
            "alone": {day: choose_alerts(1 - p, p, config).alert for day, p in nights.items()},
        }
        for way, flagged in alerts.items():
            for day, fraud in is_fraud.items():
                counts[way] += [(flagged[day] & ~fraud).sum(), (flagged[day] & fraud).sum()]

    false, found = counts["together"]
    assert false / (false + found) <= 0.12
    assert found >= 0.9 * best
    if share == 0.001:
        assert counts["alone"][0] / counts["alone"].sum() > 0.2
