"""The time line of an account as places in a drawing: time to the right, log amount upwards.

The day of the alerts gets a part of its own that is stretched, since what is suspicious mostly
happens within hours and the history spans months.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from recsys.fraud.report.axes import amount_ticks, time_ticks
from recsys.fraud.report.content import AlertTransaction
from recsys.fraud.report.wording import counted, in_utc, instant, money, score

WIDTH, HEIGHT = 960.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 946.0, 26.0, 202.0
"""Edges of the plot within the drawing."""

_DAY_PART = 0.42
_TICK_WIDTH = 84.0
_LEAST_AMOUNT = 0.01
_PAD = 10.0
_MARK = 6.5
_DIGIT = 4.0
_BASELINE = 4.5


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A round value on an axis."""

    position: float
    """Its place across the drawing, or down it."""
    label: str
    """Its name."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A transaction in the drawing."""

    x: float
    """Place across."""
    y: float
    """Place down."""
    kind: Literal["normal", "near", "suspicious"]
    """What it is; near ones are normal and stand in the table beside the suspicious ones."""
    title: str
    """What it is in words."""
    number: str = ""
    """Its number in the tables, of a suspicious one."""
    label: tuple[float, float] | None = None
    """Where its number is written; None where it would hide another."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A drawing of a time line."""

    alt: str
    """What it shows, for readers who cannot see it."""
    unit: str
    """Unit of the amounts."""
    marks: tuple[Mark, ...]
    """The transactions, suspicious ones last so that nothing hides them."""
    times: tuple[Tick, ...]
    """The axis of times."""
    amounts: tuple[Tick, ...]
    """The axis of amounts."""
    day_start: float | None
    """Where the day begins; None where nothing happened on it."""

    @property
    def has_near(self) -> bool:
        """Whether near transactions are drawn."""
        return any(mark.kind == "near" for mark in self.marks)

    @property
    def hides_numbers(self) -> bool:
        """Whether a number had no room."""
        return any(mark.kind == "suspicious" and mark.label is None for mark in self.marks)


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """A stretch of time on a stretch of the drawing."""

    start: datetime
    end: datetime
    left: float
    right: float
    is_day: bool

    def place(self, when: datetime) -> float:
        part = (when - self.start) / (self.end - self.start)
        room = self.right - self.left - 2 * _PAD
        return round(self.left + _PAD + part * room, 1)

    def ticks(self) -> list[Tick]:
        most = max(1, int((self.right - self.left) / _TICK_WIDTH))
        named = time_ticks(self.start, self.end, most)
        return [Tick(position=self.place(when), label=label) for when, label in named]


def timeline(
    transactions: Sequence[AlertTransaction],
    *,
    day: date,
    numbers: Mapping[str, str],
    near: frozenset[str] = frozenset(),
) -> Timeline:
    """Lay out a time line.

    Args:
        transactions: What to draw, one at least.
        day: The day that is stretched.
        numbers: Numbers of the suspicious transactions by their id.
        near: Ids of the normal transactions that stand in a table beside them.
    """
    panels = _panels([in_utc(one.event_time) for one in transactions], day)
    sizes = [max(abs(one.amount), _LEAST_AMOUNT) for one in transactions]
    low, high = _padded(min(sizes), max(sizes))
    marks = []
    for one, size in zip(transactions, sizes, strict=True):
        when, number = in_utc(one.event_time), numbers.get(one.transaction_id, "")
        panel = next((panel for panel in panels if when < panel.end), panels[-1])
        marks.append(
            Mark(
                x=panel.place(when),
                y=_height(size, low, high),
                kind=_kind(one, near),
                title=_title(one, number),
                number=number,
            )
        )
    marks.sort(key=lambda mark: mark.kind == "suspicious")
    currencies = {one.currency for one in transactions}
    return Timeline(
        alt=_alt(transactions),
        unit=currencies.pop() if len(currencies) == 1 else "several currencies",
        marks=tuple(_labelled(marks)),
        times=_times(panels),
        amounts=tuple(
            Tick(position=_height(value, low, high), label=label)
            for value, label in amount_ticks(low, high)
        ),
        day_start=panels[-1].left if panels[-1].is_day else None,
    )


