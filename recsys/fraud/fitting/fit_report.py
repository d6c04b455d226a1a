"""The report of a training: what was found in the data, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from recsys.config import config_to_dict

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
    episode_shares: dict[str, float]
    """Share of the high values of each kind of evidence that come in episodes."""
    uses_episodes: bool
    """Whether trees combine the evidence."""
    uses_labels: bool
    """Whether enough labels were known for trees over them."""
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
