"""How numbers and times are shown."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NOTHING = "\N{EN DASH}"
"""Stands for a value that is not known."""


def fraction(value: float) -> str:
    """Four decimals.

    Examples:
        >>> fraction(0.12345)
        '0.1235'
    """
    return NOTHING if math.isnan(value) else f"{value:.4f}"


def decimal(value: float) -> str:
    """Two decimals."""
    return NOTHING if math.isnan(value) else f"{value:,.2f}"


def percent(value: float) -> str:
    """A share of 1 in percent."""
    return NOTHING if math.isnan(value) else f"{value:.1%}"


def signed_percent(value: float) -> str:
    """A relative change in percent, always with its sign."""
    return NOTHING if math.isnan(value) else f"{value:+.1%}"


def signed(value: float) -> str:
    """Four decimals, always with a sign."""
    return NOTHING if math.isnan(value) else f"{value:+.4f}"


def count(value: float) -> str:
    """A whole number with a thousands separator."""
    return NOTHING if math.isnan(value) else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """A time span to about three digits.

    Examples:
        >>> duration(0.004), duration(0.25), duration(59.96), duration(83), duration(7384)
        ('4.0 ms', '0.25 s', '1 min 00 s', '1 min 23 s', '2 h 03 min')
    """
    if seconds < 0.095:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def megabytes(value: float) -> str:
    """Megabytes (10^6 bytes), or gigabytes from a thousand of them."""
    return f"{value / 1000:.2f} GB" if value >= 1000 else f"{value:.1f} MB"


def moment(time: datetime) -> str:
    """A time in UTC, to the minute; a time without zone is taken as UTC."""
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{zoned.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
