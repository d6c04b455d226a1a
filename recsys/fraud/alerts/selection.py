"""Which accounts of a day become alerts.

The mode fdr tests the accounts of a day as one family with those of the nights before it. If each
day were tested alone, every quiet day could have a false alert: over a month with few frauds these
would be a large share of all alerts, although each day keeps its rate.

Shapes: A accounts of a day, R p-values of earlier nights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from recsys.arrays import BoolArray, Float64Array, Int64Array
from recsys.config import config_class
from recsys.errors import DataError


@config_class
class AlertConfig:
    """How the accounts to look into are chosen."""

    mode: Literal["budget", "fdr", "threshold"] = "budget"
    """budget: as many accounts as people can look into; fdr: as many as keep the expected share of
    false alerts low, none on a quiet day; threshold: all whose score is high enough."""
    alert_budget: int = Field(default=10, ge=0)
    """Accounts a day in the mode budget."""
    false_discovery_rate: float = Field(default=0.1, gt=0, lt=1)
    """Expected share of alerts on normal accounts in the mode fdr."""
    repeat_days: int = Field(default=14, ge=0, le=36_525)
    """Days after an alert on which the mode fdr does not flag the account again."""
    threshold: float = Field(default=0.999, ge=0, le=1)
    """Account score from which on an account is flagged in the mode threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Alerts:
    """The accounts of a day, flagged or not."""

    alert: BoolArray
    """Whether an account is flagged. Shape (A,)."""
    rank: Int64Array
    """Place by descending account score, from 1; of equal scores the earlier account comes first.
    Shape (A,)."""
    sufficient_score: float
    """The lowest account score that would have been flagged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EarlierNights:
    """Results of the nights before that the mode fdr needs."""

    low_p_values: Float64Array
    """Those p-values of tested accounts that may be low enough. Shape (R,)."""
    num_tested: int
    """How many accounts were tested, R at least; the p-values of the others count as 1."""
    flagged_lately: BoolArray
    """Accounts of the day that are not tested since they were flagged recently: their cumulative
    score would flag them every night. Shape (A,)."""

    @classmethod
    def none(cls, num_accounts: int) -> EarlierNights:
        """There were no nights before."""
        return cls(
            low_p_values=np.zeros(0),
            num_tested=0,
            flagged_lately=np.zeros(num_accounts, dtype=np.bool_),
        )


def choose_alerts(
    account_score_A: Float64Array,
    p_value_A: Float64Array,
    config: AlertConfig,
    earlier: EarlierNights | None = None,
) -> Alerts:
    """Flag accounts.

    Args:
        account_score_A: Account scores, from 0 to 1.
        p_value_A: Probability of a score as high under normal behaviour; read in the mode fdr.
        config: How to choose.
        earlier: What was tested on the nights before; read in the mode fdr.

    Raises:
        DataError: Scores or p-values that are not numbers from 0 to 1, or not as many of each.
    """
    _check(account_score_A, p_value_A)
    rank_A = _ranks(account_score_A)
    match config.mode:
        case "budget":
            alert_A = rank_A <= config.alert_budget
            sufficient = _last_in_budget(account_score_A, rank_A, config.alert_budget)
        case "fdr":
            earlier = earlier or EarlierNights.none(len(p_value_A))
            limit, sufficient_p = _family_limits(p_value_A, config, earlier)
            alert_A = (p_value_A <= limit) & ~earlier.flagged_lately
            sufficient = 1 - sufficient_p
        case "threshold":
            alert_A, sufficient = account_score_A >= config.threshold, config.threshold
    return Alerts(alert=alert_A, rank=rank_A, sufficient_score=float(sufficient))


def fdr_limit(p_value_A: Float64Array, rate: float, num_tested: int | None = None) -> float:
    """The largest p-value that is rejected at a false discovery rate; -inf where none is.

    With p(1) <= ... <= p(A) it is the largest p(k) <= k / A * rate (Benjamini and Hochberg 1995,
    "Controlling the false discovery rate", equation 1). For the p-values of conformal prediction
    the rate holds as well (Bates et al. 2023, "Testing for outliers with conformal p-values").

    Args:
        p_value_A: One a hypothesis, here an account.
        rate: The false discovery rate.
        num_tested: Number of hypotheses, if there are more; the p-values of the others are 1.

    Examples:
        >>> fdr_limit(np.array([0.9, 0.01, 0.04, 0.5]), 0.1)
        0.04
    """
    ascending_A = np.sort(p_value_A)
    num_tested = len(ascending_A) if num_tested is None else num_tested
    limits_A = np.arange(1, len(ascending_A) + 1) / max(num_tested, 1) * rate
    rejected = ascending_A[ascending_A <= limits_A]
    return float(rejected[-1]) if len(rejected) else float("-inf")


def _family_limits(
    p_value_A: Float64Array, config: AlertConfig, earlier: EarlierNights
) -> tuple[float, float]:
    """The largest p-value that is rejected, and what one more account would have needed."""
    rate = config.false_discovery_rate
    family = np.concatenate([p_value_A[~earlier.flagged_lately], earlier.low_p_values])
    num_others = earlier.num_tested - len(earlier.low_p_values)
    num_tested = max(len(family) + num_others, 1)
    limit = fdr_limit(family, rate, num_tested)
    place = min(int((family <= limit).sum()) + 1, num_tested)
    return limit, place / num_tested * rate


def _ranks(account_score_A: Float64Array) -> Int64Array:
    order_A = np.argsort(-account_score_A, kind="stable")
    rank_A = np.empty(len(order_A), dtype=np.int64)
    rank_A[order_A] = np.arange(1, len(order_A) + 1)
    return rank_A


def _last_in_budget(account_score_A: Float64Array, rank_A: Int64Array, budget: int) -> float:
    """Score of the last alert; 0 where the budget is not used up, 1 where there is none."""
    if budget == 0:
        return 1.0
    last = account_score_A[rank_A == budget]
    return float(last[0]) if len(last) else 0.0


def _check(account_score_A: Float64Array, p_value_A: Float64Array) -> None:
    """Check scores and p-values."""
    if account_score_A.shape != p_value_A.shape or account_score_A.ndim != 1:
        got = f"shapes {account_score_A.shape} and {p_value_A.shape}"
        raise DataError(
            file="account scores",
            expected="a score and a p-value of each account",
            got=got,
            remedy="bring both in the order of the accounts",
        )
    for column, values_A in (("account_score", account_score_A), ("p_value", p_value_A)):
        wrong = int((~((values_A >= 0) & (values_A <= 1))).sum())
        if wrong:
            raise DataError(
                file="account scores",
                column=column,
                expected="numbers from 0 to 1",
                got=f"{wrong} others",
                remedy="score the transactions again",
            )
