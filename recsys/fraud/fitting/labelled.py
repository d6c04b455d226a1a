"""A fitted scorer that learns from confirmed labels too.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from recsys.arrays import Float32Array, Int64Array
from recsys.fraud.fitting.profiling import ProfiledLog
from recsys.fraud.labels.memory import RecentTransactions
from recsys.fraud.labels.supervised import fit_supervised, why_not_learnt
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.tails import Tail
from recsys.schema import TRANSACTION_ID
from recsys.time_units import S_PER_DAY


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfirmedLabels:
    """Labels, and the moment that decides which of them are known."""

    table: pa.Table
    """transaction_id and is_fraud, of all times: the delay decides which are known."""
    at: datetime
    """The moment, with a time zone."""


def with_labels(
    model: FraudModel,
    state: ProfileState,
    table: pa.Table,
    profiled: ProfiledLog,
    evidence_NJ: Float32Array,
    hour_N: Int64Array,
    labels: ConfirmedLabels,
    *,
    num_threads: int,
) -> tuple[FraudModel, ProfileState, str]:
    """The model with trees over the labels, a state that remembers recent transactions, and "".

    If too few labels are known both are returned unchanged, and the text says what is missing.

    Args:
        model: Fitted without labels.
        state: The state after the log.
        table: The log.
        profiled: How it went through the pass.
        evidence_NJ: Its evidence.
        hour_N: Hours of its transactions.
        labels: Confirmed labels.
        num_threads: Threads of the trees.
    """
    recent = RecentTransactions.of(table[TRANSACTION_ID], profiled.rows, evidence_NJ, model.scorer)
    config, known_until = model.config, labels.at.timestamp() / S_PER_DAY
    found = fit_supervised(
        model.scorer, evidence_NJ, profiled.passed, hour_N, recent, labels.table,
        known_until=known_until,
        config=config.labels,
        seed=config.seed,
        num_threads=num_threads,
    )  # fmt: skip
    if found is None:
        missing = why_not_learnt(
            recent, labels.table, known_until=known_until, config=config.labels
        )
        return model, state, missing
    supervised, log_odds_N = found
    days = AccountDays.of(recent.account, recent.day, log_odds_N, np.ones(len(log_odds_N)))
    delay = supervised.delay_days
    kept = recent.with_labels(labels.table, delay).remembered(float(recent.day[-1]), delay)
    model = replace(model, supervised=supervised, supervised_account_tail=Tail.fit(days.highest))
    return model, replace(state, recent=kept.table), ""
