"""Round places on axes: times of a calendar, amounts on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 5, 10, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160)
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that weeks start there
_MAX_AMOUNTS = 6
_MONTH_NAMES = "JanFebMarAprMayJunJulAugSepOctNovDec"  # the same in any locale


def time_ticks(start: datetime, end: datetime, max_ticks: int) -> tuple[tuple[datetime, str], ...]:
    """Round times from start to end with their names, as many as there is room for.

    Args:
        start: First time, with zone.
        end: Last time, with zone.
        max_ticks: At most about so many, one at least.
    """
    span = end - start
    for step in _STEPS:
        if span <= max_ticks * step:
            first = math.ceil((start - _EPOCH) / step)
            last = math.floor((end - _EPOCH) / step)
            times = [_EPOCH + number * step for number in range(first, last + 1)]
            return tuple((time, _name(time)) for time in times)
    months = next((one for one in _MONTHS if span.days <= 31 * one * max_ticks), _MONTHS[-1])
    return tuple(
        (time, f"{_month(time)} {time.year}") for time in _month_starts(start, end, months)
    )


def amount_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Round amounts from low to high with their names: powers of ten, and 2 and 5 if few.

    Args:
        low: Least amount, above 0.
        high: Largest amount, above `low`.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(tens) < 3:
        fine = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        tens = [value for value in fine if low <= value <= high]
    if len(tens) < 2:  # a narrow range between round values
        tens = [float(f"{value:.3g}") for value in (low * (high / low) ** 0.2, high)]
    step = math.ceil(len(tens) / _MAX_AMOUNTS)
    return tuple((value, f"{value:,.6g}") for value in tens[::step])


def _name(time: datetime) -> str:
    """The hour, or at midnight the day."""
    at_midnight = time.hour == time.minute == 0
    return f"{time.day} {_month(time)}" if at_midnight else f"{time:%H:%M}"


def _month(time: datetime) -> str:
    return _MONTH_NAMES[3 * time.month - 3 : 3 * time.month]


def _month_starts(start: datetime, end: datetime, step: int) -> Iterator[datetime]:
    """The first of every `step`-th month, counted from January."""
    first = 12 * start.year + start.month - 1
    last = 12 * end.year + end.month - 1
    for number in range(-(-first // step) * step, last + 1, step):
        time = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        if start <= time <= end:
            yield time
