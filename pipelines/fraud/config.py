"""The settings of the fraud jobs: one TOML file, one section a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from pipelines.jobs.job_run import DeadlinesConfig
from pipelines.jobs.settings import OutputConfig, read_config
from recsys.config import config_class
from recsys.datasets.checks.input_checks import InputChecksConfig
from recsys.datasets.transactions.config import (
    TransactionColumnsConfig,
    TransactionFeatures,
    TransactionsDataConfig,
)
from recsys.datasets.transactions.quarantine_report import QuarantineConfig
from recsys.drift.config import DriftConfig
from recsys.fraud.alerts.checks_config import ScoreChecksConfig
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
    """The state of each account, and what it is compared with."""
    scoring: ScoringConfig = ScoringConfig()
    """How evidence becomes a score."""
    labels: LabelsConfig = LabelsConfig()
    """How confirmed labels are used, where there are any."""
    alerts: AlertConfig = AlertConfig()
    """Which accounts are flagged."""
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    """Seed of everything random."""
    tracking: TrackingConfig = TrackingConfig()
    """Where runs are tracked."""
    output: OutputConfig = OutputConfig()
    """Where outputs go."""
    drift: DriftConfig = DriftConfig()
    """What `recsys check-drift` compares, and when it calls a difference drift."""
    input_checks: InputChecksConfig = Field(
        default=InputChecksConfig(), validation_alias="gates", serialization_alias="gates"
    )
    """How far the newest day of the data may differ from the days before it."""
    output_checks: ScoreChecksConfig = Field(
        default=ScoreChecksConfig(), validation_alias="guards", serialization_alias="guards"
    )
    """How far a new model and a night's scores may differ from those before."""
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
        path: A TOML file; None for defaults and options alone.
        overrides: Options `--set section.key=value`.
        data: Paths of tables given as options, by name; None where not given.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    return read_config(FraudJobConfig, path, overrides=overrides, data=data)
