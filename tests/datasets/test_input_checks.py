"""The newest day of a log: ordinary ones pass, broken ones are held, and the rule is named."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from daily_logs import (
    CLOSED_SUNDAYS,
    START,
    before,
    findings,
    held,
    last_day,
    of_day,
    regular_log,
    replaced,
    times,
    with_last_day,
)

from recsys.datasets.checks.input_checks import InputChecksConfig, raise_if_held
from recsys.errors import CheckError
from recsys.schema import ACCOUNT_ID, AMOUNT, CURRENCY

NUM_DAYS = 45
DAY = last_day(NUM_DAYS)


@functools.cache
def log(seed: int = 0) -> pa.Table:
    """A thousand rows a day."""
    return regular_log(1000, NUM_DAYS, seed=seed)


@pytest.mark.parametrize(("num_rows", "num_logs"), [(20, 10), (150, 10), (1000, 2)])
def test_ordinary_days_are_rarely_held(num_rows: int, num_logs: int) -> None:
    """Of days that are like all others, fewer than 2 % are held."""
    num_held = 0
    for seed in range(num_logs):
        table = regular_log(num_rows, 65, seed=seed)
        for number in range(35, 65):
            day = START + timedelta(days=number)
            recent = before(table, day + timedelta(days=1))
            num_held += bool(held(recent.slice(max(0, recent.num_rows - 36 * num_rows)), day))
    assert num_held < 0.02 * 30 * num_logs


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(8))
def test_days_of_another_size_are_held(share: float, seed: int) -> None:
    """Days of 0 rows, 1 row, 10 %, 50 % and 300 % of the usual are held, whatever the weekday."""
    day = DAY - timedelta(days=seed % 7)
    table = before(log(seed), day + timedelta(days=1))
    rows = of_day(table, day)
    wanted = int(share * rows.num_rows)
    rng = np.random.default_rng(seed)
    changed = with_last_day(table, day, rows.take(rng.integers(0, rows.num_rows, wanted)))

    found = held(changed, day, InputChecksConfig(max_duplicate_share=1))

    assert ("volume" if wanted else "freshness") in found


@dataclass(frozen=True, kw_only=True)
class Break:
    """Something done to the rows of a day, the rule that finds it and the column it names."""

    change: Callable[[pa.Table], pa.Table]
    rules: Mapping[str, str] = field(default_factory=dict)


def _some(rows: pa.Table, share: float) -> pa.Array:
    return pa.array(np.random.default_rng(0).random(rows.num_rows) < share)


BREAKS = {
    "ids written as floats": Break(
        change=lambda rows: replaced(
            rows, ACCOUNT_ID, pc.binary_join_element_wise(rows[ACCOUNT_ID], ".0", "")
        ),
        rules={"unseen": ACCOUNT_ID},
    ),
    "a quarter twice": Break(
        change=lambda rows: pa.concat_tables([rows, rows.filter(_some(rows, 0.25))]),
        rules={"duplicates": ""},
    ),
    "amounts in cents": Break(
        change=lambda rows: times(rows, 100, True), rules={"amount_shift": AMOUNT}
    ),
    "amounts in hundreds": Break(
        change=lambda rows: times(rows, 0.01, True), rules={"amount_shift": AMOUNT}
    ),
    "some euros in cents": Break(
        change=lambda rows: times(
            rows, 100, pc.and_(pc.equal(rows[CURRENCY], "EUR"), _some(rows, 0.05))
        ),
        rules={"amount_extremes": AMOUNT},
    ),
    "a new currency": Break(
        change=lambda rows: replaced(
            rows, CURRENCY, pc.if_else(_some(rows, 0.05), "XTS", rows[CURRENCY])
        ),
        rules={"unseen": CURRENCY},
    ),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("broken", BREAKS.values(), ids=list(BREAKS))
def test_broken_days_are_held(broken: Break, seed: int) -> None:
    """What export faults do to a day is held, and both rule and column are named."""
    changed = with_last_day(log(seed), DAY, broken.change(of_day(log(seed), DAY)))
    found = held(changed, DAY)

    assert broken.rules.items() <= found.items(), found
    with pytest.raises(CheckError, match=next(iter(broken.rules))) as caught:
        raise_if_held(findings(changed, DAY))
    details = caught.value.details()
    assert {"file", "column", "rule", "observed", "limit"} == set(details)
    assert details["file"] == "log.parquet"


def test_a_burst_of_one_account_is_no_wrong_unit() -> None:
    """A hundred tiny amounts of one account, as card testing makes them, do not hold a day."""
    rows = of_day(log(), DAY)
    burst = rows.take(pa.array(range(100)))
    burst = replaced(burst, ACCOUNT_ID, pa.array(["7"] * 100))
    burst = replaced(burst, AMOUNT, pa.array(np.linspace(0.5, 1, 100)))

    assert held(with_last_day(log(), DAY, pa.concat_tables([rows, burst])), DAY) == {}


def test_a_stale_log_is_held() -> None:
    """A log that ends before the day is held for its times, and after the setting it is not."""
    day = DAY + timedelta(days=2)
    assert held(log(), day) == {"freshness": "event_time"}
    assert held(log(), day, InputChecksConfig(max_stale_days=2)) == {}


def test_a_day_before_the_log_is_said_to_be_one() -> None:
    """A log that begins later is not said to have stopped."""
    found = findings(log(), date(2000, 1, 1))
    assert [one.rule for one in found] == ["freshness"]
    assert "got none up to it" in str(found[0].error)


def test_a_shop_closed_on_sundays_is_stale_on_other_days_only() -> None:
    """Sunday without rows passes, Monday with rows too; Monday or Tuesday without are held."""
    table = regular_log(1000, NUM_DAYS, seed=1, week=CLOSED_SUNDAYS)
    sunday = START + timedelta(days=41)
    monday, tuesday = sunday + timedelta(days=1), sunday + timedelta(days=2)

    assert sunday.isoweekday() == 7
    assert of_day(table, sunday).num_rows == 0
    for day in (sunday, monday, tuesday):
        assert held(before(table, day + timedelta(days=1)), day) == {}
    assert held(before(table, monday), monday) == {"freshness": "event_time"}
    assert held(before(table, tuesday), tuesday) == {"freshness": "event_time"}


def test_an_outage_does_not_open_the_gate() -> None:
    """After a day without rows and one of a tenth, a day of a tenth is held all the same."""
    outage, poor = DAY - timedelta(days=9), DAY - timedelta(days=8)
    table = pa.concat_tables(
        [before(log(), outage), of_day(log(), poor)[:100]]
        + [of_day(log(), DAY - timedelta(days=back)) for back in range(7, -1, -1)]
    )
    assert "volume" not in held(table, DAY)
    assert "volume" in held(with_last_day(table, DAY, of_day(table, DAY)[:100]), DAY)


@pytest.mark.parametrize("num_days", [1, 2, 10, 14])
def test_a_short_log_is_judged_by_freshness_alone(num_days: int) -> None:
    """Before two weeks of days are known, nothing else is said of the next one."""
    day = last_day(num_days)
    table = before(log(), day + timedelta(days=1))
    strange = with_last_day(table, day, BREAKS["ids written as floats"].change(of_day(table, day)))

    assert [one.rule for one in findings(strange, day)] == ["freshness"]
    assert held(strange, day) == {}
    assert held(strange, day + timedelta(days=1)) == {"freshness": "event_time"}


@pytest.mark.parametrize("back", [0, 3])
def test_later_rows_and_the_order_of_rows_do_not_matter(back: int) -> None:
    """A log that has gone on, and one whose rows are shuffled, give the same figures."""
    day = DAY - timedelta(days=back)
    until = before(log(), day + timedelta(days=1))
    shuffled = log().take(np.random.default_rng(2).permutation(log().num_rows))

    assert findings(shuffled, day) == findings(log(), day) == findings(until, day)
    assert len(findings(until, day)) == 11


def test_limits_are_those_of_the_config() -> None:
    """Every limit can be raised so far that the day passes."""
    rows = of_day(log(), DAY)
    for name, broken in BREAKS.items():
        rows = rows if name == "amounts in hundreds" else broken.change(rows)
    changed = with_last_day(log(), DAY, pa.concat_tables([rows, rows]))
    generous = InputChecksConfig(
        max_volume=9, max_duplicate_share=1, max_unseen_share=1, max_new_currency_share=1,
        max_amount_shift=1e9, max_amount_distance=1, max_amount_extremes=1,
    )  # fmt: skip

    assert len(held(changed, DAY)) >= 3
    assert held(changed, DAY, generous) == {}
