"""Input checks: whether the newest day of a log is like the days before it.

Each rule has a limit from the config, which is widened if earlier days of the log went further: a
shop that is closed on Sundays is not stale on Mondays. Limits allow for the chance variation of
small counts. Of a log shorter than two weeks only the freshness is checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
from pydantic import Field

from recsys.arrays import Float64Array, Int64Array
from recsys.config import config_class
from recsys.datasets.checks.daily import (
    DailyFigure,
    currency_groups,
    daily_share,
    day_counts,
    day_numbers,
    distance,
    first_of_each,
    first_seen,
    repeated,
    share_outside,
    shift,
    stale_days,
    volume,
)
from recsys.datasets.origin import Origin
from recsys.errors import CheckError
from recsys.schema import AMOUNT, CURRENCY, EVENT_TIME

_MIN_DAYS, _MIN_ROWS, _MARGIN = 7, 100, 1.25
_MIN_HISTORY = 14
_MAX_AMOUNTS = 3  # amounts amounts of an account's day: one fraud must not look like a wrong unit
_SETTLING_DAYS = 7  # at the start of a log almost every id is new
_CHANCE = 4.0  # standard deviations allowed for chance
_CHANCE_OF_DISTANCE = 2.1  # of the Kolmogorov distribution: 3 days in 10,000 go further
_EPOCH = date(1970, 1, 1)


@config_class
class InputChecksConfig:
    """Limits of the newest day, for runs with `--as-of`; beyond them the run is HELD."""

    enabled: bool = True
    """Whether the newest day is checked."""
    reference_days: int = Field(default=28, ge=7, le=36_525)
    """Days before it that it is compared with."""
    max_stale_days: int = Field(default=0, ge=0)
    """Days without any event up to the day of the run, which counts."""
    min_volume: float = Field(default=0.6, ge=0, le=1)
    """Least rows of the day, as a share of the number expected from the days before."""
    max_volume: float = Field(default=2.5, ge=1)
    """Most rows of the day, as a multiple of that."""
    max_duplicate_share: float = Field(default=0.05, ge=0, le=1)
    """Share of the day's rows that may repeat an earlier row in every column."""
    max_unseen_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the day's rows that may have an id or term that no earlier day has."""
    max_new_currency_share: float = Field(default=0.01, ge=0, le=1)
    """Share of the day's rows that may be in a currency that no earlier day has."""
    max_amount_shift: float = Field(default=3.0, ge=1)
    """Factor by which the day's median amount may differ from that of the days before."""
    max_amount_distance: float = Field(default=0.04, ge=0, le=1)
    """Kolmogorov-Smirnov distance that the day's amounts may have from those of the days before."""
    max_amount_extremes: float = Field(default=0.02, ge=0, le=1)
    """Share of the day's amounts that may lie outside the central 99.8 % of those before."""
    lookback_days: int = Field(default=3, ge=0, le=36_525)
    """Days before the day of a run whose late transactions `score-accounts` still learns."""
    max_late_share: float = Field(default=0.05, ge=0)
    """Transactions that came too late to be learnt, as a share of those of the day."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule found.

    Args:
        rule: Its name; with a column, such as `unseen`, the column's standard name follows.
        observed: The figure of the day.
        low: Least that passes.
        high: Most that passes.
        error: The error if the figure fails; None if it passes or cannot be checked.
    """

    rule: str
    observed: float
    low: float
    high: float
    error: CheckError | None = None


Naming = Callable[[str], Origin]
"""Gives the origin of a column by its standard name, and of the table for an empty name."""


