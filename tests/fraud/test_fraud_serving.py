"""A scorer over model and state: from transactions in any order to scores."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from small_fraud import Kind, same_state, small_fraud

from recsys.errors import DataError
from recsys.fraud.serving import FraudScorer

KINDS = get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scorer_answers_in_the_order_of_the_question(kind: Kind) -> None:
    """Shuffled transactions get the scores of sorted ones, and the state stays as it is."""
    case = small_fraud(kind)
    scorer = FraudScorer(model=case.model, state=case.state.copy())
    day = case.days[0]
    shuffled = day.take(pa.array(np.random.default_rng(0).permutation(day.num_rows)))
    scores = scorer.score_table(shuffled)
    expected, _ = case.model.score(day, case.state, num_threads=1)

    assert scores.column_names == ["transaction_id", "anomaly_score"]
    assert scores["transaction_id"].equals(shuffled["transaction_id"])
    by_id = dict(zip(*scores.to_pydict().values(), strict=True))
    assert [by_id[one] for one in day["transaction_id"].to_pylist()] == list(
        expected.calibrated.anomaly_score
    )
    assert same_state(scorer.state, case.state)
    assert set(scorer.schema(day["transaction_id"].type)) == {
        *(pa.field(field.name, field.type, field.nullable) for field in required_first(day))
    }


def required_first(day: pa.Table) -> list[pa.Field]:
    """The fields of a day; ids, times and amounts may not be null."""
    required = ("transaction_id", "account_id", "event_time", "amount")
    return [field.with_nullable(field.name not in required) for field in day.schema]


def test_no_transactions_have_no_scores() -> None:
    """An empty question has an empty answer."""
    case = small_fraud("everything")
    scorer = FraudScorer(model=case.model, state=case.state)
    assert scorer.score_table(case.days[0].slice(0, 0)).num_rows == 0


@pytest.mark.parametrize("value", [None, float("inf"), float("nan")])
def test_transactions_without_an_amount_are_refused(value: float | None) -> None:
    """What cannot be scored is told, not guessed."""
    case = small_fraud("bare")
    day = case.days[0].slice(0, 2)
    amounts = pa.array([1.0, value], pa.float64())
    place = day.column_names.index("amount")
    with pytest.raises(DataError, match="finite amounts, got 1 rows without"):
        FraudScorer(model=case.model, state=case.state).score_table(
            day.set_column(place, "amount", amounts)
        )
