"""The settings that the fraud scorer takes in Python: sections, each with defaults."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import Field

from recsys.config import config_class
from recsys.datasets.transactions.config import TransactionFeatures
from recsys.datasets.transactions.quarantine_report import QuarantineConfig
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.config import (
    AutoencoderConfig,
    FraudConfig,
    LabelsConfig,
    ProfilesConfig,
    ScoringConfig,
)

Setting: TypeAlias = Any
"""A setting as a caller gives it: text, a number, a mapping or a dataclass."""


@config_class
class FraudSettings:
    """Sections of the settings, as the config file of the jobs has them."""

    features: TransactionFeatures | None = None
    """Features of transactions by name; guessed when None, none when empty."""
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    """The embedding of transactions."""
    profiles: ProfilesConfig = ProfilesConfig()
    """The state of each account, and what it is compared with."""
    scoring: ScoringConfig = ScoringConfig()
    """How evidence becomes a score."""
    labels: LabelsConfig = LabelsConfig()
    """How confirmed labels are used."""
    alerts: AlertConfig = AlertConfig()
    """Which accounts are flagged."""
    quarantine: QuarantineConfig = QuarantineConfig()
    """Limits beyond which rows are set aside."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random."""

    @property
    def fraud(self) -> FraudConfig:
        """What to train."""
        return FraudConfig(
            autoencoder=self.autoencoder,
            profiles=self.profiles,
            scoring=self.scoring,
            labels=self.labels,
            seed=self.seed,
        )