def _panels(times: Sequence[datetime], day: date) -> tuple[_Panel, ...]:
    """One scale, or two where the day has a history before it."""
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    first, last = min(times), max(times)
    if first >= midnight:
        end = max(last, midnight + timedelta(days=1))
        return (_Panel(start=midnight, end=end, left=LEFT, right=RIGHT, is_day=True),)
    if last < midnight:
        end = max(last, first + timedelta(hours=1))
        return (_Panel(start=first, end=end, left=LEFT, right=RIGHT, is_day=False),)
    border = RIGHT - _DAY_PART * (RIGHT - LEFT)
    end = max(last, midnight + timedelta(days=1))
    return (
        _Panel(start=first, end=midnight, left=LEFT, right=border, is_day=False),
        _Panel(start=midnight, end=end, left=border, right=RIGHT, is_day=True),
    )


def _times(panels: Sequence[_Panel]) -> tuple[Tick, ...]:
    """Ticks of all parts; one that would overlap the first of the next part is left out."""
    last = panels[-1]
    early = [tick for panel in panels[:-1] for tick in panel.ticks()]
    kept = [tick for tick in early if tick.position < last.left - _TICK_WIDTH / 2]
    return (*kept, *last.ticks())


def _height(amount: float, low: float, high: float) -> float:
    part = math.log(amount / low) / math.log(high / low)
    return round(BOTTOM - part * (BOTTOM - TOP), 1)


def _padded(low: float, high: float) -> tuple[float, float]:
    """A range of amounts with room for marks below and for numbers above."""
    span = max(high / low, 2.0)
    return low / span**0.08, high * span**0.16


def _kind(
    transaction: AlertTransaction, near: frozenset[str]
) -> Literal["normal", "near", "suspicious"]:
    if transaction.is_suspicious:
        return "suspicious"
    return "near" if transaction.transaction_id in near else "normal"


def _title(one: AlertTransaction, number: str) -> str:
    place = f", {one.counterparty}" if one.counterparty else ""
    name = f"No. {number}: " if number else ""
    amount = money(one.amount, one.currency)
    scored = f", score {score(one.anomaly_score)}" if not math.isnan(one.anomaly_score) else ""
    return f"{name}{instant(one.event_time)}, {amount}{place}{scored}"


def _labelled(marks: Sequence[Mark]) -> list[Mark]:
    """The marks with places for their numbers that hide no number, suspicious mark or axis."""
    taken = [(mark.x, mark.y + _BASELINE, _MARK) for mark in marks if mark.number]
    result = []
    for mark in marks:
        free = next((place for place in _label_places(mark) if _is_free(place, taken)), None)
        if free is None:
            result.append(mark)
            continue
        taken.append(free)
        result.append(replace(mark, label=(round(free[0], 1), round(free[1], 1))))
    return result


def _label_places(mark: Mark) -> list[tuple[float, float, float]]:
    """Middle, baseline and half the width of a number above, below, right and left of its mark."""
    if not mark.number:
        return []
    half = _DIGIT * len(mark.number)
    aside = half + _MARK + 2
    places = ((0.0, -10.0), (0.0, 19.0), (aside, _BASELINE), (-aside, _BASELINE))
    return [(mark.x + x, mark.y + y, half) for x, y in places]


def _is_free(
    place: tuple[float, float, float], taken: Sequence[tuple[float, float, float]]
) -> bool:
    x, y, half = place
    if not (x - half >= LEFT and x + half <= RIGHT + _PAD and y <= BOTTOM + 4):
        return False
    return all(abs(x - a) >= half + width + 1 or abs(y - b) >= 12 for a, b, width in taken)


def _alt(transactions: Sequence[AlertTransaction]) -> str:
    """What the drawing shows, in a sentence or two."""
    first, last = (instant(transactions[place].event_time) for place in (0, -1))
    suspicious = [one for one in transactions if one.is_suspicious]
    normal = [one for one in transactions if not one.is_suspicious]
    parts = [
        f"{name} from {min(group):,.2f} to {max(group):,.2f}"
        for name, group in (
            (counted(len(suspicious), "suspicious amount"), [one.amount for one in suspicious]),
            (counted(len(normal), "normal amount"), [one.amount for one in normal]),
        )
        if group
    ]
    number = counted(len(transactions), "transaction")
    return f"Amounts of {number} by time, {first} to {last} UTC: {'; '.join(parts)}."
