"""Facts in words: what came, whose habits it is held against, how many were counted."""

from __future__ import annotations

import math

from recsys.fraud.explain.facts import Fact
from recsys.fraud.explain.past import ALL_ACCOUNTS
from recsys.fraud.report.content import Reason


def reason_of(fact: Fact, family: str, *, share: float, transaction_id: str) -> Reason:
    """A fact as a reason.

    Args:
        fact: What is unusual.
        family: What it speaks of.
        share: Its share of the score.
        transaction_id: The transaction that shows it.
    """
    text = f"{family.capitalize()}: {fact.observed}"
    expected = ""
    if fact.num_known is not None:
        often = "most often" if fact.is_most else "usually"
        expected = f"{fact.subject} {often} {fact.usually}"
        verb = "have" if fact.subject.startswith(ALL_ACCOUNTS) else "has"
        text = f"{text}, where {fact.subject} {often} {verb} {fact.usually}"
    return Reason(
        evidence=family,
        text=text,
        observed=fact.observed,
        expected=expected,
        rarity=fact.rarity,
        alike=fact.alike,
        num_alike=fact.num_alike,
        num_known=fact.num_known,
        share=share,
        transaction_id=transaction_id,
    )


def combination(p_value: float, *, transaction_id: str) -> Reason:
    """The reason where nothing that can be counted is unusual by itself.

    Args:
        p_value: Probability of so high a score of a transaction under normal behaviour.
        transaction_id: The transaction with the highest score.
    """
    observed = "no value stands out by itself, only all of them together"
    return Reason(
        evidence="combination",
        text=f"Combination: {observed}",
        observed=observed,
        expected="",
        rarity=p_value,
        share=math.nan,
        transaction_id=transaction_id,
    )
