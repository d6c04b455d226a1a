"""The report of a training: what was found in the data, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pydantic import JsonValue

from recsys.config import config_to_dict
from recsys.fraud.fitting.episodes import as_known
from recsys.fraud.fitting.weighing import Weighed
from recsys.fraud.model import FraudModel

_STORED_NAMES = {
    "account_features": "profile",
    "lift_of_weights": "trust_weights",
    "lift_of_trees": "trust_trees",
}
"""Names in published files, where they differ: readers of earlier runs know these."""


@dataclass(frozen=True, kw_only=True)
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
    silent: tuple[str, ...]
    """Columns with one value in every row, which say nothing and are no evidence."""
    episode_shares: dict[str, float]
    """Share of the high values of each kind of evidence that come in episodes."""
    silent_evidence: tuple[str, ...]
    """Kinds of evidence whose values are all alike: they do not count."""
    episodes_known: float
    """How far episodes decide the weights, 0 to 1; else all kinds count alike."""
    uses_episodes: bool
    """Whether trees combine the evidence."""
    uses_labels: bool
    """Whether enough labels were known for trees over them."""
    labels_missing: str
    """What is missing where labels were given and not used; empty otherwise."""
    lift_of_weights: float
    """Lift among the top weighted scores: how much more often they have unusual neighbours."""
    lift_of_trees: float
    """The same for the trees, on accounts that they did not see; NaN where none were fitted."""
    misused_share: float
    """Estimated share of misuse among transactions at a high cumulative score, times how far
    episodes decide the weights."""
    durations_s: dict[str, float]
    """Seconds by stage."""

    def to_dict(self) -> dict[str, JsonValue]:
        """The report as JSON has it, under its stored names."""
        named = config_to_dict(self)
        return {_STORED_NAMES.get(name, name): value for name, value in named.items()}


def report_of(
    table: pa.Table,
    num_fit: int,
    model: FraudModel,
    weighed: Weighed,
    *,
    silent: tuple[str, ...],
    labels_missing: str,
    durations: dict[str, float],
) -> FitReport:
    """What is told of a training.

    Args:
        table: Training rows.
        num_fit: Those before the part that scores are calibrated on.
        model: What was fitted.
        weighed: How evidence was weighed.
        silent: Columns that say nothing.
        labels_missing: Why labels are not used.
        durations: Seconds by stage.
    """
    scorer = model.scorer
    return FitReport(
        num_rows=table.num_rows,
        num_calibration_rows=table.num_rows - num_fit,
        num_accounts=len(weighed.state.account_ids),
        num_peer_groups=len(model.priors.context),
        context=model.inputs.context,
        account_features=model.inputs.account_features,
        silent=silent,
        episode_shares=dict(zip(scorer.kinds, weighed.episode_shares.tolist(), strict=True)),
        silent_evidence=weighed.silent,
        episodes_known=as_known(weighed.lift_of_weights),
        uses_episodes=scorer.booster is not None,
        uses_labels=model.supervised is not None,
        labels_missing=labels_missing,
        lift_of_weights=weighed.lift_of_weights,
        lift_of_trees=weighed.lift_of_trees,
        misused_share=weighed.misused_share,
        durations_s=durations,
    )
