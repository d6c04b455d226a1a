"""A baseline detector that knows the account: surprise of amount and hour, summed over a day.

It has no network and no moving state: only means and variances of the training rows, and sums over
24 hours. Estimates for an account are shrunk towards its peer group, the accounts that behave
alike. It is the baseline that the learnt scorer has to beat.

Shapes: N rows, A accounts, G peer groups, C contexts, H hours of a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from recsys.arrays import Float64Array, FloatArray, Int64Array
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_of
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.accumulate import sums_before
from recsys.fraud.embedding.contexts import (
    PROFILE_SHARE,
    best_context,
    context_terms,
    share_of_one_value,
)
from recsys.fraud.embedding.inputs import log_amounts
from recsys.fraud.profiles.arrays import NUM_HOURS
from recsys.fraud.profiles.peers import find_peer_groups, num_peer_groups
from recsys.fraud.profiles.shrinkage import shrunk_moments
from recsys.schema import ACCOUNT_ID

_STRENGTH = 20.0  # weight of the more general level, as a number of rows
_CALIBRATION_DAYS = 90.0  # at the end of the training rows
_TAIL_SHARE = 0.05
_CAP = 5.0  # most nats that one transaction adds to its account's day
_OWN_WEIGHT = 0.3  # weight of the surprise of the transaction itself


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountSurprise:
    """Means and variances of log amounts by account and context, shares of hours by peer group."""

    accounts: Vocabulary
    """Accounts of the training rows."""
    group: Int64Array
    """Peer group of each, then that of all others: the last one, which is empty. Shape (A + 1,)."""
    context: str
    """The column that amounts depend on most; empty when on none."""
    contexts: Vocabulary | None
    """Its most frequent terms."""
    mean: Float64Array
    """Mean log amount, the last account standing for all others. Shape (A + 1, C)."""
    var: Float64Array
    """Its variance. Shape (A + 1, C)."""
    hours: Float64Array
    """Share of each hour in each context for each group. Shape (G, C, H)."""
    threshold: float = 0.0
    """95th percentile of the surprise of a transaction at the end of the training."""

    @classmethod
    def fit(
        cls, table: pa.Table, features: Mapping[str, FeatureConfig], *, seed: int = 0
    ) -> AccountSurprise:
        """Learn from training rows in the order of time, frauds among them.

        Each level is shrunk towards the one above it: account and context, peer group and context,
        context, everything.

        Args:
            table: Transactions under their standard names.
            features: Kind of each feature.
            seed: Seed of the search for peer groups.
        """
        context = _find_context(table, features)
        contexts = context_terms(table[context]) if context else None
        accounts = Vocabulary.fit(table[ACCOUNT_ID])
        account_N, amount_N = accounts.numbers(table[ACCOUNT_ID]), log_amounts(table, {})
        (context_N, num_contexts), hour_N = _codes(table, context, contexts), _hours(table)
        group_A = find_peer_groups(
            account_N, context_N, hour_N, amount_N,
            num_accounts=len(accounts), num_contexts=num_contexts, seed=seed,
        )  # fmt: skip
        # Other accounts are in a group without rows, which gets the averages of all.
        num_groups = num_peer_groups(len(accounts)) + 1
        group_A = np.append(group_A, num_groups - 1)
        mean, var = _moments(
            account_N, group_A, context_N, amount_N,
            num_groups=num_groups, num_contexts=num_contexts,
        )  # fmt: skip
        hours = _hour_shares(group_A[account_N], context_N, hour_N, num_groups, num_contexts)
        fitted = cls(
            accounts=accounts, group=group_A, context=context, contexts=contexts,
            mean=mean, var=var, hours=hours,
        )  # fmt: skip
        days_N = day_of(table)
        late = table.slice(int(np.searchsorted(days_N, days_N[-1] - _CALIBRATION_DAYS)))
        return replace(fitted, threshold=float(np.quantile(fitted.surprise(late), 1 - _TAIL_SHARE)))

    def surprise(self, table: pa.Table) -> Float64Array:
        """-log density of the amount and -log share of the hour, in nats. Shape (N,)."""
        context_N, _ = _codes(table, self.context, self.contexts)
        account_N = self.accounts.numbers(table[ACCOUNT_ID])
        account_N = np.where(account_N < 0, len(self.accounts), account_N)
        mean_N, var_N = self.mean[account_N, context_N], self.var[account_N, context_N]
        squares_N = (log_amounts(table, {}) - mean_N) ** 2 / var_N
        hours_N = -np.log(self.hours[self.group[account_N], context_N, _hours(table)])
        return np.asarray((squares_N + np.log(var_N)) / 2 + hours_N)

    def score(self, table: pa.Table) -> Float64Array:
        """Capped surprise of the account in the last 24 hours, plus that of the transaction. (N,).

        Args:
            table: Transactions in the order of time.
        """
        surprise_N = self.surprise(table)
        excess_N = np.clip(surprise_N - self.threshold, 0, _CAP).astype(np.float32)
        account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
        before = sums_before(account_N, day_of(table), excess_N[:, None], windows_days=(1.0,))
        return np.asarray(excess_N + before[:, 0, 0] + _OWN_WEIGHT * surprise_N)


def _find_context(table: pa.Table, features: Mapping[str, FeatureConfig]) -> str:
    """The categorical column of transactions that amounts depend on most; empty when on none."""
    names = [
        name
        for name, feature in features.items()
        if feature.kind == "categorical"
        and share_of_one_value(table[ACCOUNT_ID], table[name]) < PROFILE_SHARE
    ]
    return best_context(table, names, log_amounts(table, {}))


def _codes(table: pa.Table, context: str, terms: Vocabulary | None) -> tuple[Int64Array, int]:
    """Code of the context of each row, 0 for rare terms, and how many codes there are."""
    if terms is None:
        return np.zeros(table.num_rows, dtype=np.int64), 1
    return terms.numbers(table[context]) + 1, len(terms) + 1


def _hours(table: pa.Table) -> Int64Array:
    return np.asarray(day_of(table) % 1 * NUM_HOURS, dtype=np.int64)


def _moments(
    account_N: Int64Array,
    group_A: Int64Array,
    context_N: Int64Array,
    amount_N: FloatArray,
    *,
    num_groups: int,
    num_contexts: int,
) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of log amounts of each account in each context. Shapes (A + 1, C)."""
    amount_N = amount_N.astype(np.float64)
    mean, var = np.full(num_contexts, amount_N.mean()), np.full(num_contexts, amount_N.var() + 1e-3)
    mean, var = shrunk_moments(context_N, amount_N, mean, var, strength=_STRENGTH)
    # From here on the level above has one row for each place of the level below.
    group_N = group_A[account_N]
    for row_N, prior in (
        (group_N, np.zeros(num_groups, dtype=np.int64)),
        (account_N, group_A),
    ):
        above = np.atleast_2d(mean)[prior], np.atleast_2d(var)[prior]
        place_N = row_N * num_contexts + context_N
        mean, var = shrunk_moments(place_N, amount_N, *above, strength=_STRENGTH)
    return mean, var


def _hour_shares(
    group_N: Int64Array,
    context_N: Int64Array,
    hour_N: Int64Array,
    num_groups: int,
    num_contexts: int,
) -> Float64Array:
    """Share of each hour by group and context, shrunk towards that of all. Shape (G, C, H)."""
    place_N = (group_N * num_contexts + context_N) * NUM_HOURS + hour_N
    counts = np.bincount(place_N, minlength=num_groups * num_contexts * NUM_HOURS)
    counts_GCH = counts.reshape(num_groups, num_contexts, NUM_HOURS).astype(np.float64)
    counts_CH = counts_GCH.sum(0)
    usual_H = (counts_CH.sum(0) + 1) / (counts_CH.sum() + NUM_HOURS)
    usual_CH = _shrunk_shares(counts_CH, usual_H)
    return _shrunk_shares(counts_GCH, usual_CH)


def _shrunk_shares(counts: Float64Array, usual: Float64Array) -> Float64Array:
    """Shares along the last axis, with `_STRENGTH` more events distributed as usual."""
    total = counts.sum(-1, keepdims=True) + _STRENGTH
    return np.asarray((counts + _STRENGTH * usual) / total)
