"""A fitted fraud scorer: one model for all accounts, and a state with the history of each.

Shapes: N transactions, J kinds of evidence, K clusters, D width of an embedding.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.arrays import Float64Array
from recsys.errors import DataError
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.autoencoder import FittedAutoencoder
from recsys.fraud.embedding.inputs import TransactionInputs
from recsys.fraud.embedding.observed import Clusters, Observed, observe
from recsys.fraud.labels.memory import RecentTransactions
from recsys.fraud.labels.supervised import Supervised
from recsys.fraud.prefetch import prefetched
from recsys.fraud.profiles.arrays import (
    EVIDENCE,
    Excess,
    Layout,
    Priors,
    Rows,
    layout_of,
)
from recsys.fraud.profiles.passing import (
    Numbers,
    numbers_of,
    pass_over,
    rows_of,
)
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.scorer import EvidenceScorer
from recsys.fraud.scoring.scores import Scores, joined, joined_scores
from recsys.fraud.scoring.tails import Tail
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID, EVENT_TIME, TRANSACTION_ID
from recsys.time_units import US_PER_DAY

PART_ROWS = 30_240
"""Transactions that are scored at once, so that memory does not grow with their number. Those of
the next part are embedded in advance, while the pass goes over the present one."""
BLOCK_ROWS = 8 * PART_ROWS
"""Transactions that labels are looked up for at once: each time the last weeks are read again."""


class _Part(NamedTuple):
    """Transactions that were scored without labels."""

    scores: Scores
    rows: Rows  # as the pass took them, without the densities


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
    """Clusters of normal embeddings."""
    priors: Priors
    """What holds for peer groups."""
    excess: Excess
    """From which excess on an account does not learn from a transaction."""
    scorer: EvidenceScorer
    """How evidence is weighed."""
    account_tail: Tail
    """Calibration of the highest combined score of an account-day."""
    supervised: Supervised | None = None
    """The meta-model and its calibration; None where there were too few labels."""
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
        """Transactions as the embedding sees them; each row is independent of the others."""
        return observe(table, self.inputs, self.autoencoder, self.clusters)

    def score(
        self,
        table: pa.Table,
        state: ProfileState,
        *,
        num_threads: int,
        labels: pa.Table | None = None,
    ) -> tuple[Scores, ProfileState]:
        """Score transactions, and return the state after them.

        Args:
            table: Transactions under their standard names, in the order of time, none of them
                before `state.until`.
            state: The state of the accounts; it is not changed.
            num_threads: Threads of the trees; they do not change a score.
            labels: transaction_id and is_fraud of earlier transactions. Each is used from its
                delay on; they have no effect on a model that was fitted without labels.

        Raises:
            DataError: Transactions out of order, or older than the state; the state of a model with
                other peer groups, contexts or clusters.
        """
        _check_order(table, state)
        _check_width(state, self.layout)
        counterparties = table[COUNTERPARTY_ID] if self.inputs.has_counterparty else None
        state = state.grown(table[ACCOUNT_ID], counterparties)
        numbers = numbers_of(table, state)
        blocks = _blocks(table.num_rows)
        ahead = prefetched(lambda rows: self.observe(_rows(table, rows)), itertools.chain(*blocks))
        found, recent = [], state.recent
        with contextlib.closing(ahead) as observed:  # no work goes on after an error
            for block in blocks:
                parts = [
                    self._score_part(numbers.of(rows), next(observed), state, num_threads)
                    for rows in block
                ]
                ids = _rows(table, slice(block[0].start, block[-1].stop))[TRANSACTION_ID]
                scores, recent = self._joined(parts, ids, recent, labels, num_threads=num_threads)
                found.append(scores)
        until = float(pc.max(table[EVENT_TIME]).cast(pa.int64()).as_py() or 0) / US_PER_DAY
        return joined_scores(found), replace(state, until=max(state.until, until), recent=recent)

    def _score_part(
        self, numbers: Numbers, observed: Observed, state: ProfileState, num_threads: int
    ) -> _Part:
        """Scores without labels of some transactions; the state moves on."""
        rows = rows_of(numbers, observed.coded, observed.log_density)
        passed = pass_over(rows, state, self.layout, self.priors, self.excess)
        evidence_NJ = np.hstack([passed.evidence, observed.reconstruction])
        calibrated = self.scorer.score(
            evidence_NJ, observed.coded, rows.account, state, num_threads=num_threads
        )
        scores = Scores(
            account=rows.account, evidence=evidence_NJ, passed=passed, calibrated=calibrated
        )
        return _Part(scores, rows._replace(log_density=rows.log_density[:0]))

    def _joined(
        self,
        parts: Sequence[_Part],
        ids: pa.ChunkedArray,
        recent: pa.Table | None,
        labels: pa.Table | None,
        *,
        num_threads: int,
    ) -> tuple[Scores, pa.Table | None]:
        """Scores of a block, with labels if there are any, and the recent transactions after it."""
        scores = joined_scores([part.scores for part in parts])
        if self.supervised is None or recent is None or not len(ids):
            return scores, recent
        rows = Rows._make(map(joined, zip(*(part.rows for part in parts), strict=True)))
        new = RecentTransactions.of(ids, rows, scores.evidence, self.scorer)
        delay = self.supervised.delay_days
        memory = RecentTransactions(table=recent).followed_by(new)
        memory = memory if labels is None else memory.with_labels(labels, delay)
        memory = memory.remembered(float(rows.day[0]), delay)
        if labels is not None:
            calibrated = self.supervised.score(
                scores.calibrated, self.scorer, scores.evidence, scores.passed, rows.hour, memory,
                num_threads=num_threads,
            )  # fmt: skip
            scores = replace(scores, calibrated=calibrated)
        return scores, memory.table

    def account_p_values(self, days: AccountDays, *, with_labels: bool) -> Float64Array:
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


def _check_order(table: pa.Table, state: ProfileState) -> None:
    """Refuse transactions that are out of order, or earlier than the state."""
    times_N = np.asarray(table[EVENT_TIME].cast(pa.int64()), dtype=np.int64)
    if len(times_N) and (np.any(np.diff(times_N) < 0) or times_N[0] / US_PER_DAY < state.until):
        raise DataError(
            file="transactions",
            column=EVENT_TIME,
            expected="transactions in the order of time, none before the state's last one",
            got="others",
            remedy="sort them, and score a day only once on the same state",
        )


def _check_width(state: ProfileState, layout: Layout) -> None:
    """Refuse a state of another layout: the compiled pass would write beyond its end."""
    width = state.accounts.values.shape[1]
    if width != layout.num_values:
        raise DataError(
            file="state",
            expected=f"{layout.num_values} values an account",
            got=f"{width}",
            remedy="score with the state that was trained with the model, or train again",
        )


def _blocks(num_rows: int) -> list[list[slice]]:
    """Rows from and to, of the parts of each block; one part where there is no row."""
    ends = range(0, max(num_rows, 1), BLOCK_ROWS)
    blocks = [(start, min(start + BLOCK_ROWS, num_rows)) for start in ends]
    return [
        [slice(at, min(at + PART_ROWS, end)) for at in range(start, max(end, 1), PART_ROWS)]
        for start, end in blocks
    ]


def _rows(table: pa.Table, rows: slice) -> pa.Table:
    return table.slice(rows.start, rows.stop - rows.start)
