"""Evidence in words: what was observed, and what is usual.

Each function takes the row of a transaction within `Usual` and describes one kind of evidence.
"""

from __future__ import annotations

import calendar
from datetime import datetime
from typing import NamedTuple

from recsys.fraud.embedding.inputs import HOUR, LOG_AMOUNT, WEEKDAY
from recsys.fraud.explain.reconstruction import NO_VALUE
from recsys.fraud.explain.usual import Usual, shortest_range
from recsys.fraud.profiles.arrays import NUM_HOURS
from recsys.fraud.report import wording
from recsys.schema import AMOUNT, COUNTERPARTY_ID, CURRENCY, EVENT_TIME

_DAYS = tuple(calendar.day_name)
_NUM_USUAL_CONTEXTS = 2


class Words(NamedTuple):
    """One piece of evidence."""

    text: str
    """A sentence."""
    observed: str
    """What was observed."""
    expected: str
    """What is usual."""


def words_of(usual: Usual, row: int, kind: str, context: str, terms: tuple[str, ...]) -> Words:
    """Put a kind of evidence in words.

    Args:
        usual: Transactions beside what was usual.
        row: Which of them.
        kind: Name of the evidence.
        context: The column that amounts depend on; empty when on none.
        terms: What each code of the context stands for.
    """
    match kind:
        case "amount_high" | "amount_low":
            words = _account_amount(usual, row, context)
        case "counterparty_amount":
            words = _counterparty_amount(usual, row)
        case "hour":
            words = _hour(usual, row)
        case "count_1h" | "count_1d" | "amount_1d":
            words = _velocity(usual, row, kind)
        case "new_counterparty" | "counterparty_excess":
            words = _counterparty(usual, row, kind)
        case "category":
            words = _context(usual, row, context, terms)
        case "account_distance":
            words = _behaviour("this account")
        case _:
            words = _column(usual, row, kind.removeprefix("reconstruction_"))
    return words


def value_text(value: object) -> str:
    """A value of a column.

    Examples:
        >>> value_text(None), value_text(3.0), value_text("chip")
        ('no value', '3', 'chip')
    """
    if value is None:
        return NO_VALUE
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _account_amount(usual: Usual, row: int, context: str) -> Words:
    low, high = usual.amounts
    usually = _range(low[row], high[row])
    place = f" for {_observed(usual, row, context)}" if context else ""
    amount = _amount(usual, row)
    text = f"Amount {amount}, where this account usually pays {usually}{place}"
    return Words(text, amount, usually)


def _counterparty_amount(usual: Usual, row: int) -> Words:
    low, high = usual.counterparty_amounts
    usually = _range(low[row], high[row])
    name, amount = _observed(usual, row, COUNTERPARTY_ID), _amount(usual, row)
    text = f"Amount {amount}, where transactions at {name} usually have {usually}"
    return Words(text, amount, f"{usually} at {name}")


def _hour(usual: Usual, row: int) -> Words:
    first, length = shortest_range(usual.hours[row])
    hour = int(usual.coded.hour[row])
    observed = f"{_time(usual, row)} UTC"
    if (hour - first) % NUM_HOURS < length:  # a gap among the usual hours
        share = _percent(usual.hours[row, hour])
        text = f"At {observed}, where this account has {share} of such transactions in that hour"
        return Words(text, observed, f"{share} in that hour")
    usually = f"{first:02}:00 to {(first + length) % NUM_HOURS:02}:00"
    return Words(f"At {observed}, where this account usually pays {usually}", observed, usually)


def _velocity(usual: Usual, row: int, kind: str) -> Words:
    recent = usual.recent
    if kind == "amount_1d":
        observed = f"{_money(usual, row, recent.amount_day[row])} within 24 hours"
        usually = f"about {usual.sum_day[row]:,.2f}"
        return Words(
            f"Paid {observed}, where this account usually pays {usually}", observed, usually
        )
    short = kind == "count_1h"
    number, most = (
        (recent.num_hour[row], usual.most_hour[row])
        if short
        else (recent.num_day[row], usual.most_day[row])
    )
    # The usual number is estimated from a decayed count; a number that was observed is not usual.
    most = min(int(most), max(int(number) - 1, 1))
    counted = wording.counted(int(number), "transaction")
    observed = f"{counted} within {'an hour' if short else '24 hours'}"
    usually = f"at most {most}"
    return Words(f"{observed}, where this account usually has {usually}", observed, usually)


