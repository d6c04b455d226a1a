"""Settings of the check for drift."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from recsys.config import config_class


@config_class
class DriftConfig:
    """Which days `recsys check-drift` compares, and how large a difference is called drift."""

    window_days: int = Field(default=7, ge=1, le=36_525)
    """Days up to the day of the check that are judged; whole weeks leave no weekday out."""
    reference_days: int = Field(default=28, ge=1, le=36_525)
    """Days before them that they are compared with."""
    moderate: float = Field(default=0.1, gt=0)
    """Stability index above which drift is moderate, if it also exceeds chance and earlier
    weeks."""
    major: float = Field(default=0.25, gt=0)
    """The same for major drift."""
    fail_on: Literal["never", "major"] = "never"
    """Whether major drift ends the job with an exit code of its own, after it was published."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns to compare, by the names in `drift.json`; all when not set."""

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.reference_days < self.window_days:
            raise ValueError(
                f"expected reference_days of at least the {self.window_days} window_days, "
                f"got {self.reference_days}; raise it"
            )
        if self.major < self.moderate:
            raise ValueError(
                f"expected major of at least moderate, {self.moderate:g}, got {self.major:g}; "
                "raise it"
            )
        return self
