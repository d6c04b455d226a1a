"""Values, ranges and shares as they stand in reasons: short, and never rounded into an untruth."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

NO_VALUE = "no value"
"""What a null is called."""
MAX_TEXT = 60
"""Characters of a value that are told; the rest is three dots."""

_MAX_DECIMALS = 9


def value_text(value: object) -> str:
    """A value of a column.

    Examples:
        >>> value_text(None), value_text(3.0), value_text("chip")
        ('no value', '3', 'chip')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NO_VALUE
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def short_text(text: str) -> str:
    """A text cut to what fits into a line.

    Examples:
        >>> short_text("grocery"), len(short_text("long " * 2000))
        ('grocery', 60)
    """
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1].rstrip()}…"


def number_and_range(
    value: float, low: float, high: float, unit: str, *, decimals: int
) -> tuple[str, str] | None:
    """A number outside a range, both with as many decimals as tell them apart.

    The range is rounded outwards, so that what lies in it still does as it is told.

    Returns:
        The number and the range; None where no number of decimals will do.

    Examples:
        >>> number_and_range(95.0, 5.0, 80.0, "EUR", decimals=2)
        ('95.00 EUR', '5.00 to 80.00 EUR')
        >>> number_and_range(80.004, 5.0, 80.003, "", decimals=2)
        ('80.004', '5.000 to 80.003')
    """
    for places in range(decimals, _MAX_DECIMALS + 1):
        described = round(value, places)
        least, most = _rounded(low, places, ROUND_FLOOR), _rounded(high, places, ROUND_CEILING)
        if not least <= Decimal(repr(described)) <= most:
            ends = f"{least:,.{places}f} to {most:,.{places}f} {unit}".rstrip()
            return f"{described:,.{places}f} {unit}".rstrip(), ends
    return None


def _rounded(value: float, places: int, how: str) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), rounding=how)


def percent(share: float) -> str:
    """A share in percent.

    Examples:
        >>> percent(0.481), percent(0.034), percent(0.0001)
        ('48%', '3.4%', 'less than 0.1%')
    """
    if share < 0.001:
        return "less than 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
