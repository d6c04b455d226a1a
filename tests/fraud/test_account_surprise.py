"""The plain detector that knows accounts, against its definition and on what is planted."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from recsys.datasets.dataset import FeatureConfig
from recsys.fraud.evaluation.account_surprise import AccountSurprise

HOUR_US = 3_600_000_000
FEATURES = {"category": FeatureConfig(kind="categorical")}


def log_of(amounts: np.ndarray, *, accounts: np.ndarray, hours: np.ndarray) -> pa.Table:
    """Transactions of one category, some hours after 1970."""
    times = pa.array(np.asarray(hours * HOUR_US, dtype=np.int64)).cast(pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "account_id": accounts,
            "event_time": times,
            "amount": np.asarray(amounts, dtype=np.float64),
            "category": ["food"] * len(amounts),
        }
    )


def usual(num_rows: int = 4000) -> pa.Table:
    """Ten accounts that pay some 20 at all hours."""
    rng = np.random.default_rng(0)
    hours = np.sort(rng.uniform(0, 24 * 200, num_rows))
    return log_of(np.exp(rng.normal(3, 0.3, num_rows)), accounts=np.arange(num_rows) % 10,
                  hours=hours)  # fmt: skip


def test_surprise_is_that_of_the_shrunk_normal_distribution() -> None:
    """-log density of the amount but for the constant, and -log of the share of the hour."""
    fitted = AccountSurprise.fit(usual(), FEATURES)
    logs = np.log1p(np.asarray(usual()["amount"]))
    own = logs[np.arange(len(logs)) % 10 == 3]
    mean = (own.sum() + 20 * logs.mean()) / (len(own) + 20)
    squares = ((own - mean) ** 2).sum() + 20 * (logs.var() + (logs.mean() - mean) ** 2)
    var = squares / (len(own) + 20)
    one = log_of(np.array([500.0]), accounts=np.array([3]), hours=np.array([24 * 201 + 5.5]))
    hours = (np.asarray(usual()["event_time"].cast(pa.int64())) // HOUR_US) % 24
    share = ((hours == 5).sum() + 20 * ((hours == 5).sum() + 1) / (4000 + 24)) / (4000 + 20)
    expected = ((math.log(501) - mean) ** 2 / var + math.log(var)) / 2 - math.log(share)
    assert fitted.surprise(one)[0] == pytest.approx(expected, rel=1e-3)


def test_unusual_amounts_pile_up_for_a_day_and_no_longer() -> None:
    """After an unusual transaction the account is hot for 24 hours, and nobody else is."""
    fitted = AccountSurprise.fit(usual(), FEATURES)
    start = 24 * 201.0
    hours = start + np.array([0, 1, 2, 23, 25])
    amounts, accounts = np.array([20, 9000, 20, 20, 20]), np.array([1, 1, 1, 2, 1])
    table = log_of(amounts, accounts=accounts, hours=hours)
    score, own = fitted.score(table), 0.3 * fitted.surprise(table)
    np.testing.assert_allclose((score - own)[[0, 1, 2, 3, 4]], [0, 5, 5, 0, 5], atol=0.01)
    later = log_of(amounts, accounts=accounts, hours=hours + np.array([0, 0, 0, 0, 30]))
    assert (fitted.score(later) - 0.3 * fitted.surprise(later))[4] == pytest.approx(0, abs=0.01)


def test_accounts_that_are_not_known_are_compared_with_everybody() -> None:
    """A new account has a finite score, and a usual amount is usual for it."""
    fitted = AccountSurprise.fit(usual(), FEATURES)
    new = log_of(
        np.array([20.0, 9000.0]), accounts=np.array([77, 77]), hours=np.array([4900, 4901])
    )
    score = fitted.score(new)
    assert np.isfinite(score).all()
    assert score[0] < fitted.threshold < score[1]


def test_an_account_with_few_transactions_is_judged_by_its_peers() -> None:
    """At night a new worker of the night is usual, one of the day is not; amounts are alike."""
    num_accounts, num_rows = 40, 4_000
    rng = np.random.default_rng(1)
    account_N = np.arange(num_rows) % num_accounts
    few = np.isin(account_N, (0, 1)) & (np.arange(num_rows) >= 8 * num_accounts)
    hour_N = np.where(account_N % 2, 2, 14) + rng.uniform(0, 1, num_rows)
    times = np.arange(num_rows) * 100 // num_rows * 24 + hour_N
    kept = np.flatnonzero(~few)
    order = kept[np.argsort(times[kept], kind="stable")]
    table = log_of(
        np.exp(rng.normal(3, 0.3, len(order))), accounts=account_N[order], hours=times[order]
    )
    fitted = AccountSurprise.fit(table, FEATURES)
    at_night = log_of(
        np.full(3, 20.0), accounts=np.array([0, 1, 999]), hours=np.full(3, 24e2 + 2.5)
    )
    by_day, by_night, unknown = fitted.surprise(at_night)
    assert by_day > unknown + 1 > unknown > by_night
