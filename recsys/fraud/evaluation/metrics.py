"""Measures of fraud scores, as pure functions; a higher score is more anomalous.

Two units are measured: transactions, and account-days, which are what an investigator works on.
Where only the k highest of a day count, equal scores are ordered by account code, lower first, so
that a measure depends neither on the order of the rows nor on chance. Accounts are codes from 0,
days are whole numbers, e.g. days since 1970.

The rules of the cards and of who is known are those of the Fraud Detection Handbook (Le Borgne,
Siblini, Lebichot and Bontempi 2022, https://fraud-detection-handbook.github.io/), sections 3.4 and
4.4; a card there is an account here.

Shapes: N transactions, M account-days, A accounts, D days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from recsys.arrays import BoolArray, Int64Array, IntArray
from recsys.errors import ConfigError, DataError

Values = npt.NDArray[np.number | np.bool_]

_ACCOUNT_BITS = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores of transactions or of account-days (then N is M), in any order.

    Raises:
        DataError: Columns of different lengths, a score that is not finite, a negative account.
    """

    scores: Values
    """anomaly_score of each transaction, or account_score of each account-day. Shape (N,)."""
    accounts: IntArray
    """Code of the account. Shape (N,)."""
    days: IntArray
    """The day. Shape (N,)."""

    def __post_init__(self) -> None:
        num_rows = {len(self.scores), len(self.accounts), len(self.days)}
        num_infinite = np.count_nonzero(~np.isfinite(self.scores))
        num_negative = np.count_nonzero(self.accounts < 0)
        if len(num_rows) > 1 or num_infinite or num_negative:
            raise DataError(
                file="scores",
                expected="columns of one length, finite scores and account codes from 0",
                got=f"lengths {sorted(num_rows)}, {num_infinite} scores that are not finite and "
                f"{num_negative} negative codes",
                remedy="score again, or leave these rows out",
            )

    def where(self, mask_N: BoolArray) -> Scored:
        """The rows where the mask is true."""
        return Scored(
            scores=self.scores[mask_N], accounts=self.accounts[mask_N], days=self.days[mask_N]
        )


@dataclass(frozen=True, kw_only=True)
class FraudMeasures:
    """Measures by name, and what a perfect ranking reaches for each."""

    values: dict[str, float]
    """What the scores reach; NaN where a measure is not defined."""
    ceilings: dict[str, float]
    """What a perfect ranking reaches; low if days have fewer frauds than k."""


def measure_fraud(
    transactions: Scored,
    is_fraud_N: BoolArray,
    account_days: Scored,
    *,
    keep_N: BoolArray | None = None,
) -> FraudMeasures:
    """All measures of one set of scores.

    Args:
        transactions: Transactions with their scores.
        is_fraud_N: Their labels.
        account_days: A score for each day of an account with transactions. Rows without a kept
            transaction are left out, so it may hold more.
        keep_N: Which transactions to evaluate; all when not given.

    Raises:
        DataError: An account-day with a kept transaction has no row, or one has several.
    """
    if keep_N is not None:
        transactions, is_fraud_N = transactions.where(keep_N), is_fraud_N[keep_N]
    account_days = _evaluated(account_days, transactions)
    frauds = transactions.where(is_fraud_N)
    has_fraud_M = account_day_truth(
        account_days.accounts,
        account_days.days,
        fraud_accounts=frauds.accounts,
        fraud_days=frauds.days,
    )
    perfect = replace(transactions, scores=is_fraud_N), replace(account_days, scores=has_fraud_M)
    return FraudMeasures(
        values=_all_measures(transactions, is_fraud_N, account_days, has_fraud_M),
        ceilings=_all_measures(perfect[0], is_fraud_N, perfect[1], has_fraud_M),
    )


def auc(scores_N: Values, is_fraud_N: BoolArray) -> float:
    """Probability that a fraud has a higher score than another row, ties counting half.

    NaN when there is only one class. Hanley and McNeil 1982, "The meaning and use of the area under
    a receiver operating characteristic curve".
    """
    return float(roc_auc_score(is_fraud_N, scores_N)) if _has_both(is_fraud_N) else float("nan")


def average_precision(scores_N: Values, is_fraud_N: BoolArray) -> float:
    """Mean precision at the ranks of the frauds; rows of equal score enter together.

    NaN when there is only one class. The share of frauds is what random scores reach.
    """
    if not _has_both(is_fraud_N):
        return float("nan")
    return float(average_precision_score(is_fraud_N, scores_N))


def card_precision(
    scores_N: Values,
    is_fraud_N: BoolArray,
    accounts_N: IntArray,
    days_N: IntArray,
    *,
    k: int = 100,
) -> float:
    """Card precision top-k of the Handbook, section 4.4: mean over days of found cards over k.

    The score of a card on a day is the highest of its transactions, and it is compromised if one of
    these is fraudulent. Compromised cards among the k highest are found, and leave the later days.
    So a card counts once, and the labels as scores reach the most that is possible where no day has
    more than k compromised cards.

    Returns:
        Range [0, 1]; NaN without rows.

    Raises:
        ConfigError: `k` is below 1.
    """
    pairs_M, rows_N = np.unique(_pairs(accounts_N, days_N), return_inverse=True)
    highest_M = np.full(len(pairs_M), -np.inf)
    np.maximum.at(highest_M, rows_N, scores_N.astype(np.float64))
    is_compromised_M = np.bincount(rows_N, weights=is_fraud_N, minlength=len(pairs_M)) > 0
    cards_M, days_M = pairs_M & ((1 << _ACCOUNT_BITS) - 1), pairs_M >> _ACCOUNT_BITS
    return _daily_precision(highest_M, is_compromised_M, cards_M, days_M, k=k, once=True)


