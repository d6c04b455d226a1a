"""A plain detector that knows whose transaction it is: what amount and hour say, summed over a day.

No network, no state that moves on: means and variances of the training rows, and sums over 24
hours. It is the mark that everything learnt has to beat.

Shapes: N rows, A accounts, C contexts, H hours of a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_of
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.accumulate import sums_before
from recsys.fraud.contexts import PROFILE_SHARE, best_context, context_terms, share_of_one_value
from recsys.fraud.inputs import log_amounts
from recsys.schema import ACCOUNT_ID

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_STRENGTH = 20.0  # rows that the more general level counts for
_CALIBRATION_DAYS = 90.0  # at the end of the training rows
_TAIL_SHARE = 0.05
_CAP = 5.0  # nats that one transaction adds to its account's day
_OWN_WEIGHT = 0.3  # of the surprise of the transaction itself
_NUM_HOURS = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountSurprise:
    """Means and variances of log amounts by account and context, shares of hours by context."""

    accounts: Vocabulary
    """Accounts of the training rows."""
    context: str
    """The column that amounts depend on most; empty when on none."""
    contexts: Vocabulary | None
    """Its most frequent terms."""
    mean: Array
    """Mean log amount, the last account standing for all others. Shape (A + 1, C)."""
    var: Array
    """Its variance. Shape (A + 1, C)."""
    hours: Array
    """Share of each hour in each context. Shape (C, H)."""
    threshold: float = 0.0
    """95th percentile of the surprise of a transaction at the end of the training."""

    @classmethod
    def fit(cls, table: pa.Table, features: Mapping[str, FeatureConfig]) -> AccountSurprise:
        """Learn from training rows in the order of time, frauds among them.

        Each level is shrunk towards the one above it (account and context, context, everything).

        Args:
            table: Transactions under their standard names.
            features: Kind of each feature.
        """
        amounts_N = log_amounts(table, {}).astype(np.float64)
        names = [
            name
            for name, feature in features.items()
            if feature.kind == "categorical"
            and share_of_one_value(table[ACCOUNT_ID], table[name]) < PROFILE_SHARE
        ]
        context = best_context(table, names, log_amounts(table, {}))
        contexts = context_terms(table[context]) if context else None
        accounts = Vocabulary.fit(table[ACCOUNT_ID])
        context_N, num_contexts = _codes(table, context, contexts)
        everything = np.array([[amounts_N.mean()]]), np.array([[amounts_N.var() + 1e-3]])
        mean_1C, var_1C = _shrunk(context_N, amounts_N, (1, num_contexts), *everything)
        place_N = accounts.numbers(table[ACCOUNT_ID]) * num_contexts + context_N
        shape = (len(accounts) + 1, num_contexts)
        mean, var = _shrunk(place_N, amounts_N, shape, mean_1C, var_1C)
        fitted = cls(
            accounts=accounts, context=context, contexts=contexts, mean=mean, var=var,
            hours=_hour_shares(context_N, _hours(table), num_contexts),
        )  # fmt: skip
        days_N = day_of(table)
        late = table.slice(int(np.searchsorted(days_N, days_N[-1] - _CALIBRATION_DAYS)))
        limit = float(np.quantile(fitted.surprise(late), 1 - _TAIL_SHARE))
        return cls(**{**vars(fitted), "threshold": limit})

    def surprise(self, table: pa.Table) -> Array:
        """-log density of the amount and -log share of the hour, in nats. Shape (N,)."""
        context_N, _ = _codes(table, self.context, self.contexts)
        account_N = self.accounts.numbers(table[ACCOUNT_ID])
        account_N = np.where(account_N < 0, len(self.accounts), account_N)
        mean_N, var_N = self.mean[account_N, context_N], self.var[account_N, context_N]
        squares_N = (log_amounts(table, {}) - mean_N) ** 2 / var_N
        hours_N = -np.log(self.hours[context_N, _hours(table)])
        return np.asarray((squares_N + np.log(var_N)) / 2 + hours_N)

    def score(self, table: pa.Table) -> Array:
        """What the account piled up in the last 24 hours, and what the transaction says. (N,).

        Args:
            table: Transactions in the order of time.
        """
        surprise_N = self.surprise(table)
        excess_N = np.clip(surprise_N - self.threshold, 0, _CAP).astype(np.float32)
        account_N = Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID])
        before = sums_before(account_N, day_of(table), excess_N[:, None], windows_days=(1.0,))
        return np.asarray(excess_N + before[:, 0, 0] + _OWN_WEIGHT * surprise_N)


def _codes(table: pa.Table, context: str, terms: Vocabulary | None) -> tuple[Codes, int]:
    """Code of the context of each row, 0 for rare terms, and how many codes there are."""
    if terms is None:
        return np.zeros(table.num_rows, dtype=np.int64), 1
    return terms.numbers(table[context]) + 1, len(terms) + 1


def _hours(table: pa.Table) -> Codes:
    return np.asarray(day_of(table) % 1 * _NUM_HOURS, dtype=np.int64)


def _hour_shares(context_N: Codes, hour_N: Codes, num_contexts: int) -> Array:
    """Share of each hour in each context, shrunk towards that in all of them. Shape (C, H)."""
    place_N = context_N * _NUM_HOURS + hour_N
    counts = np.bincount(place_N, minlength=num_contexts * _NUM_HOURS)
    counts_CH = counts.reshape(num_contexts, _NUM_HOURS).astype(np.float64)
    usual_H = (counts_CH.sum(0) + 1) / (counts_CH.sum() + _NUM_HOURS)
    total_C1 = counts_CH.sum(1, keepdims=True) + _STRENGTH
    return np.asarray((counts_CH + _STRENGTH * usual_H) / total_C1)


def _shrunk(
    place_N: Codes, amounts_N: Array, shape: tuple[int, int], prior_mean: Array, prior_var: Array
) -> tuple[Array, Array]:
    """Mean and variance at each place, with a prior that counts for `_STRENGTH` rows."""
    size = shape[0] * shape[1]
    counts, sums, squares = (
        np.bincount(place_N, weights, minlength=size).reshape(shape)
        for weights in (np.ones(len(place_N)), amounts_N, amounts_N**2)
    )
    mean = (sums + _STRENGTH * prior_mean) / (counts + _STRENGTH)
    spread = squares - 2 * mean * sums + counts * mean**2
    spread = spread + _STRENGTH * (prior_var + (prior_mean - mean) ** 2)
    return mean, spread / (counts + _STRENGTH)
