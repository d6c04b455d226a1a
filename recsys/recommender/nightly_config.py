"""Settings of what may become live: models beside the live one, lists beside those before."""

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
    """NDCG that a new model may lose to the live one, as a share of the live one's; more is held
    where it is more than chance, so that the 95 % interval of the difference lies below 0."""
    slice_margin: float = Field(default=0.1, ge=0, lt=1)
    """The same within a segment of users, where the whole interval must lie below to refuse."""
    min_slice_users: int = Field(default=100, ge=2)
    """Users with test items that a segment needs to be looked at."""
    max_gain: float = Field(default=0.5, gt=0)
    """Gain, as a share, over the best of the live model and the baselines that is too good to be
    true: a leak."""
    canary_margin: float = Field(default=0.2, ge=0, lt=1)
    """NDCG on a frozen sample of users that may be lost, as a share of the median of the models
    that became live since the sample was drawn."""
    canary_days: int = Field(default=30, ge=1)
    """Days of the data after which a new sample is drawn: tastes move, and models with them."""
    baselines: Literal["ahead", "not_behind", "ignored"] = "not_behind"
    """What popularity and item-item cosine decide: a new model must be ahead of each of them, or
    must not be behind by more than chance (95 % interval of the difference)."""


@config_class
class GuardsConfig:
    """Limits of how a night's lists may differ from those before; beyond them: HELD.

    On the first night after a change of settings or rules those of coverage and short lists are
    twice as wide, that of exposure four times, and that of overlap does not count.
    """

    enabled: bool = True
    """Whether lists are compared with those that are live."""
    min_users: float = Field(default=0.7, ge=0, le=1)
    """Users with a list, as a share of those of the live lists."""
    min_coverage: float = Field(default=0.6, ge=0, le=1)
    """Distinct items in all lists, as a share of those in the live lists."""
    min_overlap: float = Field(default=0.1, ge=0, le=1)
    """Mean share of a user's live list that stands in the new one, beyond chance: lists of 20 of 60
    items have a third in common anyway."""
    max_exposure: float = Field(default=0.2, gt=0, le=1)
    """Share of all lists that an item may gain from one night to the next."""
    max_short_share: float = Field(default=0.1, ge=0, le=1)
    """Share of users by which lists that are too short may increase."""
    max_empty_share: float = Field(default=0.5, ge=0, le=1)
    """Share of users who may get no item at all, on the first night too. An output without a single
    row is held in any case."""
