"""Fitting a fraud scorer on a log without labels, which may contain frauds.

The end of the log is kept for calibration; everything else is fitted on the rows before it.

Shapes: N transactions, J kinds of evidence, K clusters, D width of an embedding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.cluster import MiniBatchKMeans

from recsys.arrays import BoolArray, Float32Array
from recsys.checkpoints import Checkpoints
from recsys.datasets.dataset import FeatureConfig
from recsys.datasets.transactions.days import day_of
from recsys.errors import DataError
from recsys.features.vocabulary import Vocabulary
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.autoencoder import FittedAutoencoder, InputColumns
from recsys.fraud.embedding.autoencoder_training import fit_autoencoder
from recsys.fraud.embedding.inputs import TransactionInputs
from recsys.fraud.embedding.observed import Clusters, observe
<<<<<<< HEAD
from recsys.fraud.fitting.episodes import as_known
=======
from recsys.fraud.fitting.fit_report import FitReport, report_of
>>>>>>> main
from recsys.fraud.fitting.labelled import ConfirmedLabels, with_labels
from recsys.fraud.fitting.profiling import ProfiledLog, profile_log
from recsys.fraud.fitting.score_tails import fit_score_tail
from recsys.fraud.fitting.weighing import Weighed, fit_scorer
from recsys.fraud.model import FraudModel, evidence_names
from recsys.fraud.profiles.state import ProfileState
from recsys.fraud.scoring.account_days import AccountDays
from recsys.fraud.scoring.tails import Tail
from recsys.schema import ACCOUNT_ID
from recsys.training import EpochResult

_MIN_ROWS = 500
_SAMPLE_ROWS = 50_000  # embeddings that clusters are found in
_VARIANCE_FLOOR = 0.05  # least variance of a cluster, as a share of that of all embeddings


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedFraud:
    """What training gives."""

    model: FraudModel
    """The fitted scorer."""
    state: ProfileState
    """What is known of the accounts after the last training row."""
    report: FitReport
    """How it went."""


@dataclass(frozen=True, kw_only=True)
<<<<<<< HEAD
class FitReport:
    """What was found in the data, and how long it took."""

    num_rows: int
    """Training rows."""
    num_calibration_rows: int
    """Those of them that scores are calibrated on."""
    num_accounts: int
    """Accounts among them."""
    num_peer_groups: int
    """Groups of accounts."""
    context: str
    """The column that amounts depend on; empty when on none."""
    account_features: tuple[str, ...]
    """Features that describe accounts."""
    episode_shares: dict[str, float]
    """Share of the high values of each kind of evidence that come in episodes."""
    silent_evidence: tuple[str, ...]
    """Kinds of evidence that say nothing on this log and do not count."""
    episodes_known: float
    """How far episodes decide the weights, 0 to 1."""
    uses_episodes: bool
    """Whether trees combine the evidence."""
    uses_labels: bool
    """Whether enough labels were known for trees over them."""
    lift_of_weights: float
    """Lift among the top weighted scores: how much more often they have unusual neighbours."""
    lift_of_trees: float
    """The same for the trees, on accounts that they did not see; NaN where none were fitted."""
    misused_share: float
    """Estimated share of misuse at a high cumulative score, times how far episodes decide."""
    durations_s: dict[str, float]
    """Seconds by stage."""


@dataclass(frozen=True, kw_only=True)
=======
>>>>>>> main
class FitCallbacks:
    """Reports progress while a model is fitted."""

    on_stage: Callable[[str], None] = lambda _stage: None
    """Called before each stage."""
    on_epoch: Callable[[EpochResult], None] | None = None
    """Called after each epoch of the autoencoder."""
    checkpoints: Checkpoints | None = None
    """Where the autoencoder leaves checkpoints and goes on from them."""


def fit_fraud_model(
    table: pa.Table,
    features: dict[str, FeatureConfig],
    config: FraudConfig,
    *,
    num_threads: int,
    labels: ConfirmedLabels | None = None,
    callbacks: FitCallbacks | None = None,
) -> FittedFraud:
    """Fit a scorer and the state of all accounts at the end of the log.

    Args:
        table: Transactions under their standard names, in the order of time.
        features: Kind of each feature.
        config: What to train.
        num_threads: Threads of the trees; they do not change the result.
        labels: Confirmed labels, if there are any. Only the trees of the meta-model use them.
        callbacks: Report progress.

    Raises:
        DataError: Too few transactions, or all at one time.
    """
    callbacks = callbacks or FitCallbacks()
    clock = _Clock(callbacks.on_stage)
    num_fit = _num_fit_rows(table, config)
    clock.stage("learning the columns")
    inputs = TransactionInputs.fit(table.slice(0, num_fit), features)
    clock.stage("training the autoencoder")
    autoencoder = _fit_autoencoder(table.slice(0, num_fit), inputs, config, callbacks)
    clock.stage("embedding transactions")
    clusters = _fit_clusters(table.slice(0, num_fit), inputs, autoencoder, config)
    observed = observe(table, inputs, autoencoder, clusters)
    clock.stage("learning what is normal")
    profiled = profile_log(table, observed, inputs, num_fit, config)
    clock.stage("weighing the evidence")
    evidence_NJ = np.hstack([profiled.passed.evidence, observed.reconstruction])
    known_N = profiled.passed.num_known >= config.profiles.cold_transactions
    weighed = fit_scorer(
        evidence_names(autoencoder), evidence_NJ, observed.coded, profiled.rows.account,
        profiled.state, covered=inputs.covered, silent=profiled.silent, known_N=known_N,
        num_fit=num_fit, config=config, num_threads=num_threads,
    )  # fmt: skip
    model = FraudModel(
        config=config, inputs=inputs, autoencoder=autoencoder, clusters=clusters,
        priors=profiled.priors, excess=profiled.excess, scorer=weighed.scorer,
        account_tail=_fit_account_tail(profiled, weighed, known_N, num_fit),
    )  # fmt: skip
    state, missing = weighed.state, ""
    if labels is not None:
        clock.stage("learning from labels")
        model, state, missing = with_labels(
            model, state, table, profiled, evidence_NJ, observed.coded.hour, labels,
            num_threads=num_threads,
        )  # fmt: skip
    report = report_of(
        table, num_fit, model, weighed,
        silent=profiled.silent, labels_missing=missing, durations=clock.durations(),
    )  # fmt: skip
    return FittedFraud(model=model, state=state, report=report)


class _Clock:
    """Seconds by stage."""

    def __init__(self, on_stage: Callable[[str], None]) -> None:
        self._on_stage = on_stage
        self._starts: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """Begin a stage; the one before ends."""
        self._starts[name] = time.perf_counter()
        self._on_stage(name)

    def durations(self) -> dict[str, float]:
        """Seconds of each stage; the last one ends now."""
        ends = [*list(self._starts.values())[1:], time.perf_counter()]
        return {
            name: end - start for (name, start), end in zip(self._starts.items(), ends, strict=True)
        }


def _num_fit_rows(table: pa.Table, config: FraudConfig) -> int:
    """Rows before the part that scores are calibrated on, which is cut by days with transactions.

    Days without any count as no time, so that a gap in the log does not move the cut.
    """
    days_N = day_of(table)
    whole_N = np.floor(days_N)
    _, places_N = np.unique(whole_N, return_inverse=True)
    days_N = places_N + (days_N - whole_N)
    span = float(days_N[-1] - days_N[0]) if len(days_N) else 0.0
    scoring = config.scoring
    length = min(scoring.calibration_share * span, scoring.max_calibration_days)
    num_fit = int(np.searchsorted(days_N, days_N[-1] - length)) if len(days_N) else 0
    if min(num_fit, len(days_N) - num_fit) < _MIN_ROWS:
        raise DataError(
            file="transactions",
            expected=f"at least {_MIN_ROWS} transactions to fit on, and as many after them to "
            "calibrate on",
            got=f"{num_fit} and {len(days_N) - num_fit} over {span:.1f} days with transactions",
            remedy="bring a longer log, or change [scoring] calibration_share",
        )
    return num_fit


def _fit_autoencoder(
    table: pa.Table,
    inputs: TransactionInputs,
    config: FraudConfig,
    callbacks: FitCallbacks,
) -> FittedAutoencoder:
    fitted, _ = fit_autoencoder(
        inputs.encode(table).columns,
        account_N=Vocabulary.fit(table[ACCOUNT_ID]).numbers(table[ACCOUNT_ID]),
        inputs=InputColumns.of(inputs.encoder, inputs.targets),
        config=config.autoencoder,
        seed=config.seed,
        on_epoch=callbacks.on_epoch,
        checkpoints=callbacks.checkpoints,
    )
    return fitted


def _fit_clusters(
    table: pa.Table, inputs: TransactionInputs, autoencoder: FittedAutoencoder, config: FraudConfig
) -> Clusters:
    """Clusters of the embeddings of some training rows."""
    chosen = np.random.default_rng(config.seed).permutation(table.num_rows)[:_SAMPLE_ROWS]
    sample = table.take(pa.array(np.sort(chosen)))
    return fit_clusters(autoencoder.measure(inputs.encode(sample).columns).embedding_ND, config)


def fit_clusters(embedding_ND: Float32Array, config: FraudConfig) -> Clusters:
    """Clusters of embeddings by k-means, each with the variances of its members."""
    num_clusters = min(config.profiles.num_clusters, len(embedding_ND))
    found = MiniBatchKMeans(num_clusters, random_state=config.seed, n_init=3, batch_size=4096).fit(
        embedding_ND
    )
    floor = _VARIANCE_FLOOR * float(embedding_ND.var(0).mean())
    variance = np.stack(
        [
            _variance(embedding_ND[found.labels_ == cluster], found.cluster_centers_[cluster])
            for cluster in range(num_clusters)
        ]
    )
    return Clusters(
        centre=np.ascontiguousarray(found.cluster_centers_, dtype=np.float32),
        precision=(1 / np.maximum(variance, floor)).astype(np.float32),
    )


def _variance(embedding_ND: Float32Array, centre_D: Float32Array) -> Float32Array:
    """Variance about a centre; 0 without members."""
    if not len(embedding_ND):
        return np.zeros(len(centre_D), dtype=np.float32)
    return np.asarray(((embedding_ND - centre_D) ** 2).mean(0), dtype=np.float32)


def _fit_account_tail(
    profiled: ProfiledLog, weighed: Weighed, known_N: BoolArray, num_fit: int
) -> Tail:
    """Calibration of account-days on those after the rows to fit on, of accounts that are known."""
    held_out = slice(num_fit, None)
    days = AccountDays.of(
        profiled.rows.account[held_out],
        profiled.rows.day[held_out],
        weighed.combined[held_out],
        known_N[held_out].astype(np.float32),
    )
    known_M = days.num_known > 0
    return fit_score_tail(days.highest[known_M] if known_M.any() else days.highest)
<<<<<<< HEAD


def _report(
    table: pa.Table, num_fit: int, model: FraudModel, weighed: Weighed, durations: dict[str, float]
) -> FitReport:
    return FitReport(
        num_rows=table.num_rows,
        num_calibration_rows=table.num_rows - num_fit,
        num_accounts=len(weighed.state.account_ids),
        num_peer_groups=len(model.priors.context),
        context=model.inputs.context,
        account_features=model.inputs.account_features,
        episode_shares=dict(zip(model.scorer.kinds, weighed.episode_shares.tolist(), strict=True)),
        silent_evidence=weighed.silent,
        episodes_known=as_known(weighed.lift_of_weights),
        uses_episodes=model.scorer.booster is not None,
        uses_labels=model.supervised is not None,
        lift_of_weights=weighed.lift_of_weights,
        lift_of_trees=weighed.lift_of_trees,
        misused_share=weighed.misused_share,
        durations_s=durations,
    )
=======
>>>>>>> main
