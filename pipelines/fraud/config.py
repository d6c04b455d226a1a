"""The settings of the fraud jobs: one TOML file, one section a component."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from pipelines.jobs.job_run import DeadlinesConfig
from pipelines.jobs.settings import OutputConfig, read_config
from recsys.config import config_class
from recsys.datasets.input_checks import GatesConfig
from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionFeatures,
    TransactionsDataConfig,
)
from recsys.datasets.transactions.quarantine_report import QuarantineConfig
from recsys.drift.config import DriftConfig
from recsys.fraud.alerts.checks_config import FraudGuardsConfig
from recsys.fraud.alerts.selection import AlertConfig
from recsys.fraud.config import (
    AutoencoderConfig,
    FraudConfig,
    LabelsConfig,
    ProfilesConfig,
    ScoringConfig,
)
from recsys.tracking import TrackingConfig


@config_class
class FraudJobConfig:
    """Everything that the fraud jobs read."""

    data: TransactionsDataConfig
    """Where the tables are."""
    columns: TransactionColumnsConfig = TransactionColumnsConfig()
    """Your names of the standard columns."""
    features: TransactionFeatures = Field(default_factory=dict)
    """Features of transactions by name, categorical or numeric; other columns are not read."""
    quarantine: QuarantineConfig = QuarantineConfig()
    """Limits beyond which rows are set aside."""
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    """The embedding of transactions."""
    profiles: ProfilesConfig = ProfilesConfig()
    """What is normal for an account."""
    scoring: ScoringConfig = ScoringConfig()
    """How evidence becomes a score."""
    labels: LabelsConfig = LabelsConfig()
    """What is done with confirmed labels, where there are any."""
    alerts: AlertConfig = AlertConfig()
    """Which accounts are flagged."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random."""
    tracking: TrackingConfig = TrackingConfig()
    """Where runs are tracked."""
    output: OutputConfig = OutputConfig()
    """Where outputs go."""
    drift: DriftConfig = DriftConfig()
    """What `recsys check-drift` compares, and when it calls a difference drift."""
    gates: GatesConfig = GatesConfig()
    """What the newest day of the data may be like."""
    guards: FraudGuardsConfig = FraudGuardsConfig()
    """What a new model and a night's scores may be like."""
    deadlines: DeadlinesConfig = DeadlinesConfig()
    """How long a job may take."""

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

    @property
    def models(self) -> Path:
        """Root of the published fraud models."""
        return self.output.directory / "fraud-models"

    @property
    def scores(self) -> Path:
        """Root of the published scores."""
        return self.output.directory / "fraud-scores"

    @property
    def alert_history(self) -> Path:
        """Folder of all alerts that were ever published."""
        return self.output.directory / "fraud-alerts"

    @property
    def account_vectors(self) -> Path:
        """Root of the published account vectors."""
        return self.output.directory / "account-vectors"


def load_fraud_config(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    data: Mapping[str, Path | None] | None = None,
) -> FraudJobConfig:
    """Read a config file; relative paths in it start at its folder, those of options do not.

    Args:
        path: A TOML file; None for nothing but defaults and options.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    return _rebased(*read_config(FraudJobConfig, path, overrides=overrides, data=data))


def _rebased(config: FraudJobConfig, folder: Path) -> FraudJobConfig:
    """Every relative path made absolute."""

    def at(path: Path) -> Path:
        return Path(os.path.normpath(folder / path))

    data = config.data
    labels = None if data.labels is None else at(data.labels)
    return replace(
        config,
        data=replace(data, transactions=at(data.transactions), labels=labels),
        output=replace(config.output, directory=at(config.output.directory)),
    )
