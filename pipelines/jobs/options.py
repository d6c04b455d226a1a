"""Options that several commands share; a wrong value is reported in one line like other errors."""

from __future__ import annotations

from datetime import date

from recsys.errors import ConfigError

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9998, 12, 31)
"""Days that a run can stand for: the day before and after them are valid dates too."""


def parse_day(text: str) -> date:
    """A day as YYYY-MM-DD.

    Raises:
        ConfigError: There is no such day, or it is written in another way.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not FIRST_DAY <= day <= LAST_DAY:
        raise ConfigError(
            f"expected a day of the calendar as YYYY-MM-DD, from {FIRST_DAY} to {LAST_DAY}, got "
            f"{text[:40]!r}; correct --as-of or the option that has it"
        )
    return day
