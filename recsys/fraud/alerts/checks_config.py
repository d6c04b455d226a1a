"""Settings of the output checks of the fraud scorer: new models, and a night's scores."""

from __future__ import annotations

from pydantic import Field

from recsys.config import config_class


@config_class
class ScoreChecksConfig:
    """Output checks of a night's scores and of a new model; beyond the limits: HELD."""

    enabled: bool = True
    """Whether models and scores are checked before they become live."""
    max_high_share: float = Field(default=0.05, gt=0, le=1)
    """Share of transactions with an anomaly score of 0.99 or more, beyond chance; up to three times
    the median of the nights before is allowed as well."""
    max_alert_share: float = Field(default=0.05, gt=0, le=1)
    """Share of accounts with an alert, with the same allowance."""
    canary_points: float = Field(default=0.05, ge=0, le=1)
    """Loss, beyond chance, in the share of planted takeovers that are found: a night is compared
    with the model's training, a new model with the first one and the live one."""
