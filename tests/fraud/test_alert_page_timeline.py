"""The time line of an alert: places follow times and amounts, numbers can be read."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import pytest
from alert_example import DAY, MIDNIGHT, transaction
from hypothesis import given
from hypothesis import strategies as st

from recsys.fraud.report.axes import amount_ticks, time_ticks
from recsys.fraud.report.content import AlertTransaction
from recsys.fraud.report.timeline import BOTTOM, LEFT, RIGHT, TOP, Timeline, timeline
from recsys.fraud.report.wording import odds, score

TIMES = st.datetimes(datetime(2015, 1, 1), datetime(2020, 7, 1, 23, 59)).map(  # noqa: DTZ001
    lambda time: time.replace(tzinfo=UTC)
)
AMOUNTS = st.floats(-1e6, 1e7, allow_nan=False)


@st.composite
def time_lines(draw: st.DrawFn) -> list[AlertTransaction]:
    """Transactions in order of time, some of them suspicious."""
    recent = TIMES | st.integers(0, 86_399).map(lambda s: MIDNIGHT + timedelta(seconds=s))
    rows = draw(st.lists(st.tuples(recent, AMOUNTS, st.booleans()), min_size=1, max_size=30))
    return [
        transaction(number, time, amount, suspicious=is_suspicious)
        for number, (time, amount, is_suspicious) in enumerate(sorted(rows))
    ]


def drawn(transactions: list[AlertTransaction]) -> Timeline:
    """Its drawing, numbered as the page numbers it."""
    suspicious = [one for one in transactions if one.is_suspicious]
    numbers = {one.transaction_id: str(row) for row, one in enumerate(suspicious, start=1)}
    return timeline(transactions, day=DAY, numbers=numbers)


@given(time_lines())
def test_places_follow_times(transactions: list[AlertTransaction]) -> None:
    """Every transaction has its mark within the plot, and a later one is never further left."""
    marks = drawn(transactions).marks
    assert len(marks) == len(transactions)
    assert all(LEFT <= mark.x <= RIGHT and TOP <= mark.y <= BOTTOM for mark in marks)
    places = [(mark.title.removeprefix(f"No. {mark.number}: ")[:19], mark.x) for mark in marks]
    for (time, x), (later, further) in pairwise(sorted(places)):
        assert x <= further or time == later


@given(st.lists(st.floats(0.01, 1e7), min_size=2, max_size=20))
def test_more_money_is_drawn_higher(amounts: list[float]) -> None:
    """The order of heights is that of the amounts, whatever their sign."""
    rows = [
        transaction(number, MIDNIGHT, -amount if number % 2 else amount)
        for number, amount in enumerate(sorted(amounts))
    ]
    heights = [mark.y for mark in drawn(rows).marks]
    assert heights == sorted(heights, reverse=True)


@given(time_lines())
def test_numbers_are_those_of_the_table_and_hide_nothing(
    transactions: list[AlertTransaction],
) -> None:
    """Suspicious marks carry 1, 2, 3 by time, on top of the others; numbers do not overlap."""
    drawing = drawn(transactions)
    kinds = [mark.kind for mark in drawing.marks]
    assert kinds == sorted(kinds)  # normal before suspicious
    numbers = [mark.number for mark in drawing.marks if mark.kind == "suspicious"]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    labels = [(mark.label, len(mark.number)) for mark in drawing.marks if mark.label]
    for ((x, y), width), ((a, b), other) in combinations(labels, 2):
        assert abs(x - a) >= 4 * (width + other) or abs(y - b) >= 11.8
    assert drawing.hides_numbers == (len(labels) < len(numbers))


def test_the_day_is_stretched_beside_its_history() -> None:
    """Hours of the day take as much room as months before; alone, the day takes all of it."""
    old = [transaction(row, MIDNIGHT - timedelta(days=90 - row), 20.0) for row in range(90)]
    new = [transaction(100, MIDNIGHT + timedelta(hours=6), 900.0, suspicious=True)]
    drawing = drawn([*old, *new])
    assert drawing.day_start is not None
    assert max(mark.x for mark in drawing.marks[:-1]) < drawing.day_start < drawing.marks[-1].x
    assert [tick.label for tick in drawing.times][-3:] == ["12:00", "18:00", "2 Jul"]
    assert drawn(new).day_start == LEFT
    assert drawn(old).day_start is None


def test_nearest_normal_transactions_are_told_apart() -> None:
    """A normal transaction that stands in the table is drawn as such; a suspicious one never."""
    rows = [transaction(row, MIDNIGHT, 20.0, suspicious=row == 2) for row in range(3)]
    near = frozenset({rows[1].transaction_id, rows[2].transaction_id})
    drawing = timeline(rows, day=DAY, numbers={rows[2].transaction_id: "1"}, near=near)
    assert [mark.kind for mark in drawing.marks] == ["normal", "near", "suspicious"]
    assert drawing.has_near


def test_times_without_zone_are_utc() -> None:
    """Zones change nothing about where a transaction is drawn, nor does the lack of one."""
    at = transaction(1, MIDNIGHT + timedelta(hours=5), 20.0)
    naive = replace(at, event_time=at.event_time.replace(tzinfo=None))
    assert drawn([at]) == drawn([naive])


@given(TIMES, st.floats(1e-3, 5000), st.integers(1, 10))
def test_time_ticks_are_round_and_few(start: datetime, days: float, most: int) -> None:
    """Ticks ascend within the range, are whole minutes, and no more than there is room for."""
    end = start + timedelta(days=days)
    ticks = time_ticks(start, end, most)
    times = [time for time, _ in ticks]
    assert times == sorted(set(times))
    assert all(start <= time <= end and time.second == time.microsecond == 0 for time in times)
    assert len(ticks) <= most + 1


@given(st.floats(0.01, 1e6), st.floats(1.5, 1e8))
def test_amount_ticks_are_few_and_true(low: float, ratio: float) -> None:
    """There are two to six ticks, ascending; names and range are right to three digits."""
    ticks = amount_ticks(low, low * ratio)
    values = [value for value, _ in ticks]
    assert 2 <= len(ticks) <= 6
    assert values == sorted(values)
    assert all(low * 0.99 <= value <= low * ratio * 1.01 for value in values)
    for value, name in ticks:
        assert float(name.replace(",", "")) == pytest.approx(value, rel=1e-5)


@given(st.floats(0, 1))
def test_only_a_score_of_one_is_shown_as_one(value: float) -> None:
    """A score below 1 is told from 1 up to nine digits, and is true to half its last digit."""
    text = score(value)
    assert float(text) == pytest.approx(value, abs=0.6 * 10.0 ** -len(text.partition(".")[2]))
    if value < 1 - 1e-9:
        assert float(text) < 1


@given(st.floats(1e-6, 1))
def test_odds_are_true_to_two_digits(probability: float) -> None:
    """The odds are the inverse of the probability; what is not known is a dash."""
    times = float(odds(probability).removeprefix("1 in ").replace(",", ""))
    assert times == pytest.approx(1 / probability, rel=0.06)
    assert odds(math.nan) == score(math.nan) == "\N{EN DASH}"
