"""A day's result: scores of its transactions and accounts, alerts and their explanations.

Shapes: N transactions of the day, M accounts of the day.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pyarrow as pa

from recsys.arrays import Float64Array
from recsys.datasets.transactions.days import day_number, day_of
from recsys.fraud.alerts.alert_memory import AlertMemory
from recsys.fraud.alerts.outputs import account_scores_table, transaction_scores_table
from recsys.fraud.alerts.selection import AlertConfig, Alerts, choose_alerts
from recsys.fraud.explain.contents import FlaggedAccount, explain_alerts
from recsys.fraud.explain.reasons import reasons_text
from recsys.fraud.explain.scored import ScoredDay
from recsys.fraud.model import FraudModel
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.report.content import Alert
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.scores import Scores


@dataclass(frozen=True, kw_only=True, eq=False)
class DayResult:
    """The result of one day."""

    scored: ScoredDay
    """Its transactions."""
    days: AccountDays
    """Its accounts."""
    p_values: Float64Array
    """Probability of so high a score of an account under normal behaviour. Shape (M,)."""
    alerts: Alerts
    """Which accounts are flagged."""
    cold_transactions: int
    """Known transactions below which an account is cold."""
    earlier_alerts: Mapping[object, tuple[date, ...]] = field(default_factory=dict)
    """Earlier days on which accounts were flagged, by account id."""

    @property
    def num_cold(self) -> int:
        """Accounts with little history."""
        return int((self.days.num_known < self.cold_transactions).sum())

    @property
    def flagged(self) -> tuple[FlaggedAccount, ...]:
        """The alerts by rank."""
        places = np.flatnonzero(self.alerts.alert)
        places = places[np.argsort(self.alerts.rank[places])]
        return tuple(
            FlaggedAccount(
                account=int(self.days.account[place]),
                rank=int(self.alerts.rank[place]),
                account_score=float(1 - self.p_values[place]),
            )
            for place in places
        )

    @functools.cached_property
    def explanations(self) -> tuple[Alert, ...]:
        """The alerts with the explanations that an analyst needs."""
        return explain_alerts(
            self.scored,
            self.flagged,
            sufficient_score=self.alerts.sufficient_score,
            cold_transactions=self.cold_transactions,
            earlier_alerts=self.earlier_alerts,
        )

    def transaction_scores(self) -> pa.Table:
        """The day's transactions as they are published."""
        kinds = self.scored.model.evidence_names
        return transaction_scores_table(self.scored.table, self.scored.scores, kinds)

    def account_scores(self, *, bundle_id: str) -> pa.Table:
        """The day's accounts as they are published, by rank.

        Args:
            bundle_id: Fingerprint of the model.
        """
        reasons = {
            one.account: reasons_text(alert.reasons)
            for one, alert in zip(self.flagged, self.explanations, strict=True)
        }
        return account_scores_table(
            self.days,
            self.p_values,
            self.alerts,
            reasons,
            self.scored.state,
            earlier_alerts=self.earlier_alerts,
            cold_transactions=self.cold_transactions,
            bundle_id=bundle_id,
        )


def result_of_day(
    model: FraudModel,
    state: ProfileState,
    table: pa.Table,
    scores: Scores,
    history: pa.Table,
    *,
    day: date,
    config: AlertConfig,
    with_labels: bool,
) -> DayResult:
    """Gather the scores of one day and choose alerts; the state of the result remembers them.

    Args:
        model: The model that scored.
        state: The state of the accounts after the day.
        table: Transactions that were scored, those of the day and earlier ones.
        scores: Their scores.
        history: Transactions before them.
        day: The day.
        config: How alerts are chosen.
        with_labels: Whether labels were given to the model.
    """
    in_day_N = np.floor(day_of(table)) == day_number(day)
    of_day, of_scores = table.filter(pa.array(in_day_N)), scores.where(in_day_N)
    days = account_days(of_day, of_scores)
    earlier = pa.concat_tables([history, table.filter(pa.array(~in_day_N))])
    p_values_M = model.account_p_values(days, with_labels=with_labels)
    alerts, state = choose_and_remember(days, p_values_M, state, day_number(day), config)
    return DayResult(
        scored=ScoredDay(
            model=model,
            state=state,
            table=of_day,
            scores=of_scores,
            history=earlier,
            with_labels=with_labels,
        ),
        days=days,
        p_values=p_values_M,
        alerts=alerts,
        cold_transactions=model.config.profiles.cold_transactions,
    )


def account_days(table: pa.Table, scores: Scores) -> AccountDays:
    """Scores of transactions gathered by account and day."""
    return AccountDays.of(
        scores.account, day_of(table), scores.calibrated.combined, scores.passed.num_known
    )


def choose_and_remember(
    days: AccountDays,
    p_values_M: Float64Array,
    state: ProfileState,
    day: int,
    config: AlertConfig,
) -> tuple[Alerts, ProfileState]:
    """Alerts of a day, and a state that remembers them for later nights.

    Args:
        days: The account-days, all of one day.
        p_values_M: Probability of so high a score of each under normal behaviour.
        state: The state, with the memory of the nights before.
        day: Days since 1970.
        config: How alerts are chosen.
    """
    memory = AlertMemory.of(state.alert_memory)
    before = memory.earlier(day, days.account, config)
    alerts = choose_alerts(1 - p_values_M, p_values_M, config, before)
    memory = memory.followed_by(
        day, days.account, p_values_M, alerts.alert,
        tested_A=~before.flagged_lately, config=config,
    )  # fmt: skip
    return alerts, replace(state, alert_memory=memory.table)
