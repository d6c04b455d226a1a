"""What is usual for an account, in numbers that people understand.

Shapes: R transactions to explain, H hours of a day, C contexts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.arrays import Float64Array, FloatArray, Int64Array
from recsys.fraud.embedding.inputs import CodedTransactions, amounts_of_logs
from recsys.fraud.explain.reconstruction import Expectations, expectations
from recsys.fraud.explain.scored import Recent, ScoredDay
from recsys.fraud.profiles.arrays import NUM_HOURS, Layout, Priors
from recsys.fraud.profiles.shrinkage import shrunk_estimate
from recsys.schema import COUNTERPARTY_ID

_USUAL_SDS = 1.64
"""Standard deviations either side of the mean that hold nine in ten normal values."""
_USUAL_SHARE = 0.9


@dataclass(frozen=True, kw_only=True, eq=False)
class Usual:
    """Suspicious transactions beside what was usual."""

    table: pa.Table
    """The transactions. R rows."""
    coded: CodedTransactions
    """Their numbers."""
    recent: Recent
    """What the account did shortly before."""
    amounts: tuple[Float64Array, Float64Array]
    """The range of amounts that the account pays in the context. Shapes (R,)."""
    counterparty_amounts: tuple[Float64Array, Float64Array]
    """The range of amounts at the counterparty; that of the peers if it is new. Shapes (R,)."""
    hours: Float64Array
    """Share of each hour for the account in the context. Shape (R, H)."""
    contexts: Float64Array
    """Share of each context for the account. Shape (R, C)."""
    new_share: Float64Array
    """Share of new counterparties among the account's transactions. Shape (R,)."""
    most_hour: Int64Array
    """The number of transactions within an hour that the account exceeds once in ten times, when
    all accounts are as busy as at the end of the day. Shape (R,)."""
    most_day: Int64Array
    """The same within 24 hours. Shape (R,)."""
    sum_day: Float64Array
    """What the account typically pays within 24 hours in which it pays. Shape (R,)."""
    expected: Expectations
    """What the autoencoder expects of each column."""
    log_amount: Float64Array
    """The amount that it expects. Shape (R,)."""


def usual_of(scored: ScoredDay, rows: Int64Array, recent: Recent) -> Usual:
    """Look up what was usual for the accounts of some transactions.

    Args:
        scored: The day.
        rows: Rows of its table. Shape (R,).
        recent: Counts and sums up to these rows.
    """
    model, passed = scored.model, scored.scores.passed
    table = scored.table.take(pa.array(rows, pa.int64()))
    coded = model.inputs.encode(table)
    levels = model.inputs.currency_levels
    state_RS = scored.state.accounts.values[scored.scores.account[rows]].astype(np.float64)
    known = _Known(state=state_RS, peer=passed.peer[rows].astype(np.int64), layout=model.layout)
    mean_RV, var_RV = known.velocities(model.priors)
    most_RV = np.expm1(mean_RV[:, :2] + _USUAL_SDS * np.sqrt(var_RV[:, :2]))
    # A count with half-life tau covers tau / ln 2 on average, a window covers tau.
    before_RV = (most_RV - 1).clip(0) * np.log(2)
    most_RV = np.ceil(1 + before_RV * scored.state.population.factor).astype(np.int64)
    expected = expectations(model.autoencoder, model.inputs.encoder, coded.columns)
    at_counterparty = _at_counterparty(scored, table, coded.context, known.peer)

    def amounts(mean_R: FloatArray, var_R: FloatArray) -> tuple[Float64Array, Float64Array]:
        reach_R = _USUAL_SDS * np.sqrt(var_R)
        low_R = np.where(mean_R > 0, np.maximum(mean_R - reach_R, 0), mean_R - reach_R)
        low, high = (amounts_of_logs(one, table, levels) for one in (low_R, mean_R + reach_R))
        return np.where(mean_R > 0, low.clip(0), low), high

    return Usual(
        table=table,
        coded=coded,
        recent=recent,
        amounts=amounts(passed.expected_mean[rows], passed.expected_var[rows]),
        counterparty_amounts=amounts(*at_counterparty),
        hours=known.hours(model.priors, coded.context),
        contexts=known.contexts(model.priors),
        new_share=known.new_share(model.priors),
        most_hour=most_RV[:, 0],
        most_day=most_RV[:, 1],
        sum_day=amounts_of_logs(mean_RV[:, 2], table, levels),
        expected=expected,
        log_amount=amounts_of_logs(expected.numbers["log_amount"], table, levels),
    )


