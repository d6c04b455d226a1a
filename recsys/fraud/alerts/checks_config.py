"""Settings of what may become live: new models, and the scores of a night."""

from __future__ import annotations

from pydantic import Field

from recsys.config import config_class


@config_class
class ScoreChecksConfig:
    """Limits of a night's scores and of a new model; beyond them: HELD."""

    enabled: bool = True
    """Whether models and scores are looked at before they become live."""
    max_high_share: float = Field(default=0.05, gt=0, le=1)
    """Share of transactions with an anomaly score of 0.99 or more, beyond chance; three times as
    many as in the median of the nights before may be, too."""
    max_alert_share: float = Field(default=0.05, gt=0, le=1)
    """Share of accounts with an alert; the same holds."""
    canary_points: float = Field(default=0.05, ge=0, le=1)
    """Loss, beyond chance, in the share of planted takeovers that are found: of a night beside the
    model's training, of a new model beside the first one and the live one."""
