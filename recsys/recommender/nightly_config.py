"""Settings of promotion and output checks: when new models and lists may become live."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsys.config import config_class


@config_class
class PromotionConfig:
    """When a new model becomes live; otherwise it is stored, and the job ends as HELD."""

    enabled: bool = True
    """Whether new models are compared before they become live."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """NDCG that a new model may lose to the live one, as a share of the live one's. It is held
    where more is lost for certain: the whole 95 % interval of the difference lies beyond."""
    slice_margin: float = Field(default=0.1, ge=0, lt=1)
    """The same within a segment of users."""
    min_slice_users: int = Field(default=100, ge=2)
    """Least number of users with test items of a segment that is compared."""
    max_gain: float = Field(default=0.5, gt=0)
    """Largest credible gain, as a share, over the best of the live model and the baselines: a
    larger one suggests a leak."""
    canary_margin: float = Field(default=0.2, ge=0, lt=1)
    """NDCG that may be lost on a frozen sample of users, as a share of the median of the models
    that became live since the sample was drawn."""
    canary_days: int = Field(default=30, ge=1, le=36_525)
    """Days of the data after which a new sample is drawn: tastes move, and models with them."""
    baselines: Literal["ahead", "not_behind", "ignored"] = "not_behind"
    """Comparison with popularity and item-item cosine: `ahead` requires a new model to beat each of
    them, the default only that it is not worse by more than chance (95 % interval of the
    difference), or that the live model is as far behind. While no model is live, a baseline that
    the new model is behind of becomes live in its place."""


@config_class
class ListChecksConfig:
    """Output checks of lists: how far a night's lists may differ from those before; otherwise HELD.

    On the first night after a change of settings or rules the limits of coverage and short lists
    are twice as wide, that of exposure four times, and overlap is not checked.
    """

    enabled: bool = True
    """Whether lists are compared with those that are live."""
    min_users: float = Field(default=0.7, ge=0, le=1)
    """Users with a list, as a share of those of the live lists."""
    min_coverage: float = Field(default=0.6, ge=0, le=1)
    """Distinct items in all lists, as a share of those in the live lists."""
    min_overlap: float = Field(default=0.1, ge=0, le=1)
    """Mean share of a user's live list that is also in the new one, beyond chance: random lists of
    20 of 60 items have a third in common."""
    max_exposure: float = Field(default=0.2, gt=0, le=1)
    """Share of all lists that an item may newly enter from one night to the next; after a
    retraining half as much again as it was measured to shift, where that is more."""
    max_short_share: float = Field(default=0.1, ge=0, le=1)
    """Largest increase of the share of users whose list is too short."""
    max_empty_share: float = Field(default=0.5, ge=0, le=1)
    """Share of users who may get no item at all, also on the first night. An output without a
    single row is always held."""
