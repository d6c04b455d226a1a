"""Cron expressions of five fields, as far as cron, systemd, Kubernetes and Dagster agree.

They disagree on days of the month combined with days of the week, on 7 for Sunday, on steps without
a range and on letters such as L; such expressions are refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast

from cronsim import CronSim, CronSimError

_ITEM = r"(?:(?:\*|\d{1,2}-\d{1,2}|[A-Z]{3}-[A-Z]{3})(?:/\d{1,2})?|\d{1,2}|[A-Z]{3})"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM})*")
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_START = datetime(2001, 1, 1, tzinfo=UTC)
CYCLE_DAYS = 28 * 365 + 7
"""Days after which dates fall on the same weekdays again, so that one cycle shows everything."""


@dataclass(frozen=True, kw_only=True)
class CronTimes:
    """The times of a cron text, in UTC."""

    text: str
    """The text, with one space between its fields."""
    minutes: tuple[int, ...]
    """Minutes of the hour, ascending."""
    hours: tuple[int, ...]
    """Hours of the day, ascending."""
    days: tuple[int, ...]
    """Days of the month, ascending."""
    months: tuple[int, ...]
    """Months of the year, ascending."""
    weekdays: tuple[int, ...]
    """Days of the week, ascending, Sunday being 0."""

    def minutes_of_day(self) -> tuple[int, ...]:
        """Minutes since midnight at which it is time, on a day that matches; ascending."""
        return tuple(
            60 * hour + minute for hour, minute in itertools.product(self.hours, self.minutes)
        )

    def matches(self, day: date) -> bool:
        """Whether there are times on a day."""
        is_day = day.day in self.days and day.month in self.months
        return is_day and day.isoweekday() % 7 in self.weekdays

    def days_of_cycle(self) -> frozenset[int]:
        """Numbers of the days with times among the `CYCLE_DAYS` from 2001-01-01 on."""
        first = _START.date()
        return frozenset(
            number for number in range(CYCLE_DAYS) if self.matches(first + timedelta(days=number))
        )

    def after(self, moment: datetime, count: int) -> list[datetime]:
        """The next times after a moment, without it."""
        return list(itertools.islice(CronSim(self.text, moment.astimezone(UTC)), count))

    def systemd_calendar(self) -> str:
        """The same times as `OnCalendar=` of systemd has them."""
        weekdays = [_WEEKDAYS[number] for number in self.weekdays]
        first = "" if len(weekdays) == len(_WEEKDAYS) else f"{','.join(weekdays)} "
        months, days = _listed(self.months, range(1, 13)), _listed(self.days, range(1, 32))
        hours, minutes = _listed(self.hours, range(24)), _listed(self.minutes, range(60))
        return f"{first}*-{months}-{days} {hours}:{minutes}:00 UTC"


def parse_cron(text: str) -> CronTimes:
    """Read a cron text.

    Raises:
        ValueError: It is not a cron expression, or schedulers would read it in different ways.

    Examples:
        >>> parse_cron("30 1 * * MON-FRI").systemd_calendar()
        'Mon,Tue,Wed,Thu,Fri *-*-* 01:30:00 UTC'
    """
    fields = text.upper().split()
    if len(fields) != 5 or not all(_FIELD.fullmatch(field) for field in fields):
        raise ValueError(_complaint(text))
    if re.search(r"(?<!/)\b7\b", fields[4]):
        raise ValueError(_complaint(text, "0 for Sunday, as Kubernetes knows no 7"))
    if fields[2] != "*" and fields[4] != "*":
        problem = "days of the month or of the week, as schedulers disagree on what both mean"
        raise ValueError(_complaint(text, problem))
    try:
        found = CronSim(" ".join(fields), _START)
        next(found)
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{_complaint(text)} ({str(error).lower() or 'no such day'})") from None
    return CronTimes(
        text=" ".join(text.split()),
        minutes=tuple(sorted(found.minutes)),
        hours=tuple(sorted(found.hours)),
        days=tuple(sorted(found.days)),
        months=tuple(sorted(found.months)),
        weekdays=tuple(sorted({number % 7 for number in cast("set[int]", found.weekdays)})),
    )


def _complaint(text: str, what: str = "five fields: minute hour day month weekday") -> str:
    return f"expected a cron text with {what}, got the string {text!r}; e.g. '30 1 * * *' for 01:30"


def _listed(values: Iterable[int], everything: range) -> str:
    chosen = list(values)
    if chosen == list(everything):
        return "*"
    return ",".join(f"{value:02}" for value in chosen)
