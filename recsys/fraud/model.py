"""A fitted fraud scorer: one pooled model, and a state that holds what it knows of each account.

Shapes: N transactions, J kinds of evidence, K clusters, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import DataError
from recsys.fraud.account_days import AccountDays
from recsys.fraud.autoencoder import FittedAutoencoder
from recsys.fraud.config import FraudConfig
from recsys.fraud.inputs import CodedTransactions, TransactionInputs
from recsys.fraud.judge import Judge, Judgement
from recsys.fraud.memory import MEMORY_DAYS, RecentTransactions
from recsys.fraud.profiles.arrays import (
    EVIDENCE,
    Codes,
    Excess,
    Floats,
    Layout,
    Passed,
    Priors,
    layout_of,
)
from recsys.fraud.profiles.passing import log_densities, pass_over, rows_of
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.supervised import Supervised
from recsys.fraud.tails import Tail
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID, EVENT_TIME, TRANSACTION_ID

BLOCK_ROWS = 250_000
"""Transactions that are scored at once, so that memory does not grow with their number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """Normal distributions with diagonal covariances, a mixture of which is what is normal."""

    centre: Floats
    """Means. Shape (K, D)."""
    precision: Floats
    """One over each variance. Shape (K, D)."""

    def log_densities(self, embedding_ND: Floats) -> Floats:
        """Log density of each embedding under each of them. Shape (N, K)."""
        log_norm_K = (0.5 * np.log(self.precision.astype(np.float64)).sum(1)).astype(np.float32)
        densities: Floats = log_densities(embedding_ND, self.centre, self.precision, log_norm_K)
        return densities


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """What transactions are before any account is looked at."""

    coded: CodedTransactions
    """Their numbers."""
    embedding: Floats
    """Shape (N, D)."""
    log_density: Floats
    """Log density of the embedding under each cluster. Shape (N, K)."""
    reconstruction: Floats
    """Reconstruction error of each target of the autoencoder. Shape (N, T)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Scores of transactions in the order of their table."""

    account: Codes
    """Place of the account in the state. Shape (N,)."""
    evidence: Floats
    """All evidence as it was measured. Shape (N, J)."""
    passed: Passed
    """What the pass wrote down."""
    judgement: Judgement
    """What was made of it."""

    def where(self, chosen_N: npt.NDArray[np.bool_]) -> Scores:
        """Those of some transactions."""
        judgement = {
            name: getattr(self.judgement, name)[chosen_N] for name in Judgement.__dataclass_fields__
        }
        return Scores(
            account=self.account[chosen_N],
            evidence=self.evidence[chosen_N],
            passed=Passed._make(array[chosen_N] for array in self.passed),
            judgement=Judgement(**judgement),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FraudModel:
    """Everything that is fitted; the state is kept apart, as it moves on every day."""

    config: FraudConfig
    """What was trained."""
    inputs: TransactionInputs
    """From tables to numbers."""
    autoencoder: FittedAutoencoder
    """The embedding of transactions."""
    clusters: Clusters
    """What embeddings look like."""
    priors: Priors
    """What holds for peer groups."""
    excess: Excess
    """From which excess on an account does not learn from a transaction."""
    judge: Judge
    """How evidence is weighed."""
    account_tail: Tail
    """Calibration of the highest combined score of an account-day."""
    supervised: Supervised | None = None
    """What labels taught; None where there were too few."""
    supervised_account_tail: Tail | None = None
    """The calibration of account-days with labels."""

    @property
    def layout(self) -> Layout:
        """Places in the state of an account."""
        num_peers, num_contexts = self.priors.context.shape
        return layout_of(
            num_contexts=num_contexts,
            num_clusters=self.priors.cluster.shape[1],
            num_peers=num_peers,
        )

    @property
    def evidence_names(self) -> tuple[str, ...]:
        """Names of the columns of `Scores.evidence`."""
        return evidence_names(self.autoencoder)

    def observe(self, table: pa.Table) -> Observed:
        """What transactions are before any account is looked at; rows do not see each other."""
        return observe(table, self.inputs, self.autoencoder, self.clusters)

    def score(
        self,
        table: pa.Table,
        state: ProfileState,
        *,
        num_threads: int,
        labels: pa.Table | None = None,
    ) -> tuple[Scores, ProfileState]:
        """Score transactions, and give the state after them.

        Args:
            table: Transactions under their standard names, in the order of time, none of them
                before `state.until`.
            state: What is known of the accounts; it stays as it is.
            num_threads: Threads of the trees; they do not change a score.
            labels: transaction_id and is_fraud of earlier transactions. Each is used from its
                delay on; they have no effect on a model that was fitted without labels.

        Raises:
            DataError: Transactions out of order, or older than the state.
        """
        _check_order(table, state)
        counterparties = table[COUNTERPARTY_ID] if self.inputs.has_counterparty else None
        state = state.grown(table[ACCOUNT_ID], counterparties)
        parts, recent = [], state.recent
        for start in range(0, max(table.num_rows, 1), BLOCK_ROWS):
            block = table.slice(start, BLOCK_ROWS)
            part, recent = self._score_block(block, state, recent, labels, num_threads)
            parts.append(part)
        scores = Scores(
            account=_joined([part.account for part in parts]),
            evidence=_joined([part.evidence for part in parts]),
            passed=Passed(*map(_joined, zip(*(part.passed for part in parts), strict=True))),
            judgement=_joined_judgements([part.judgement for part in parts]),
        )
        until = float(pc.max(table[EVENT_TIME]).cast(pa.int64()).as_py() or 0) / 86_400_000_000
        return scores, replace(state, until=max(state.until, until), recent=recent)

    def _score_block(
        self,
        block: pa.Table,
        state: ProfileState,
        recent: pa.Table | None,
        labels: pa.Table | None,
        num_threads: int,
    ) -> tuple[Scores, pa.Table | None]:
        """Scores of some transactions, and the recent ones after them; the state moves on."""
        observed = self.observe(block)
        rows = rows_of(block, observed.coded, observed.log_density, state)
        passed = pass_over(rows, state, self.layout, self.priors, self.excess)
        evidence_NJ = np.hstack([passed.evidence, observed.reconstruction])
        judgement = self.judge.judge(
            evidence_NJ, observed.coded, rows.account, state, num_threads=num_threads
        )
        if self.supervised is not None and recent is not None and block.num_rows:
            new = RecentTransactions.of(block[TRANSACTION_ID], rows, evidence_NJ, self.judge)
            horizon = float(rows.day[0]) - MEMORY_DAYS - self.supervised.delay_days
            memory = RecentTransactions(table=recent).since(horizon).followed_by(new)
            if labels is not None:
                judgement = self.supervised.judge(
                    judgement, self.judge, evidence_NJ, passed, observed.coded.hour, memory,
                    labels, num_threads=num_threads,
                )  # fmt: skip
            recent = memory.table
        scores = Scores(
            account=rows.account, evidence=evidence_NJ, passed=passed, judgement=judgement
        )
        return scores, recent

    def account_p_values(self, days: AccountDays, *, with_labels: bool) -> npt.NDArray[np.float64]:
        """Probability of so high a score of an account-day under normal behaviour. Shape (M,).

        Args:
            days: Account-days with the highest combined score of each.
            with_labels: Whether labels were given to `score`.
        """
        if with_labels and self.supervised_account_tail is not None:
            return days.p_values(self.supervised_account_tail)
        return days.p_values(self.account_tail)


def evidence_names(autoencoder: FittedAutoencoder) -> tuple[str, ...]:
    """Names of all evidence: that of the pass, then the reconstruction errors."""
    return (*EVIDENCE, *(f"reconstruction_{name}" for name in autoencoder.columns))


def observe(
    table: pa.Table,
    inputs: TransactionInputs,
    autoencoder: FittedAutoencoder,
    clusters: Clusters,
) -> Observed:
    """What transactions are before any account is looked at."""
    coded = inputs.encode(table)
    measured = autoencoder.measure(coded.columns)
    return Observed(
        coded=coded,
        embedding=measured.embedding_ND,
        log_density=clusters.log_densities(measured.embedding_ND),
        reconstruction=measured.surprise_NT,
    )


def _check_order(table: pa.Table, state: ProfileState) -> None:
    """Refuse what the state cannot learn from in turn."""
    times_N = np.asarray(table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    if len(times_N) and (np.any(np.diff(times_N) < 0) or times_N[0] / 86_400e6 < state.until):
        raise DataError(
            file="transactions",
            column=EVENT_TIME,
            expected="transactions in the order of time, none before the state's last one",
            got="others",
            remedy="sort them, and score a day only once on the same state",
        )


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _joined_judgements(parts: list[Judgement]) -> Judgement:
    names = Judgement.__dataclass_fields__
    return Judgement(**{name: _joined([getattr(part, name) for part in parts]) for name in names})