def account_day_truth(
    accounts_M: IntArray, days_M: IntArray, *, fraud_accounts: IntArray, fraud_days: IntArray
) -> BoolArray:
    """Whether each account had a fraud on the day, given where and when the frauds were. (M,)."""
    return np.isin(_pairs(accounts_M, days_M), _pairs(fraud_accounts, fraud_days))


def account_day_average_precision(account_scores_M: Values, has_fraud_M: BoolArray) -> float:
    """`average_precision` with account-days as rows; `has_fraud_M` is from `account_day_truth`."""
    return average_precision(account_scores_M, has_fraud_M)


def precision_per_day(
    account_scores_M: Values,
    has_fraud_M: BoolArray,
    accounts_M: IntArray,
    days_M: IntArray,
    *,
    k: int = 5,
) -> float:
    """Mean over days of the number of account-days with a fraud among the k highest, over k.

    Unlike in `card_precision` an account may count again on a later day. A day with fewer than k
    account-days is divided by k too.

    Returns:
        Range [0, 1]; NaN without rows.

    Raises:
        ConfigError: `k` is below 1.
    """
    return _daily_precision(account_scores_M, has_fraud_M, accounts_M, days_M, k=k, once=False)


def known_compromised(
    accounts_N: IntArray,
    days_N: IntArray,
    is_fraud_N: BoolArray,
    *,
    train_end_day: int,
    test_start_day: int,
    num_train_days: int = 7,
) -> BoolArray:
    """Transactions on test days whose account is known to be compromised by then.

    Handbook, section 3.4: labels are known after a delay, the days between training and test. A
    fraud of the last `num_train_days` training days is known to the whole test; one on a later day
    f is known on the days after f + delay. These rows are left out: no score is needed to find
    them.

    Args:
        accounts_N: Accounts of all transactions, those before the test included.
        days_N: Their days.
        is_fraud_N: Their labels.
        train_end_day: The day after the last training day.
        test_start_day: The first test day.
        num_train_days: Training days whose frauds count.

    Returns:
        Shape (N,); false on every day before the test.

    Raises:
        ConfigError: A test that starts before training ends, or no training day.
    """
    delay = test_start_day - train_end_day
    if delay < 0 or num_train_days < 1:
        raise ConfigError(
            "known_compromised: expected a test that does not start before training ends and at "
            f"least 1 training day, got a delay of {delay} and {num_train_days} days; check the cut"
        )
    is_counted_N = is_fraud_N & (days_N >= train_end_day - num_train_days)
    first_fraud_A = np.full(int(accounts_N.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_fraud_A, accounts_N[is_counted_N], days_N[is_counted_N])
    # A fraud of the training days is always before day - delay, which is at least train_end_day.
    is_known_N: BoolArray = first_fraud_A[accounts_N] < days_N - delay
    return is_known_N & (days_N >= test_start_day)


def _all_measures(
    transactions: Scored, is_fraud_N: BoolArray, account_days: Scored, has_fraud_M: BoolArray
) -> dict[str, float]:
    scores_N, accounts_N, days_N = transactions.scores, transactions.accounts, transactions.days
    scores_M, accounts_M, days_M = account_days.scores, account_days.accounts, account_days.days
    return {
        "auc": auc(scores_N, is_fraud_N),
        "average_precision": average_precision(scores_N, is_fraud_N),
        "account_day_average_precision": account_day_average_precision(scores_M, has_fraud_M),
        "card_precision@100": card_precision(scores_N, is_fraud_N, accounts_N, days_N, k=100),
        "precision@5_per_day": precision_per_day(scores_M, has_fraud_M, accounts_M, days_M, k=5),
    }


def _evaluated(account_days: Scored, transactions: Scored) -> Scored:
    """The account-days that have a transaction."""
    pairs_M = _pairs(account_days.accounts, account_days.days)
    wanted = np.unique(_pairs(transactions.accounts, transactions.days))
    is_wanted_M = np.isin(pairs_M, wanted)
    found, counts = np.unique(pairs_M[is_wanted_M], return_counts=True)
    if len(found) < len(wanted) or (counts > 1).any():
        raise DataError(
            file="account-days",
            expected="one row for each day of an account with transactions",
            got=f"none for {len(wanted) - len(found)} and several for {(counts > 1).sum()}",
            remedy="aggregate the scores of the same transactions",
        )
    return account_days.where(is_wanted_M)


def _daily_precision(
    scores_M: Values,
    is_bad_M: BoolArray,
    accounts_M: IntArray,
    days_M: IntArray,
    *,
    k: int,
    once: bool,
) -> float:
    """Mean over days of the bad rows among the k highest, over k; with `once` they leave then."""
    if k < 1:
        raise ConfigError(f"k: expected at least 1, got {k}; it is the number of rows of a day")
    # By day, then score descending, then account.
    order_M = np.lexsort((accounts_M, -scores_M.astype(np.float64), days_M))
    starts_D = np.flatnonzero(np.diff(days_M[order_M])) + 1
    is_found_A = np.zeros(int(accounts_M.max(initial=-1)) + 1, dtype=np.bool_)
    precisions = []
    for rows in np.split(order_M, starts_D) if len(order_M) else []:
        highest = rows[~is_found_A[accounts_M[rows]]][:k]
        hits = highest[is_bad_M[highest]]
        is_found_A[accounts_M[hits]] = once
        precisions.append(len(hits) / k)
    return float(np.mean(precisions)) if precisions else float("nan")


def _pairs(accounts: IntArray, days: IntArray) -> Int64Array:
    """Day and account as one number, ordered by day, then account."""
    return (days.astype(np.int64) << _ACCOUNT_BITS) + accounts


def _has_both(is_fraud: BoolArray) -> bool:
    return bool(is_fraud.any() and not is_fraud.all())
