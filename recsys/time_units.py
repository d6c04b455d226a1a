"""Units of time: seconds and microseconds in an hour and in a day."""

from __future__ import annotations

S_PER_DAY = 86_400
"""Seconds in a day."""
US_PER_S = 1_000_000
"""Microseconds in a second; times are whole microseconds in UTC."""
US_PER_HOUR = 3_600 * US_PER_S
"""Microseconds in an hour."""
US_PER_DAY = S_PER_DAY * US_PER_S
"""Microseconds in a day."""