def _counterparty(usual: Usual, row: int, kind: str) -> Words:
    name = _observed(usual, row, COUNTERPARTY_ID)
    if kind == "counterparty_excess":
        text = f"Other accounts' recent transactions at {name} were unusual too"
        return Words(text, f"{name}, unusual for other accounts too", "nothing unusual there")
    share = _percent(usual.new_share[row])
    text = f"{name} is new to this account, which has new counterparties in {share} of transactions"
    return Words(text, f"{name}, new to the account", f"known ones, new ones in {share}")


def _context(usual: Usual, row: int, context: str, terms: tuple[str, ...]) -> Words:
    share_C = usual.contexts[row]
    most = [(terms[code], share_C[code]) for code in (-share_C).argsort()[:_NUM_USUAL_CONTEXTS]]
    usually = ", ".join(f"{term} ({_percent(share)})" for term, share in most)
    share = _percent(share_C[usual.coded.context[row]])
    observed = f"{_observed(usual, row, context)}" if context else NO_VALUE
    text = f"{context.capitalize()} {observed}, which is {share} of this account's transactions"
    return Words(text, observed, usually)


def _behaviour(whose: str) -> Words:
    text = f"The combination of all values is unlike the transactions of {whose}"
    return Words(text, "an unusual combination", f"combinations known of {whose}")


def _column(usual: Usual, row: int, column: str) -> Words:
    """What the autoencoder expects of a column, given the others."""
    observed, usually = _observed_of(usual, row, column), _expected_of(usual, row, column)
    terms = usual.expected.terms.get(column)
    if terms is not None and terms.is_unseen[row]:
        observed = f"{observed} (hardly ever or never seen in training)"
    name = {LOG_AMOUNT: AMOUNT, HOUR: "hour", COUNTERPARTY_ID: "counterparty"}.get(column, column)
    text = f"{name.capitalize()} {observed}, where transactions like it usually have {usually}"
    if terms is not None and terms.terms[row] == observed:  # less sure than it mostly is
        share = _percent(terms.share[row])
        text = f"{name.capitalize()} {observed}, which only {share} of transactions like it have"
    return Words(text, observed, usually)


def _observed_of(usual: Usual, row: int, column: str) -> str:
    match column:
        case _ if column == LOG_AMOUNT:
            return _amount(usual, row)
        case _ if column == HOUR:
            return f"{_time(usual, row)} UTC"
        case _ if column == WEEKDAY:
            return _DAYS[_when(usual, row).weekday()]
        case _:
            return _observed(usual, row, column)


def _expected_of(usual: Usual, row: int, column: str) -> str:
    if column == LOG_AMOUNT:
        return f"about {usual.log_amount[row]:,.2f}"
    if column in usual.expected.numbers:
        return f"about {usual.expected.numbers[column][row]:.4g}"
    expected = usual.expected.terms[column]
    term, share = expected.terms[row], _percent(expected.share[row])
    if term != NO_VALUE and column == HOUR:
        term = f"{int(term):02}:00 to {(int(term) + 1) % NUM_HOURS:02}:00"
    if term != NO_VALUE and column == WEEKDAY:
        term = _DAYS[int(term)]
    return f"{term} ({share})"


def _observed(usual: Usual, row: int, column: str) -> str:
    return value_text(usual.table[column][row].as_py())


def _amount(usual: Usual, row: int) -> str:
    return _money(usual, row, usual.table[AMOUNT][row].as_py())


def _money(usual: Usual, row: int, amount: float) -> str:
    has_currency = CURRENCY in usual.table.column_names
    currency = usual.table[CURRENCY][row].as_py() if has_currency else None
    return wording.money(amount, currency or "")


def _time(usual: Usual, row: int) -> str:
    return f"{_when(usual, row):%H:%M}"


def _when(usual: Usual, row: int) -> datetime:
    return wording.in_utc(usual.table[EVENT_TIME][row].as_py())


def _range(low: float, high: float) -> str:
    return f"{low:,.2f} to {high:,.2f}"


def _percent(share: float) -> str:
    if share < 0.001:
        return "less than 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