def check_newest_day(
    table: pa.Table,
    day: date,
    config: InputChecksConfig,
    *,
    terms: list[str],
    origin: Naming,
    exported: pa.Table | None = None,
) -> list[Finding]:
    """Compare a day of a log with the days before it.

    Args:
        table: Usable rows, with event_time; later days are ignored.
        day: The day that the run stands for.
        config: Limits.
        terms: Columns of ids and terms, of which new ones are counted; first that of who acts.
        origin: Where a column came from.
        exported: The rows as they came, where repeated ones are not in `table` any more.

    Returns:
        A finding for each rule that could be checked.
    """
    days_N, number = day_numbers(table), (day - _EPOCH).days
    counts_T = day_counts(days_N, number)
    found = [_staleness(counts_T, config, origin)]
    num_before = len(counts_T) - 1
    if not counts_T[-1] or num_before < _MIN_HISTORY:
        return found
    found += _volume(counts_T, config, origin)
    found += _duplicates(table if exported is None else exported, number, config, origin)
    num_days = min(config.reference_days, num_before - _SETTLING_DAYS)
    for name in terms:
        marked = first_seen(table[name], days_N)
        figure = daily_share(marked, days_N, number, num_days=num_days)
        found += _share("unseen", name, figure, config, origin)
    if AMOUNT in table.column_names:
        near_N = (days_N <= number) & (days_N >= number - config.reference_days)
        near_N[near_N] = first_of_each(table.filter(pa.array(near_N)), terms[0], most=_MAX_AMOUNTS)
        found += _amounts(table.filter(pa.array(near_N)), days_N[near_N], number, config, origin)
    return found


def raise_if_held(findings: list[Finding]) -> None:
    """Raise the first refusal, if there is one."""
    for finding in findings:
        if finding.error is not None:
            raise finding.error


def _staleness(counts_T: Int64Array, config: InputChecksConfig, origin: Naming) -> Finding:
    stale, usual = stale_days(counts_T, num_days=config.reference_days)
    limit = max(config.max_stale_days, usual)
    error = None
    if stale > limit:
        got = (
            f"{stale} days without any at the end of the log" if counts_T.any() else "none up to it"
        )
        error = _refusal(
            "freshness", origin(EVENT_TIME), got,
            f"events on the day of the run, or at most {limit} days before it",
            "wait for the export, run for the day that it has, or raise [input_checks] "
            "max_stale_days",
        )  # fmt: skip
    return Finding(rule="freshness", observed=float(stale), low=0, high=float(limit), error=error)


def _volume(counts_T: Int64Array, config: InputChecksConfig, origin: Naming) -> Iterator[Finding]:
    figure, expected = volume(counts_T, num_days=config.reference_days)
    if len(figure.before) < _MIN_DAYS or math.isnan(figure.observed):
        return
    # The chance variation of such counts (Poisson), and the range of the days before without the
    # most extreme one: otherwise one outage would let later ones pass.
    chance = _CHANCE / math.sqrt(max(expected, 1))
    before = np.sort(figure.before)
    low = min(math.log(config.min_volume or 1e-9), _MARGIN * float(before[1]))
    low = min(low, math.log(max(1 - chance, 1e-9)))
    high = max(math.log(config.max_volume), _MARGIN * float(before[-2]))
    high = max(high, math.log(1 + chance))
    error = None
    if not low <= figure.observed <= high:
        error = _refusal(
            "volume", origin(""),
            f"{counts_T[-1]:,} rows, {math.exp(figure.observed):.0%} of the usual {expected:,.0f}",
            f"{math.exp(low):.0%} to {math.exp(high):.0%} of the usual number of rows of a day",
            "check the export, or " + ("raise [input_checks] max" if figure.observed > high else
            "lower [input_checks] min") + "_volume",
        )  # fmt: skip
    yield Finding(
        rule="volume", observed=math.exp(figure.observed), low=math.exp(low), high=math.exp(high),
        error=error,
    )  # fmt: skip


def _duplicates(
    table: pa.Table, day: int, config: InputChecksConfig, origin: Naming
) -> Iterator[Finding]:
    days_N = day_numbers(table)
    near_N = (days_N <= day) & (days_N >= day - config.reference_days)
    recent, days_N = table.filter(pa.array(near_N)), days_N[near_N]
    figure = daily_share(repeated(recent), days_N, day, num_days=config.reference_days)
    yield from _share("duplicates", "", figure, config, origin)