def shortest_range(share_H: Float64Array) -> tuple[int, int]:
    """The fewest hours in a row that hold nine in ten transactions.

    Returns:
        The first hour, and how many there are.

    Examples:
        >>> shortest_range(np.array([0.0] * 8 + [0.25] * 4 + [0.0] * 12))
        (8, 4)
    """
    around = np.concatenate([[0.0], np.cumsum(np.tile(share_H, 2))])
    for length in range(1, NUM_HOURS):
        sums_H = around[length : length + NUM_HOURS] - around[:NUM_HOURS]
        if sums_H.max() >= _USUAL_SHARE:
            return int(sums_H.argmax()), length
    return 0, NUM_HOURS


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    """State of the account of each transaction, and what `profiles.measure` makes of it."""

    state: Float64Array
    peer: Int64Array
    layout: Layout

    def _part(self, first: int, size: int) -> Float64Array:
        return self.state[:, first : first + size]

    @property
    def _count(self) -> Float64Array:
        return self.state[:, [self.layout.num_known]]

    def hours(self, priors: Priors, context_R: Int64Array) -> Float64Array:
        usual_RH = priors.hour_of_peer[self.peer]
        own_RH = self._part(self.layout.hours, NUM_HOURS) + priors.strength * usual_RH
        own_RH = own_RH / (self._count + priors.strength)
        share_RH = priors.hour[self.peer, context_R] * own_RH / usual_RH
        return np.asarray(share_RH / share_RH.sum(1, keepdims=True))

    def contexts(self, priors: Priors) -> Float64Array:
        num_contexts = priors.context.shape[1]
        count_RC = self._part(self.layout.contexts, 3 * num_contexts)[:, ::3]
        share_RC = count_RC + priors.strength * priors.context[self.peer]
        return np.asarray(share_RC / (self._count + priors.strength))

    def new_share(self, priors: Priors) -> Float64Array:
        new_R = self.state[:, self.layout.num_new] + priors.strength * priors.new_share
        return np.asarray(new_R / (self._count[:, 0] + priors.strength))

    def velocities(self, priors: Priors) -> tuple[Float64Array, Float64Array]:
        size = len(priors.velocity_mean)
        mean_RV = self._part(self.layout.velocity_mean, size)
        m2_RV = self._part(self.layout.velocity_m2, size)
        return shrunk_estimate(
            self._count,
            mean_RV,
            m2_RV,
            priors.velocity_mean,
            priors.velocity_var,
            strength=priors.strength,
        )


def _at_counterparty(
    scored: ScoredDay, table: pa.Table, context_R: Int64Array, peer_R: Int64Array
) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of the log amounts at the counterparty. Shapes (R,)."""
    priors = scored.model.priors
    values_R3 = np.zeros((table.num_rows, 3))
    if scored.model.inputs.has_counterparty:
        numbers_R = scored.state.counterparty_ids.numbers(table[COUNTERPARTY_ID])
        found_R = numbers_R >= 0
        values_R3[found_R] = scored.state.counterparties.values[numbers_R[found_R], :3]
    return shrunk_estimate(
        values_R3[:, 0],
        values_R3[:, 1],
        values_R3[:, 2],
        priors.amount_mean[peer_R, context_R],
        priors.amount_var[peer_R, context_R],
        strength=priors.strength,
    )
