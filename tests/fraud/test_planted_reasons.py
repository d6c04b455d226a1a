"""Planted fraud is found, and for the right reasons."""

from __future__ import annotations

import numpy as np
import pytest
from explained_log import FIRST_DAY, ScoredLog, scored_log

from recsys.datasets.synthetic.transactions import Planted, right_reasons
from recsys.fraud.explain.reasons import Explained

FAMILIES = {"amount", "hour", "velocity", "counterparty", "category", "behaviour"}


@pytest.fixture(scope="module")
def scored() -> ScoredLog:
    """One fit for all."""
    return scored_log(seed=11)


def plants_of(scored: ScoredLog) -> list[Planted]:
    """The plants after training."""
    return [plant for plant in scored.log.plants if plant.first_day >= FIRST_DAY]


def first_reason(scored: ScoredLog, plant: Planted) -> str:
    """The top family on the worst day; category is any unusual combination of features."""
    account, day = scored.worst_day(plant)
    explained = Explained.of(scored.day(day), np.array([account]))
    family = explained.reasons(0, explained.rows[0])[0].evidence
    return family if family in FAMILIES else "category"


def test_planted_fraud_is_among_the_ten_highest_accounts_of_a_day(scored: ScoredLog) -> None:
    """Nine in ten plants have a day on which a budget of ten alerts finds them."""
    ranks = [scored.rank(*scored.worst_day(plant)) for plant in plants_of(scored)]

    assert len(ranks) >= 30
    assert np.mean(np.array(ranks) <= 10) >= 0.9, ranks


def test_the_first_reason_is_a_right_one(scored: ScoredLog) -> None:
    """In nine of ten plants what weighs most on the worst day is what the fraud was made of."""
    first = [(plant.kind, first_reason(scored, plant)) for plant in plants_of(scored)]

    wrong = [(kind, family) for kind, family in first if family not in right_reasons(kind)]
    assert len(wrong) <= 0.1 * len(first), wrong
