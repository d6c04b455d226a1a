"""What a transaction shows beside what is usual, as facts that anybody can count in the log.

"Usually" means nine in ten: of the transactions before the day of the account, of the account under
the same circumstances, or of all accounts where the account has too little history of its own. What
cannot be counted so, or would be usual, is no fact.

Shapes: S transactions of a subject.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recsys.arrays import Float64Array, Int64Array
from recsys.fraud.explain.past import Past, Subject
from recsys.fraud.explain.phrases import number_and_range, percent, short_text, value_text
from recsys.fraud.profiles.arrays import NUM_HOURS

MIN_OWN = 10
"""Transactions before the day from which on an account has a history of its own."""
MIN_OWN_TERMS = 20
"""The same for its hours and categories: of fewer, one that never came says little."""
MIN_OTHERS = 50
"""Transactions that are counted at least where all accounts are."""
USUAL_SHARE = 0.9
"""What usually means."""

_RARE = 0.05
"""Share of a subject's transactions that are as unusual, at most."""
_MAX_TERMS = 3  # that are named as usual
_MAX_USUAL_HOURS = 18
_MAX_USUAL_DAYS = 5
_MIN_OWN_DAYS = 50  # transactions: seven days are few, and all rows of a day have the same
_RARE_DAY = 0.02
_END = 0.05  # of the range of usual numbers, on each side


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is unusual about a transaction."""

    observed: str
    """What came."""
    subject: str = ""
    """Whose transactions were counted; empty where none were."""
    usually: str = ""
    """What nine in ten of them have, or the most frequent terms with their shares."""
    is_most: bool = False
    """Whether these are only the most frequent: they are fewer than nine in ten."""
    alike: str = ""
    """What is counted, such as "as high"."""
    num_alike: int = 0
    """Transactions that have it."""
    num_known: int | None = None
    """Transactions counted; None where nothing can be."""
    odds: float = math.nan
    """Probability by the model, where nothing can be counted; NaN for none."""

    @property
    def rarity(self) -> float:
        """Share of transactions as unusual; of none, less than one more would be."""
        if self.num_known is None:
            return self.odds
        return (self.num_alike or 1) / (self.num_known + (not self.num_alike))


def rarest(facts: Iterable[Fact | None]) -> Fact | None:
    """The most unusual of some facts."""
    found = [fact for fact in facts if fact is not None]
    return min(found, key=lambda fact: fact.rarity, default=None)


def outside_range(
    subject: Subject, known: Float64Array, value: float, *, unit: str = "", decimals: int = 2
) -> Fact | None:
    """A number outside the range that nine in ten have.

    Args:
        subject: Whose numbers they are.
        known: The numbers, ascending.
        value: That of the transaction.
        unit: Of the numbers.
        decimals: To tell.
    """
    if not math.isfinite(value) or len(known) < _least(subject):
        return None
    end = math.floor(_END * len(known))
    low, high = float(known[end]), float(known[len(known) - 1 - end])
    is_high = value > high
    if low <= value <= high:
        return None
    below = int(np.searchsorted(known, value, side="left" if is_high else "right"))
    num_alike = len(known) - below if is_high else below
    described = number_and_range(value, low, high, unit, decimals=decimals)
    if described is None or num_alike > _RARE * len(known):
        return None
    return Fact(
        observed=described[0],
        subject=subject.name,
        usually=described[1],
        alike="as high" if is_high else "as low",
        num_alike=num_alike,
        num_known=len(known),
    )


def more_than_usual(subject: Subject, known: Int64Array, count: int, *, window: str) -> Fact | None:
    """More transactions within a window than nine in ten saw.

    Args:
        subject: Whose windows they are.
        known: Transactions in the window up to each, ascending.
        count: Those up to this one.
        window: What it is called.
    """
    num_known = len(known)
    if num_known < _least(subject):
        return None
    most = int(known[num_known - 1 - math.floor(_END * num_known)])
    num_alike = num_known - int(np.searchsorted(known, count))
    if count <= most or num_alike > _RARE * num_known:
        return None
    return Fact(
        observed=f"{count:,} transactions within {window}",
        subject=subject.name,
        usually=f"at most {most:,}",
        alike="with as many",
        num_alike=num_alike,
        num_known=num_known,
    )


def outside_hours(subject: Subject, counts_H: Int64Array, hour: int, observed: str) -> Fact | None:
    """An hour outside the shortest range of hours that nine in ten have.

    Args:
        subject: Whose hours they are.
        counts_H: Transactions by the hour of the day.
        hour: That of the transaction.
        observed: Its time.
    """
    num_known = int(counts_H.sum())
    if num_known < _least(subject, MIN_OWN_TERMS):
        return None
    first, length = shortest_range(counts_H)
    if (hour - first) % NUM_HOURS < length or length > _MAX_USUAL_HOURS:
        return None
    if counts_H[hour] > _RARE * num_known:
        return None
    return Fact(
        observed=observed,
        subject=subject.name,
        usually=f"{first:02}:00 to {(first + length) % NUM_HOURS:02}:00",
        alike=f"from {hour:02}:00 to {(hour + 1) % NUM_HOURS:02}:00",
        num_alike=int(counts_H[hour]),
        num_known=num_known,
    )


def shortest_range(counts_H: Int64Array) -> tuple[int, int]:
    """The fewest hours in a row that hold nine in ten transactions.

    Returns:
        The first hour, and how many there are.

    Examples:
        >>> shortest_range(np.array([0] * 8 + [5] * 4 + [0] * 12))
        (8, 4)
    """
    around = np.concatenate([[0], np.cumsum(np.tile(counts_H, 2))])
    needed = USUAL_SHARE * int(counts_H.sum())
    for length in range(1, NUM_HOURS):
        sums_H = around[length : length + NUM_HOURS] - around[:NUM_HOURS]
        if sums_H.max() >= needed:
            return int(sums_H.argmax()), length
    return 0, NUM_HOURS


def unusual_weekday(account: Subject, weekdays_S: Int64Array, weekday: int) -> Fact | None:
    """A day of the week on which an account hardly ever does anything.

    Only its own days count: a day that is scored has one weekday, and so has everybody's row.

    Args:
        account: Whose days they are.
        weekdays_S: 0 for Monday to 6 for Sunday.
        weekday: That of the transaction.
    """
    num_known = len(weekdays_S)
    counts = np.bincount(weekdays_S, minlength=7)
    if num_known < _MIN_OWN_DAYS or counts[weekday] > _RARE_DAY * num_known:
        return None
    order = np.argsort(-counts, kind="stable")
    needed = int(np.searchsorted(np.cumsum(counts[order]), USUAL_SHARE * num_known)) + 1
    if needed > _MAX_USUAL_DAYS:
        return None
    return Fact(
        observed=calendar.day_name[weekday],
        subject=account.name,
        usually=", ".join(calendar.day_name[day] for day in sorted(order[:needed].tolist())),
        alike=f"on a {calendar.day_name[weekday]}",
        num_alike=int(counts[weekday]),
        num_known=num_known,
    )


def unusual_term(past: Past, subject: Subject, name: str, value: object) -> Fact | None:
    """A value that a subject hardly ever has.

    Where one in ten of its transactions has a value of its own, a new one is nothing unusual.

    Args:
        past: Where the values are counted.
        subject: Whose values they are.
        name: The column.
        value: That of the transaction.
    """
    num_known = len(subject)
    if num_known < _least(subject, MIN_OWN_TERMS):
        return None
    codes, counts = past.known_terms(subject, name)
    own = counts[codes == past.groups(name).code(value)]
    num_alike = int(own[0]) if len(own) else 0
    as_rare = int(counts[counts <= max(num_alike, 1)].sum())
    if num_alike > _RARE * num_known or as_rare > (1 - USUAL_SHARE) * num_known:
        return None
    order = np.argsort(-counts, kind="stable")
    needed = int(np.searchsorted(np.cumsum(counts[order]), USUAL_SHARE * num_known)) + 1
    is_most = needed > _MAX_TERMS
    named = order[: 2 if is_most else needed]
    terms = [short_text(past.term(name, int(codes[place]))) for place in named]
    shares = [percent(counts[place] / num_known) for place in named]
    observed = short_text(value_text(value))
    if observed in terms:  # cut to the same
        return None
    return Fact(
        observed=observed,
        subject=subject.name,
        usually=", ".join(f"{term} ({share})" for term, share in zip(terms, shares, strict=True)),
        is_most=is_most,
        alike="with it",
        num_alike=num_alike,
        num_known=num_known,
    )


def new_term(past: Past, subject: Subject, name: str, value: object) -> Fact | None:
    """A value that is new to an account, which hardly ever has new ones.

    Args:
        past: Where the values are counted.
        subject: The account.
        name: The column.
        value: That of the transaction.
    """
    codes_S = past.codes(name)[subject.rows]
    num_known = len(codes_S)
    if value is None or num_known < MIN_OWN or past.groups(name).code(value) in codes_S:
        return None
    num_new = len(np.unique(codes_S))
    if num_new > (1 - USUAL_SHARE) * num_known:
        return None
    return Fact(
        observed=f"{short_text(value_text(value))}, new",
        subject=subject.name,
        usually="known ones",
        alike="with a new one",
        num_alike=num_new,
        num_known=num_known,
    )


def _least(subject: Subject, own: int = MIN_OWN) -> int:
    return own if subject.is_own else MIN_OTHERS
