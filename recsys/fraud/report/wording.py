"""How scores, odds, amounts and times of alerts are put in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from recsys.fraud.report.content import Alert, AlertPage, AlertTransaction, Reason
from recsys.reporting import formats

_MAX_DECIMALS = 9
_RAREST = 1e-6  # beyond the range of calibration


def score(value: float) -> str:
    """A score with four decimals, or as many as distinguish it from 1.

    Examples:
        >>> score(0.97), score(0.999987), score(3.5), score(1.0)
        ('0.9700', '0.999987', '3.5000', '1.0000')
    """
    if math.isnan(value):
        return formats.NOTHING
    rest = 1 - value
    decimals = math.ceil(-math.log10(rest)) + 1 if 0 < rest < 0.001 else 4
    return f"{value:.{min(decimals, _MAX_DECIMALS)}f}"


def odds(probability: float) -> str:
    """A small probability as odds of two digits.

    Examples:
        >>> odds(1 / 12345), odds(0.3), odds(0.0)
        ('1 in 12,000', '1 in 3.3', 'less than 1 in 1,000,000')
    """
    if math.isnan(probability):
        return formats.NOTHING
    if probability < _RAREST:
        return f"less than 1 in {1 / _RAREST:,.0f}"
    times = float(f"{1 / min(probability, 1.0):.2g}")
    return f"1 in {times:,.0f}" if times >= 10 else f"1 in {times:g}"


def how_rare(reason: Reason) -> str:
    """How many of the transactions that were counted are at least as unusual, or the odds."""
    if reason.num_known is None:
        return odds(reason.rarity)
    number = f"{reason.num_alike:,}" if reason.num_alike else "none"
    return f"{number} of {reason.num_known:,} {reason.alike}".rstrip()


def money(amount: float, currency: str) -> str:
    """An amount with its unit, if it has one."""
    return f"{amount:,.2f} {currency}".rstrip()


def total(transactions: Iterable[AlertTransaction]) -> str:
    """The sum of the amounts, one for each currency."""
    amounts: dict[str, list[float]] = {}
    for one in transactions:
        amounts.setdefault(one.currency, []).append(one.amount)
    sums = [money(math.fsum(amounts[currency]), currency) for currency in sorted(amounts)]
    return " + ".join(sums) or formats.NOTHING


def instant(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{in_utc(time):%Y-%m-%d %H:%M:%S}"


def in_utc(time: datetime) -> datetime:
    """The same time in UTC; a time without zone is taken as UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Examples:
        >>> counted(1, "alert"), counted(1200, "account")
        ('1 alert', '1,200 accounts')
    """
    return f"{formats.count(number)} {noun}{'' if number == 1 else 's'}"


def flagged_before(alert: Alert) -> str:
    """When an account was flagged before; empty if it never was."""
    if not alert.flagged_before:
        return ""
    others = len(alert.flagged_before) - 1
    more = f", and on {counted(others, 'earlier day')}" if others else ""
    return f"Flagged before, on {alert.flagged_before[-1]}{more}."


def headline(page: AlertPage) -> str:
    """The page in one line."""
    alerts = counted(len(page.alerts), "alert") if page.alerts else "No alerts"
    return f"{alerts} among {counted(page.num_accounts, 'account')} on {page.day:%Y-%m-%d}"