def _share(
    rule: str, column: str, figure: DailyFigure, config: InputChecksConfig, origin: Naming
) -> Iterator[Finding]:
    """A share of the day's rows with an upper limit."""
    if len(figure.before) < _MIN_DAYS or math.isnan(figure.observed):
        return
    setting, what = "max_unseen_share", "have a term that is new that day"
    if rule == "duplicates":
        setting, what = "max_duplicate_share", "repeat an earlier one"
    elif column == CURRENCY:
        setting = "max_new_currency_share"
    # Above the shares of the days before, but never so high that nothing could exceed it.
    most = float(figure.before.max())
    high = max(getattr(config, setting), min(_MARGIN * most, (1 + most) / 2))
    high = min(high + _CHANCE * math.sqrt(high * (1 - high) / figure.num_rows), 1.0)
    error = None
    if figure.observed > high:
        error = _refusal(
            rule, origin(column), f"{figure.observed:.1%}",
            f"at most {high:.1%} of the day's rows that {what}",
            f"check the export and how ids are written, or raise [input_checks] {setting}",
        )  # fmt: skip
    name = f"{rule}.{column}" if column else rule
    yield Finding(rule=name, observed=figure.observed, low=0.0, high=high, error=error)


def _amounts(
    recent: pa.Table, days_N: Int64Array, day: int, config: InputChecksConfig, origin: Naming
) -> Iterator[Finding]:
    """The day's amounts against those of the days before, by currency."""
    amounts_N = np.log(np.maximum(np.abs(recent[AMOUNT].to_numpy()), 1e-9))
    groups = {"": np.ones(len(days_N), dtype=np.bool_)}
    if CURRENCY in recent.column_names:
        groups = currency_groups(recent[CURRENCY])
    for currency, mine_N in groups.items():
        today = amounts_N[mine_N & (days_N == day)]
        days = np.unique(days_N[mine_N & (days_N < day)])
        by_day = [amounts_N[mine_N & (days_N == one)] for one in days]
        before = [values for values in by_day if len(values) >= _MIN_ROWS]
        if len(today) >= _MIN_ROWS and len(before) >= _MIN_DAYS:
            yield from _shift(currency, today, before, config, origin)


def _shift(
    currency: str,
    today: Float64Array,
    before: list[Float64Array],
    config: InputChecksConfig,
    origin: Naming,
) -> Iterator[Finding]:
    """Median and distribution of log amounts, with limits from the days before."""
    pooled = np.sort(np.concatenate(before))
    usual = float(np.median(pooled))
    where, of_currency = (f".{currency}", f" in {currency}") if currency else ("", "")
    ends = np.quantile(pooled, [0.001, 0.999])
    figures: dict[str, tuple[Callable[[Float64Array], float], float]] = {
        "amount_shift": (partial(shift, usual=usual), math.log(config.max_amount_shift)),
        "amount_distance": (partial(distance, reference=pooled), config.max_amount_distance),
        "amount_extremes": (partial(share_outside, ends=ends), config.max_amount_extremes),
    }
    by_chance = {
        "amount_distance": _CHANCE_OF_DISTANCE / math.sqrt(len(today)),
        "amount_extremes": 0.002 + _CHANCE * math.sqrt(0.002 / len(today)) + 1 / len(today),
    }
    for rule, (measure, limit) in figures.items():
        observed = measure(today)
        high = max(limit, _MARGIN * max(map(measure, before)), by_chance.get(rule, 0.0))
        error = None
        if observed > high:
            error = _refusal(
                rule, origin(AMOUNT), _amount_text(rule, observed),
                f"at most {_amount_text(rule, high)}, by the days before{of_currency}",
                f"check unit and currency of the amounts, or raise [input_checks] max_{rule}",
            )  # fmt: skip
        yield Finding(rule=f"{rule}{where}", observed=observed, low=0.0, high=high, error=error)


def _amount_text(rule: str, value: float) -> str:
    if rule == "amount_extremes":
        return f"{value:.1%} outside of the usual range"
    return f"a factor of {math.exp(value):.2f}" if rule == "amount_shift" else f"{value:.3f} away"


def _refusal(rule: str, origin: Origin, observed: str, limit: str, remedy: str) -> CheckError:
    return CheckError(
        rule=rule, place=origin.file, column=origin.column,
        observed=observed, limit=limit, remedy=remedy,
    )  # fmt: skip
