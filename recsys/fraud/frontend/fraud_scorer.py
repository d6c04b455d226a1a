"""The fraud scorer in Python: fit on frames, score, flag accounts day by day, save and load.

It does what the jobs do, with the same settings and by the same functions: what it saves opens in
the jobs, and what they publish opens here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from recsys.compiled import num_threads
from recsys.datasets.callers import config_of, in_words_of_python
from recsys.datasets.columns.epochs import TimeUnit
from recsys.datasets.frames.frame_columns import LOG
from recsys.datasets.frames.frames import Frame, FrameKind, as_kind
from recsys.datasets.transactions.config import TransactionColumnsConfig
from recsys.datasets.transactions.days import end_of_day
from recsys.errors import ConfigError
from recsys.fraud.fitting.labelled import ConfirmedLabels
from recsys.fraud.fitting.train import FitCallbacks, fit_fraud_model
from recsys.fraud.frontend.checks import check_frame, merged_labels
from recsys.fraud.frontend.nights import ScoredNight, nights_of
from recsys.fraud.frontend.saved import open_saved, save_published
from recsys.fraud.frontend.settings import FraudSettings, Setting
from recsys.fraud.frontend.tables_in import (
    FrameTransactions,
    Names,
    aligned,
    transactions_of_frame,
)
from recsys.fraud.serving import FraudScorer as ServedFraudScorer
from recsys.schema import ALERT, EVENT_TIME, TRANSACTION_ID


class FraudScorer:
    """Scores how unusual transactions are for their accounts, and flags accounts with reasons.

    All keywords have defaults. Columns that are not given are guessed from their names, and each
    guess is logged by the logger `recsys`. The other settings are sections of the config file of
    the jobs, given as their dataclass or as a mapping, e.g. `alerts={"alert_budget": 5}`.

    Args:
        transaction_id: Column of the key of a transaction; guessed when None, like the next ones.
        account_id: Column of the accounts, whose behaviour is scored.
        event_time: Column of the times.
        amount: Column of the amounts.
        counterparty_id: Column of the other side; a log need not have one.
        currency: Column of the currency; a log need not have one.
        is_fraud: Column of the answers in a frame of labels.
        event_time_zone: Time zone of times that name none.
        event_time_unit: Unit of times that are integers since 1970.
        settings: The fields of `FraudSettings`: features, e.g. `{"category": "categorical"}`,
            autoencoder, profiles, scoring, labels, alerts, quarantine and seed.

    Raises:
        ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        *,
        transaction_id: str | None = None,
        account_id: str | None = None,
        event_time: str | None = None,
        amount: str | None = None,
        counterparty_id: str | None = None,
        currency: str | None = None,
        is_fraud: str | None = None,
        event_time_zone: str | None = None,
        event_time_unit: TimeUnit | None = None,
        **settings: Setting,
    ) -> None:
        columns = {
            "transaction_id": transaction_id, "account_id": account_id, "event_time": event_time,
            "amount": amount, "counterparty_id": counterparty_id, "currency": currency,
            "is_fraud": is_fraud, "event_time_zone": event_time_zone,
            "event_time_unit": event_time_unit,
        }  # fmt: skip
        given = {name: value for name, value in columns.items() if value is not None}
        self._names = Names(
            columns=config_of(TransactionColumnsConfig, given, name="FraudScorer"),
            is_given=frozenset(given),
        )
        self._settings = config_of(FraudSettings, settings, name="FraudScorer")
        self._served: ServedFraudScorer | None = None
        self._history: pa.Table | None = None
        self._labels: pa.Table | None = None
        self._nights: dict[date, pa.Table] = {}
        self._kind: FrameKind = "pandas"

    def fit(self, transactions: Frame, labels: Frame | str | None = None) -> Self:
        """Learn what is normal for every account; no label is needed.

        Args:
            transactions: Transactions, one row each.
            labels: Confirmed labels: a frame of transaction ids and labels, or the name of a
                column of `transactions`. Each counts from `labels.delay_days` after its
                transaction on.

        Returns:
            The scorer itself, whose state is that after the last transaction.

        Raises:
            DataError: The frame breaks a rule, or has too few transactions.
        """
        found = self._read(transactions, labels)
        last: datetime = pc.max(found.table[EVENT_TIME]).as_py()
        with in_words_of_python():
            fitted = fit_fraud_model(
                found.table, dict(found.log.features), self._settings.fraud,
                num_threads=num_threads(),
                labels=None
                if found.labels is None
                else ConfirmedLabels(table=found.labels, at=end_of_day(last.date())),
                callbacks=FitCallbacks(on_stage=LOG.info),
            )  # fmt: skip
        self._served = ServedFraudScorer(model=fitted.model, state=fitted.state)
        self._names = Names(columns=found.names, is_given=_fields_of(found.names))
        self._history, self._labels, self._kind = found.table, found.labels, found.kind
        self._nights = {}
        return self

    def score(self, transactions: Frame, labels: Frame | str | None = None) -> Frame:
        """How unusual each transaction is; the state is not changed.

        Args:
            transactions: Transactions after those that the scorer has learnt from.
            labels: Labels that are known since; those given before are remembered.

        Returns:
            transaction_id and anomaly_score, from 0 to 1 and higher where more unusual, in the
            order of the frame (and with the index of a pandas frame). A row that was set aside
            has none.

        Raises:
            DataError: The frame breaks a rule, or has transactions that come too late.
            ConfigError: Nothing was fitted.
        """
        served, found = self._later("score", transactions, labels)
        known = merged_labels(self._labels, found.labels)
        scores, _ = served.model.score(
            found.table, served.state, num_threads=num_threads(), labels=known
        )
        anomaly = pa.array(scores.calibrated.anomaly_score)
        table = aligned(anomaly, found.table[TRANSACTION_ID], found)
        return as_kind(table, found.kind, index=found.index)

    def advance(self, transactions: Frame, labels: Frame | str | None = None) -> Frame:
        """Go through days of transactions: score them, flag accounts, and update the state.

        A day is closed by the call that has its transactions: later ones of that day are refused.
        `alerts` and `account_scores` then give the results of each day.

        Args:
            transactions: Transactions after those that the scorer has learnt from, whole days.
            labels: Labels that are known since; those given before are remembered.

        Returns:
            The scores, as `score` has them.

        Raises:
            DataError: The frame breaks a rule, or has transactions that come too late.
            ConfigError: Nothing was fitted.
        """
        served, found = self._later("advance", transactions, labels)
        known = merged_labels(self._labels, found.labels)
        history = found.table.slice(0, 0) if self._history is None else self._history
        nights: list[ScoredNight] = list(
            nights_of(
                served.model, served.state, found.table, history,
                earlier=self._nights, labels=known, alerts=self._settings.alerts,
            )
        )  # fmt: skip
        ids = pa.chunked_array([c for one in nights for c in one.transaction_ids.chunks],
                               type=found.table.schema.field(TRANSACTION_ID).type)  # fmt: skip
        anomaly = pa.concat_arrays([one.anomaly_scores for one in nights])
        self._served = replace(served, state=nights[-1].state)
        self._nights |= {one.day: one.accounts for one in nights}
        self._history, self._labels = pa.concat_tables([history, found.table]), known
        self._kind = found.kind
        return as_kind(aligned(anomaly, ids, found), found.kind, index=found.index)

    def alerts(self, day: date | str) -> Frame:
        """The accounts to look into on a day that `advance` went through, with reasons.

        Args:
            day: The day in UTC, as a date or as text such as "2026-03-01".

        Returns:
            The columns of the job's account scores, a row an account, the most unusual first.

        Raises:
            ConfigError: The scorer did not go through that day.
        """
        table = self._night(day)
        return as_kind(table.filter(table[ALERT]), self._kind)

    def account_scores(self, day: date | str) -> Frame:
        """All accounts of a day that `advance` went through, flagged or not.

        Args:
            day: The day in UTC.

        Raises:
            ConfigError: The scorer did not go through that day.
        """
        return as_kind(self._night(day), self._kind)

    def save(self, folder: Path | str) -> Path:
        """Publish model and state into a folder as `recsys train-fraud` does, and make them live.

        Jobs whose config has that folder as `output.directory` go on with the state as it is now.

        Args:
            folder: Where to; made when missing.

        Returns:
            The folder of the published run.

        Raises:
            PublishError: The disk refuses.
        """
        return save_published(self._require("save"), Path(folder), table=self._history)

    @classmethod
    def load(cls, folder: Path | str, **settings: Setting) -> Self:
        """Open a scorer that was saved here or published by the jobs, with its latest state.

        Args:
            folder: What `save` was given, or `output.directory` of a config, or one published run.
            settings: Columns and settings as the constructor takes them; those of the model are
                its own.

        Raises:
            ArtifactError: There is none, or it is damaged.
        """
        loaded = cls(**settings)
        loaded._served = open_saved(Path(folder))
        return loaded

    def _read(self, transactions: Frame, labels: Frame | str | None) -> FrameTransactions:
        """Transactions to learn from, and their labels."""
        return transactions_of_frame(
            transactions,
            labels,
            names=self._names,
            features=self._settings.features,
            limits=self._settings.quarantine,
        )  # fmt: skip

    def _later(
        self, verb: str, transactions: Frame, labels: Frame | str | None
    ) -> tuple[ServedFraudScorer, FrameTransactions]:
        """Transactions that the scorer can go on with."""
        served = self._require(verb)
        found = transactions_of_frame(
            transactions, labels, names=self._names, features=served.model.inputs.features,
            limits=self._settings.quarantine,
        )  # fmt: skip
        check_frame(served, found)
        return served, found

    def _night(self, day: date | str) -> pa.Table:
        try:
            asked = date.fromisoformat(day[:10]) if isinstance(day, str) else day
        except ValueError:
            raise ConfigError(f"day: expected a day such as '2026-03-01', got {day!r}") from None
        asked = asked.date() if isinstance(asked, datetime) else asked
        if asked not in self._nights:
            days = sorted(self._nights)
            got = f"days {days[0]} to {days[-1]}" if days else "no day yet"
            raise ConfigError(
                f"day: expected a day that the scorer went through, got {asked}, and it has {got}; "
                "call advance with the transactions of that day first"
            )
        return self._nights[asked]

    def _require(self, verb: str) -> ServedFraudScorer:
        if self._served is None:
            raise ConfigError(f"{verb}: expected a fitted scorer, got none; call fit first")
        return self._served


def _fields_of(columns: TransactionColumnsConfig) -> frozenset[str]:
    """The columns that a frame has, by their standard names."""
    names = ("transaction_id", "account_id", "event_time", "amount", "counterparty_id", "currency")
    return frozenset(name for name in names if getattr(columns, name) is not None)
