"""Learning what is normal: peer groups, priors, and the passes that fill the state of accounts.

Shapes: N transactions, J kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from recsys.features.vocabulary import Vocabulary
from recsys.fraud.config import FraudConfig
from recsys.fraud.embedding.inputs import TransactionInputs
from recsys.fraud.embedding.observed import Observed
from recsys.fraud.fitting.episodes import (
    Contrast,
    Neighbourhood,
    evidence_weights,
    lift_among_top,
    unusual_own,
    weights_of_shares,
)
from recsys.fraud.fitting.silent import silenced, silent_columns
from recsys.fraud.profiles.arrays import (
    EVIDENCE,
    NUM_VELOCITIES,
    OWN_EVIDENCE,
    Excess,
    Layout,
    Passed,
    Priors,
    Rows,
    layout_of,
)
from recsys.fraud.profiles.passing import numbers_of, pass_over, rows_of
from recsys.fraud.profiles.peers import find_peer_groups, fit_priors
from recsys.fraud.profiles.state import ProfileState, empty_state
from recsys.fraud.scoring.tails import excess_of, fit_tails
from recsys.schema import ACCOUNT_ID, COUNTERPARTY_ID

_EXCLUDED_SHARE = 0.01  # of transactions, the most unusual ones, that are excluded from the update
_EXCESS_CAP = 5.0  # nats, as in the pass
_MIN_KNOWN = 5.0  # transactions of an account before its velocities count


@dataclass(frozen=True, kw_only=True, eq=False)
class ProfiledLog:
    """A log that went through the pass."""

    rows: Rows
    """Its transactions."""
    passed: Passed
    """What the pass recorded."""
    state: ProfileState
    """The state after it."""
    priors: Priors
    """What holds for peer groups."""
    excess: Excess
    """How evidence becomes excess, and from which excess on accounts do not learn."""
    silent: tuple[str, ...]
    """Columns that say nothing: one value in every row."""


def profile_log(
    table: pa.Table,
    observed: Observed,
    inputs: TransactionInputs,
    num_fit: int,
    config: FraudConfig,
) -> ProfiledLog:
    """Send a log through three passes: for the velocities, for the excess, and the final one.

    Args:
        table: Transactions in the order of time.
        observed: Their embeddings, clusters and reconstruction errors.
        inputs: What was learnt of the columns.
        num_fit: Rows, the first ones, that priors and excess are learnt from.
        config: What to train.
    """
    fresh = _fresh_state(table, inputs)
    rows = rows_of(numbers_of(table, fresh), observed.coded, observed.log_density)
    priors = _fit_priors(rows, len(fresh.account_ids), inputs, num_fit, config)
    layout = layout_of(
        num_contexts=inputs.num_contexts,
        num_clusters=priors.cluster.shape[1],
        num_peers=len(priors.context),
    )
    room = _with_layout(fresh, layout)
    _, state = _pass_fit_part(rows, room, layout, priors, num_fit)
    priors = _with_velocities(priors, state, layout)
    passed, _ = _pass_fit_part(rows, room, layout, priors, num_fit)
    silent = silent_columns(inputs.encoder, observed.coded.columns)
    excess = _fit_excess(rows, passed, num_fit, config, silent)
    state = replace(room.copy(), until=float(rows.day[-1]))
    return ProfiledLog(
        rows=rows,
        passed=pass_over(rows, state, layout, priors, excess),
        state=state,
        priors=priors,
        excess=excess,
        silent=silent,
    )


def _fresh_state(table: pa.Table, inputs: TransactionInputs) -> ProfileState:
    """A state with ids only; the layout is not known yet."""
    if inputs.has_counterparty:
        counterparties = Vocabulary.fit(table[COUNTERPARTY_ID])
    else:
        counterparties = Vocabulary(pa.array([], pa.string()))
    accounts = Vocabulary.fit(table[ACCOUNT_ID])
    return empty_state(accounts, counterparties, num_values=0, until=-np.inf)


def _with_layout(state: ProfileState, layout: Layout) -> ProfileState:
    return empty_state(
        state.account_ids, state.counterparty_ids, num_values=layout.num_values, until=state.until
    )


def _first(rows: Rows, num_rows: int) -> Rows:
    return Rows._make(array[:num_rows] for array in rows)


def _pass_fit_part(
    rows: Rows, room: ProfileState, layout: Layout, priors: Priors, num_fit: int
) -> tuple[Passed, ProfileState]:
    """A pass over the rows to fit on, in which accounts learn from everything."""
    state = room.copy()
    num_kinds = len(EVIDENCE)
    nothing = Excess(
        threshold=np.full(num_kinds, np.inf, dtype=np.float32),
        rate=np.zeros(num_kinds, dtype=np.float32),
        limit=np.inf,
        mean=0.0,
        variance=1.0,
    )
    return pass_over(_first(rows, num_fit), state, layout, priors, nothing), state


def _fit_priors(
    rows: Rows, num_accounts: int, inputs: TransactionInputs, num_fit: int, config: FraudConfig
) -> Priors:
    part = _first(rows, num_fit)
    group_A = find_peer_groups(
        part.account, part.context, part.hour, part.amount,
        num_accounts=num_accounts, num_contexts=inputs.num_contexts, seed=config.seed,
    )  # fmt: skip
    return fit_priors(
        group_A[part.account], part.context, part.hour, part.amount,
        part.log_density.argmax(1),
        num_groups=int(group_A.max()) + 1,
        num_contexts=inputs.num_contexts,
        num_clusters=part.log_density.shape[1],
        strength=config.profiles.strength,
    )  # fmt: skip


def _with_velocities(priors: Priors, state: ProfileState, layout: Layout) -> Priors:
    """The priors with the velocities that a first pass measured."""
    values_AS = state.accounts.values.astype(np.float64)
    known_A = values_AS[:, layout.num_known]
    chosen_A = known_A >= min(_MIN_KNOWN, known_A.max(initial=0.0))
    values_AS, known_A = values_AS[chosen_A], np.maximum(known_A[chosen_A], 1.0)
    means_AV = values_AS[:, layout.velocity_mean : layout.velocity_mean + NUM_VELOCITIES]
    squares_AV = values_AS[:, layout.velocity_m2 : layout.velocity_m2 + NUM_VELOCITIES]
    within_V = (squares_AV / known_A[:, None]).mean(0)
    return priors._replace(
        velocity_mean=means_AV.mean(0).astype(np.float32),
        velocity_var=(within_V + means_AV.var(0) + 1e-3).astype(np.float32),
        new_share=float(max(values_AS[:, layout.num_new].sum() / known_A.sum(), 1e-3)),
    )


def _fit_excess(
    rows: Rows, passed: Passed, num_fit: int, config: FraudConfig, silent: tuple[str, ...]
) -> Excess:
    """How evidence becomes excess in the pass, with weights learnt from this log."""
    known_N = passed.num_known >= config.profiles.cold_transactions
    usable_N = known_N if known_N.any() else np.ones(num_fit, dtype=np.bool_)
    tails = silenced(fit_tails(passed.evidence[usable_N]), EVIDENCE, silent)
    excess_NJ = excess_of(tails, passed.evidence)
    own_J = np.array([kind in OWN_EVIDENCE for kind in EVIDENCE])
    around = Neighbourhood(account=rows.account[:num_fit], day=rows.day[:num_fit], usable=usable_N)
    shares_J = evidence_weights(around, excess_NJ, own_J)
    contrast = Contrast.of(around, unusual_own(excess_NJ, shares_J, own_J))
    lift = lift_among_top(around, contrast, excess_NJ.astype(np.float64) @ shares_J)
    weights_J = weights_of_shares(shares_J, lift, sharpness=1)
    # The transactions of others at the counterparty do not decide whether this account may learn.
    weights_J[EVIDENCE.index("counterparty_excess")] = 0.0
    total_N = excess_NJ[usable_N].astype(np.float64) @ weights_J
    capped_N = np.minimum(total_N, _EXCESS_CAP)
    return Excess(
        threshold=np.array([tail.threshold for tail in tails], dtype=np.float32),
        rate=(np.array([tail.rate for tail in tails]) * weights_J).astype(np.float32),
        limit=float(np.quantile(total_N, 1 - _EXCLUDED_SHARE)),
        mean=float(capped_N.mean()),
        variance=float(capped_N.var()) + 1e-3,
    )
