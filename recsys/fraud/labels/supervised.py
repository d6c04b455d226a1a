"""Scores with labels: the meta-model over all evidence and label evidence, and its calibration.

A label is used from its delay on and never before, neither as an input nor to learn from.

Shapes: N transactions, J kinds of evidence, F features, L kinds of label evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from recsys.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from recsys.fraud.accumulate import sums_before
from recsys.fraud.config import LabelsConfig
from recsys.fraud.labels.label_evidence import LABEL_EVIDENCE, label_evidence
from recsys.fraud.labels.memory import MEMORY_DAYS, RecentTransactions
from recsys.fraud.labels.meta_model import MetaModel, fit_meta_model
from recsys.fraud.labels.prior_anomalies import PRIOR_ANOMALIES, prior_anomalies
from recsys.fraud.profiles.arrays import Passed
from recsys.fraud.scoring.scorer import CalibratedScores, EvidenceScorer
from recsys.fraud.scoring.tails import Tail

_EXCESS_WINDOWS = (1, 3, 7, 14)
_COUNT_WINDOWS = (1, 7, 30)
_WARM_DAYS = 30.0  # and the delay, at the start of a log, for the windows to fill
_MAX_WARM_SHARE = 0.3  # of a short log
_NOT_READ = {"base_rate"}  # it reveals the date more than the risk


@dataclass(frozen=True, kw_only=True, eq=False)
class Supervised:
    """Trees that were fitted to labels, and their calibration."""

    meta_model: MetaModel
    """The trees."""
    tail: Tail
    """Calibration of their log odds on transactions that are not known to be fraud."""
    delay_days: float
    """Days after a transaction from which on its label counts as known."""

    def score(
        self,
        calibrated: CalibratedScores,
        scorer: EvidenceScorer,
        evidence_NJ: Float32Array,
        passed: Passed,
        hour_N: Int64Array,
        recent: RecentTransactions,
        *,
        num_threads: int,
    ) -> CalibratedScores:
        """Scores with labels taken into account.

        Args:
            calibrated: The scores without labels.
            scorer: The scorer that gave them.
            evidence_NJ: Evidence of the transactions to score.
            passed: What the pass wrote down of them.
            hour_N: Their hours.
            recent: Transactions before them, then they themselves, with the labels that are known.
            num_threads: Threads of the trees.
        """
        features_NF, _ = meta_model_features(
            scorer, evidence_NJ, passed, hour_N, recent, recent.label, self.delay_days
        )
        log_odds_N = self.meta_model.score(features_NF, num_threads=num_threads)
        return replace(
            calibrated,
            combined=log_odds_N,
            p_value=np.exp(-self.tail.surprise(log_odds_N)),
        )


def meta_model_features(
    scorer: EvidenceScorer,
    evidence_NJ: Float32Array,
    passed: Passed,
    hour_N: Int64Array,
    recent: RecentTransactions,
    label_R: Int8Array,
    delay_days: float,
) -> tuple[Float32Array, tuple[str, ...]]:
    """Inputs of the trees for the last N of the recent transactions, and their names.

    Args:
        scorer: Has the names of the evidence.
        evidence_NJ: Evidence of the N transactions.
        passed: What the pass wrote down of them.
        hour_N: Their hours.
        recent: R transactions, the last N of which are those.
        label_R: Labels of all R, -1 for none.
        delay_days: Days after a transaction from which on its label is known.

    Returns:
        Shape (N, F), and F names.
    """
    last = slice(len(recent) - len(evidence_NJ), None)
    account, day = recent.account, recent.day
    from_labels_NL = label_evidence(
        account_N=account, counterparty_N=recent.counterparty, day_N=day,
        amount_excess_N=recent.values("amount_excess")[:, 0], label_N=label_R,
        delay_days=delay_days, memory_days=MEMORY_DAYS,
    )[last]  # fmt: skip
    prior_anomalies_NS = prior_anomalies(
        account_N=account, day_N=day, amount_excess_N=recent.values("amount_excess")[:, 0],
        label_N=label_R, delay_days=delay_days,
    )[last]  # fmt: skip
    excess = sums_before(
        account, day, recent.values("amount_excess", "own_excess"), windows_days=_EXCESS_WINDOWS
    )[last]
    values = np.hstack([recent.values("amount"), np.ones((len(recent), 1), dtype=np.float32)])
    sums = sums_before(account, day, values, windows_days=_COUNT_WINDOWS)[last]
    named = {
        name: column_N
        for name, column_N in zip(LABEL_EVIDENCE, from_labels_NL.T, strict=True)
        if name not in _NOT_READ
    }
    named |= dict(zip(PRIOR_ANOMALIES, prior_anomalies_NS.T, strict=True))
    for place, days in enumerate(_EXCESS_WINDOWS):
        named[f"account_amount_excess_{days}d"] = excess[:, place, 0]
        named[f"account_own_excess_{days}d"] = excess[:, place, 1]
    for place, days in enumerate(_COUNT_WINDOWS):
        named[f"account_count_{days}d"] = sums[:, place, 1]
        named[f"account_mean_amount_{days}d"] = sums[:, place, 0] / np.maximum(sums[:, place, 1], 1)
    named |= dict(zip(scorer.kinds, evidence_NJ.T, strict=True))
    named |= {
        "amount": recent.values("amount")[last, 0],
        "num_known": passed.num_known,
        "hour_of_day": hour_N,
    }
    features_NF = np.stack(list(named.values()), axis=1).astype(np.float32)
    return features_NF, tuple(named)


def fit_supervised(
    scorer: EvidenceScorer,
    evidence_NJ: Float32Array,
    passed: Passed,
    hour_N: Int64Array,
    recent: RecentTransactions,
    labels: pa.Table,
    *,
    known_until: float,
    config: LabelsConfig,
    seed: int,
    num_threads: int,
) -> tuple[Supervised, Float64Array] | None:
    """Fit trees to the labels that are known at a moment.

    Args:
        scorer: Has the names of the evidence.
        evidence_NJ: Evidence of a log.
        passed: What the pass wrote down.
        hour_N: Hours of its transactions.
        recent: All of its transactions.
        labels: transaction_id and is_fraud.
        known_until: Days since 1970 of the moment.
        config: Delay of labels, and how to fit.
        seed: Seed of everything random.
        num_threads: Threads of the trees.

    Returns:
        What labels taught, and the log odds of each transaction from trees that did not see its
        account, shape (N,); None where too few frauds are known.
    """
    label_N, is_cold_N = _known_labels(recent, labels, known_until, config)
    learnt_N = np.where(is_cold_N, -1, label_N).astype(np.int8)
    features_NF, names = meta_model_features(
        scorer, evidence_NJ, passed, hour_N, recent, label_N, config.delay_days
    )
    settings = {"seed": seed, "num_threads": num_threads}
    meta_model = fit_meta_model(features_NF, names, learnt_N, config.meta_model, **settings)
    if meta_model is None:
        return None
    # Each half of the accounts is scored by trees that did not see it: an honest calibration.
    first_A = np.random.default_rng(seed).permutation(int(recent.account.max()) + 1) % 2 == 0
    log_odds_N = np.zeros(len(label_N))
    for half_N in (first_A[recent.account], ~first_A[recent.account]):
        others = np.where(half_N, -1, learnt_N).astype(np.int8)
        fitted = (
            fit_meta_model(features_NF, names, others, config.meta_model, **settings) or meta_model
        )
        log_odds_N[half_N] = fitted.score(features_NF[half_N], num_threads=num_threads)
    normal_N = ~is_cold_N & (label_N != 1)
    tail = Tail.fit(log_odds_N[normal_N])
    return Supervised(meta_model=meta_model, tail=tail, delay_days=config.delay_days), log_odds_N


def why_not_learnt(
    recent: RecentTransactions, labels: pa.Table, *, known_until: float, config: LabelsConfig
) -> str:
    """What is missing where `fit_supervised` fits no trees.

    Args:
        recent: All transactions of a log.
        labels: transaction_id and is_fraud.
        known_until: Days since 1970 of the moment.
        config: Delay of labels, and how to fit.
    """
    label_N, is_cold_N = _known_labels(recent, labels, known_until, config)
    frauds, legitimate = (int(np.sum(label_N[~is_cold_N] == answer)) for answer in (1, 0))
    when = f"known by then and after the first days of the log, with {config.delay_days:g} days"
    if frauds < config.meta_model.min_frauds:
        needed = f"{config.meta_model.min_frauds:,} are needed ([labels.meta_model] min_frauds)"
        return f"{frauds:,} frauds are {when} of delay, {needed}"
    return f"{legitimate:,} legitimate transactions are {when} of delay, both kinds are needed"


def _known_labels(
    recent: RecentTransactions, labels: pa.Table, known_until: float, config: LabelsConfig
) -> tuple[Int8Array, BoolArray]:
    """Labels that are known, and which transactions lie where windows have not filled yet."""
    is_known_N = recent.day + config.delay_days <= known_until
    label_N = np.where(is_known_N, recent.labels(labels), -1).astype(np.int8)
    span = float(recent.day[-1] - recent.day[0])
    warm_days = min(_WARM_DAYS + config.delay_days, _MAX_WARM_SHARE * span)
    return label_N, recent.day < recent.day[0] + warm_days
