"""Output checks: whether a night's scores are like those of the nights before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float64Array
from recsys.errors import CheckError
from recsys.fraud.alerts.canary import FALSE_SHARE, HIGH_SCORE, CanaryRecall
from recsys.fraud.alerts.checks_config import ScoreChecksConfig

_MIN_ROWS, _FACTOR = 100, 3.0
_REMEDY = "look at the model and the data of the night, or change [output_checks]"


@dataclass(frozen=True, kw_only=True)
class NightFigures:
    """Figures of a night's scores.

    Args:
        high_share: Share of transactions with a high anomaly score.
        alert_share: Share of accounts with an alert.
    """

    high_share: float
    alert_share: float


def check_night(
    scores_N: Float64Array,
    night: NightFigures,
    before: Sequence[NightFigures],
    config: ScoreChecksConfig,
    *,
    place: str,
) -> Iterator[CheckError]:
    """Reasons why a night's scores must not become live, without those of the canary.

    Args:
        scores_N: Anomaly scores of the night's transactions. Shape (N,).
        night: Its figures.
        before: Figures of earlier nights.
        config: Limits.
        place: Where the scores are, for the message.
    """
    if len(scores_N) >= _MIN_ROWS and len(np.unique(scores_N)) < _MIN_ROWS // 10:
        yield CheckError(
            rule="score spread", place=place,
            observed=f"{len(np.unique(scores_N))} different scores of {len(scores_N):,}",
            limit=f"at least {_MIN_ROWS // 10}", remedy=_REMEDY,
        )  # fmt: skip
    for rule, what, limit in (
        ("high_share", f"transactions scored {HIGH_SCORE:g} or more", config.max_high_share),
        ("alert_share", "accounts with an alert", config.max_alert_share),
    ):
        observed = getattr(night, rule)
        earlier = [getattr(one, rule) for one in before]
        high = min(max(limit, _FACTOR * float(np.median(earlier))) if earlier else limit, 1.0)
        # An allowance for chance in a small night.
        high += 3 * math.sqrt(high * (1 - high) / max(len(scores_N), 1))
        if observed > high and len(scores_N) >= _MIN_ROWS:
            yield CheckError(
                rule=rule, place=place, observed=f"{observed:.1%} of {what}",
                limit=f"at most {high:.1%}", remedy=_REMEDY,
            )  # fmt: skip


def check_canary(
    now: CanaryRecall, before: float, config: ScoreChecksConfig, *, place: str
) -> Iterator[CheckError]:
    """Reasons to hold what finds clearly fewer planted takeovers than before, or only by chance."""
    if now.is_blind:
        yield CheckError(
            rule="canary", place=place,
            observed=f"{now.share:.1%} of planted takeovers found",
            limit=f"clearly more than the {FALSE_SHARE:.0%} that chance finds", remedy=_REMEDY,
        )  # fmt: skip
    elif now.fell_from(before, points=config.canary_points):
        yield CheckError(
            rule="canary", place=place,
            observed=f"{now.share:.1%} of {now.planted:,} planted takeovers found",
            limit=f"about the {before:.1%} found before, {config.canary_points:.0%} less at most",
            remedy=_REMEDY,
        )  # fmt: skip
